#!/bin/bash
# check_install.sh BUILD: install BUILD into an empty folder and use what is there as a stranger would: the program,
# both libraries through pkg-config, the header from C++, the manual page and the completions of shells that are here.
set -eu

build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
prefix=$root/opt/andiron
step() { echo "- $*"; }

step "files, under DESTDIR and a prefix"
DESTDIR=$root cmake --install "$build" --prefix /opt/andiron >/dev/null
(cd "$prefix" && find . ! -type d | sed 's/[0-9]*\.[0-9]*\.[0-9]*$/VERSION/' | LC_ALL=C sort) >"$root/found"
diff - "$root/found" <<'EOF'
./bin/andiron
./include/andiron.h
./lib/libandiron.a
./lib/libandiron.so
./lib/libandiron.so.0
./lib/libandiron.so.VERSION
./lib/pkgconfig/andiron.pc
./share/bash-completion/completions/andiron
./share/fish/vendor_completions.d/andiron.fish
./share/man/man1/andiron.1
./share/zsh/site-functions/_andiron
EOF
if grep -rlF -e "$PWD" -e "$root" "$prefix" --include='*.pc' --include='*.h' --include='*andiron*'; then
    echo "these hold a path of the machine that built them"
    exit 1
fi

version=$(sed -n 's/#define ANDIRON_VERSION "\(.*\)"/\1/p' include/andiron.h)
step "the program says version $version and looks for no library of ours"
[ "$("$prefix/bin/andiron" --version)" = "andiron $version" ]
readelf -d "$prefix/bin/andiron" >"$root/program"
readelf -d "$prefix/lib/libandiron.so" >"$root/library"
if grep -E 'RPATH|RUNPATH' "$root/program" "$root/library" || grep libandiron "$root/program"; then exit 1; fi
grep -q "soname: \[libandiron.so.${version%%.*}\]" "$root/library"

step "the shared library offers what the header declares, and nothing else"
nm -D --defined-only "$prefix/lib/libandiron.so" | awk '{ print $3 }' | LC_ALL=C sort >"$root/offered"
sed -n 's/^ANDIRON_API [^(]*[ *]\(andiron_[a-z0-9_]*\)(.*/\1/p' include/andiron.h | LC_ALL=C sort >"$root/declared"
diff "$root/declared" "$root/offered"

step "pkg-config: the shared library, the static one, and the header from C++"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
[ "$(pkg-config --modversion andiron)" = "$version" ]
words() { pkg-config "$@" andiron; }
# shellcheck disable=SC2046 # lists of words
{
    cc -Wall -Wextra -Werror examples/answer.c $(words --cflags --libs) -o "$root/shared"
    cc -Wall -Wextra -Werror examples/answer.c $(words --cflags) "$prefix/lib/libandiron.a" \
        $(words --static --libs | sed 's/-landiron//') -o "$root/static"
    printf '#include <andiron.h>\nint main() { return andiron_version() == nullptr; }\n' >"$root/cxx.cc"
    c++ -Wall -Wextra -Wpedantic -Werror "$root/cxx.cc" $(words --cflags --libs) -o "$root/cxx"
}
readelf -d "$root/shared" | grep -q libandiron.so.0
export LD_LIBRARY_PATH=$prefix/lib
"$root/cxx"
if [ -f "${MODEL:-}" ]; then
    step "examples/answer.c answers, linked both ways"
    shared=$("$root/shared" "$MODEL" "Say hello.")
    [ -n "$shared" ] && [ "$(LD_LIBRARY_PATH='' "$root/static" "$MODEL" "Say hello.")" = "$shared" ]
fi

step "manual page and completions"
if command -v man >/dev/null; then
    man -l --warnings "$prefix/share/man/man1/andiron.1" >/dev/null 2>"$root/warnings"
    if grep . "$root/warnings"; then exit 1; fi
fi
bash -n "$prefix/share/bash-completion/completions/andiron"
if command -v zsh >/dev/null; then zsh -n "$prefix/share/zsh/site-functions/_andiron"; fi
if command -v fish >/dev/null; then fish -n "$prefix/share/fish/vendor_completions.d/andiron.fish"; fi
echo "1 passed, 0 failed"
