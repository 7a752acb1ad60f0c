#!/bin/sh
# levels.sh BUILD MODEL: run the x86-64 programs of BUILD on CPUs that lack this machine's instructions, under
# qemu-user, which stops at an instruction that its CPU does not have. The level must be the CPU's, and the bits those
# of every machine: tests/golden/bits.txt, and this machine's own answer with MODEL.
set -u

build=$1 model=$2
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

check() { # name, text that must be in the output, command ...
    name=$1 expected=$2 log=$logs/${1%%:*}.log
    shift 2
    if "$@" >"$log" 2>&1 && grep -q -- "$expected" "$log"; then
        echo "passed  $name"
    else
        echo "FAILED  $name: $*"
        grep -v "TCG doesn't support" "$log" | tail -n 40
    fi
}

answer() { "$@" "$build/bin/andiron" run "$model" --raw -n 3 "The sky is" 2>/dev/null; }
same_answer() {
    there=$(answer "$@")
    echo "\"$there\""
    [ -n "$here" ] && [ "$there" = "$here" ] && echo same
}

check_level() { # level, CPU of QEMU
    level=$1 emulate="qemu-x86_64 -cpu $2"
    # shellcheck disable=SC2086 # a list of words
    {
        check "$level: is chosen" "yes, on $level with" $emulate "$build/bin/andiron" show tests/golden/llama.gguf
        check "$level: kernels" "$level: same bits as ref" $emulate "$build/bin/check_kernels"
        check "$level: bits of models" PASSED $emulate "$build/bin/test_bits"
        check "$level: answers \"$here\"" same same_answer $emulate
    }
}

here=$(answer env)
export ANDIRON_TESTS_EMULATED=1 ANDIRON_TESTS_OPEN_GUARDS=1
# The baseline of x86-64, without even SSE3; and all that this QEMU can do but AVX-512. Side by side.
check_level ref qemu64 >"$logs/ref" &
check_level avx2 max,-avx512f >"$logs/avx2"
wait
cat "$logs/ref" "$logs/avx2"
passed=$(grep -c '^passed ' "$logs/ref" "$logs/avx2" | awk -F: '{ n += $2 } END { print n }')
echo "$passed passed, $((8 - passed)) failed"
[ "$passed" = 8 ]
