#!/bin/sh
# build.sh PRESET TARGET [-DNAME=VALUE ...]: configure build/PRESET where it must be, and build TARGET in it. Says
# nothing where nothing is to be done, shows a line that moves on a terminal and one line elsewhere; all on stderr.
set -eu

preset=$1 target=$2
shift 2
dir=build/$preset
if [ $# -gt 0 ] || [ ! -f "$dir/build.ninja" ]; then
    cmake --preset "$preset" "$@" >/dev/null
fi
case $(cmake --build "$dir" --target "$target" -- -n 2>&1) in
*"no work to do"*) exit 0 ;;
esac
echo "Building $dir" >&2
if [ -t 2 ]; then
    exec cmake --build "$dir" --target "$target" >&2
fi
exec cmake --build "$dir" --target "$target" -- --quiet >&2
