#!/bin/sh
# mutants.sh BUILD N [SEED]: N mutants of the seeds of each fuzz target of BUILD (a build with sanitizers), shared out
# among its seeds. An input that takes more than 10 s, more memory than its budget, or dies is named with the words that
# repeat it.
set -u

build=$1 n=$2 seed=${3:-1} failed=0 n_targets=0
for target in "$build"/bin/fuzz_*; do
    case $target in *_live) continue ;; esac
    [ -x "$target" ] || continue
    name=$(basename "$target")
    kind=${name#fuzz_}
    set -- "tests/fuzz/corpus/$kind"/*
    case $kind in gguf | model) set -- "$@" tests/golden/*.gguf ;; esac
    each=$(((n + $# - 1) / $#))
    echo "$name: $each mutants of each of $# seeds"
    n_targets=$((n_targets + 1))
    start=$(date +%s)
    if printf '%s\0' "$@" |
        xargs -0 -n 1 -P "$(nproc)" "$target" --seed "$seed" --mutate "$each" >"$build/$name.said" 2>&1
    then
        echo "$name: $((each * $#)) run in $(($(date +%s) - start)) s"
    else
        failed=$((failed + 1))
        grep -v ' inputs run$' "$build/$name.said" | tail -60
        echo "$name: FAILED; repeat it with $target and the words behind \"input:\""
    fi
    awk '/ models: /{ m += $1; o += $3; r += $5; if ($NF == "MiB" && $(NF-1) > p) p = $(NF-1) }
         END { if (m) printf "%d models: %d opened, %d sessions ran; most memory %.1f MiB\n", m, o, r, p }' \
        "$build/$name.said"
done
if [ "$n_targets" = 0 ]; then
    echo "mutants.sh: no fuzz target in $build/bin" >&2
    exit 1
fi
echo "$((n_targets - failed)) passed, $failed failed"
[ "$failed" = 0 ]
