#!/bin/sh
# need.sh PACKAGE[=COMMAND] ... : install the Debian packages that are missing. PACKAGE=COMMAND is there when COMMAND
# is, wherever it came from. Does nothing, and needs no network, where nothing is missing. What apt says goes to a file
# that is shown if it fails.
set -u

missing='' n=0
for need in "$@"; do
    package=${need%%=*}
    case $need in
    *=*) command -v "${need#*=}" >/dev/null 2>&1 && continue ;;
    esac
    case $(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) in
    installed*) ;;
    *) missing="$missing $package" n=$((n + 1)) ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "These Debian packages, or what your system calls them, are missing:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "Packages are missing, and there is no sudo. As root, run: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "Installing $n Debian packages and what they need:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() { $as_root env DEBIAN_FRONTEND=noninteractive "$@" >>"$log" 2>&1; }
quiet='-qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0'
if [ -n "$as_root" ] && ! sudo -v; then # asks for the password, if it must, where it can be seen
    echo "As root, run: apt-get install$missing" >&2
    exit 1
fi
case $missing in
*:arm64*) run dpkg --add-architecture arm64 ;;
esac
# shellcheck disable=SC2086 # lists of words
{
    run apt-get $quiet update || echo "(apt-get update failed; trying with the package lists there are)" >&2
    run apt-get $quiet install -y --no-install-recommends $missing && exit 0
}
cat "$log" >&2
echo "The packages could not be installed; above is what apt said. To try by hand: apt-get install$missing" >&2
exit 1
