#!/bin/sh
# need.sh PACKAGE[=COMMAND] ... : install the Debian packages that are missing. PACKAGE=COMMAND is there when COMMAND is,
# wherever it came from. Does nothing, and needs no network, where nothing is missing.
set -u

missing=
for need in "$@"; do
    package=${need%%=*}
    case $need in
    *=*) command -v "${need#*=}" >/dev/null 2>&1 && continue ;;
    esac
    case $(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) in
    installed*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "need.sh: these Debian packages, or what your system calls them, are missing:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "need.sh: not root and no sudo; run as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
case $missing in
*:arm64*) $as_root dpkg --add-architecture arm64 ;;
esac
$as_root apt-get update -qq >&2 || echo "need.sh: apt-get update failed; trying with the lists there are" >&2
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
