#!/bin/sh
# fuzz.sh BUILD SECONDS: run every live fuzzer of BUILD (preset fuzz) for SECONDS, each from a copy of its corpus.
set -u

build=$1 seconds=$2 failed=0 n=0
for fuzzer in "$build"/bin/fuzz_*_live; do
    [ -x "$fuzzer" ] || continue
    name=$(basename "$fuzzer" _live)
    grown=$build/corpus/$name
    mkdir -p "$grown"
    echo "$name for $seconds s"
    n=$((n + 1))
    "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="$build/corpus/$name-" "$grown" "tests/fuzz/corpus/${name#fuzz_}" || failed=$((failed + 1))
done
if [ "$n" = 0 ]; then
    echo "fuzz.sh: no fuzzer in $build/bin" >&2
    exit 1
fi
echo "$((n - failed)) passed, $failed failed"
[ "$failed" = 0 ]
