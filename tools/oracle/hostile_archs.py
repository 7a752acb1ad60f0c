#!/usr/bin/env python3
"""Definitions that mean harm, run on a tiny model: each must be refused, or run, within 5 s and 1 GiB, in one sentence.

hostile_archs.py ANDIRON [MODEL.gguf]
"""

import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

MODEL = pathlib.Path(__file__).parents[2] / "tests/golden/llama.gguf"
SECONDS, BYTES = 5, 1 << 30
END = "  return linear(norm(x, output_norm), output | token_embd)\n}\n"


def whole(body, before=""):
    return f"arch evil : llama\n{before}\ngraph(tokens) {{\n  x = start(tokens)\n{body}\n{END}"


def cases():
    deep = 3000
    yield "nested parentheses", whole("  y = " + "(" * deep + "1" + ")" * deep)
    yield "nested calls", whole("  x = " + "silu(" * deep + "x" + ")" * deep)
    yield "nested ifs", whole("  if 1 { " * deep + "x = x" + " }" * deep)
    yield "minuses", whole("  y = " + "-" * 100000 + "1")
    yield "long sum", whole("  y = 1" + " + 1" * 60000)
    yield "long sum of values", whole("  x = x" + " + x" * 60000)
    yield "open text", 'arch evil : llama\nparam a = "'
    yield "no end", whole("")[:60]
    yield "a million lines", whole("  x = silu(x)\n" * 18000)
    yield "many nodes", whole("  for l in layers(\"blk\", 4096) {\n" + "  x = silu(x)\n" * 60 + "  }")
    turn = "c = carry(items(x))\n x = keep(c, c * x)\n"
    yield "many loops", whole('  for l in layers("blk", 4000) { ' + turn + " }")
    yield "many loops around much", whole('  for l in layers("blk", 4000) { ' + turn + "x = silu(x)\n" * 25 + " }")
    yield "long loop", whole("  c = carry(items(x))\n  y = c * x\n" + "  y = silu(y)\n" * 18000 + "  x = keep(c, y)")
    yield "layers", whole('  for l in layers("blk", 1e9) { x = x }')
    yield "negative layers", whole('  for l in layers("blk", -1) { x = x }')
    yield "half a layer", whole('  for l in layers("blk", 0.5) { x = x }')
    yield "no layers", whole('  for l in layers("blk", 0 / 0) { x = x }')
    yield "loops in loops", whole('  for l in layers("blk", 9) { for m in layers("blk", 9) { x = x } }')
    yield "recursion", whole("  x = a(x)", "block a(x) { return b(x) }\nblock b(x) { return a(x) }")
    yield "recursion of params", whole("  y = p", "param p = q\nparam q = p")
    doubled = "\n".join(f"block d{i}(x) {{ return d{i + 1}(d{i + 1}(x)) }}" for i in range(60))
    yield "doubling", whole("  x = d0(x)", doubled + "\nblock d60(x) { return silu(x) }")
    yield "doubling numbers", whole("  y = d0(1)", doubled + "\nblock d60(x) { return x + 1 }")
    yield "doubling nothing", whole("  y = d0(1)", doubled + "\nblock d60(x) { return x }")
    yield "its own parent", "arch llama : llama\n"
    yield "no parent", "arch evil : nobody\n"
    yield "many parts", "arch evil : llama with " + ", ".join(["mla"] * 3000) + "\n"
    yield "parameters", whole("", "\n".join(f"param p{i} = {i}" for i in range(20000)))
    yield "same parameter", whole("", "param a = 1\n" * 10000)
    yield "variables", whole("\n".join(f"  v{i} = {i}" for i in range(5000)))
    yield "arguments", whole("  y = max(" + ", ".join("1" for _ in range(5000)) + ")")
    yield "long name", whole(f"  {'a' * 200000} = 1")
    for number in ("1e999", "1e308", "0x7f", "1e-400", "99999999999999999999", "1.2.3", "1e", ".", "nan", "inf"):
        yield f"number {number}", whole(f"  y = {number}\n  x = x * y")
    for expression in (
        "1 / 0",
        "0 / 0",
        "5 % 0",
        "1e308 * 1e308",
        "sqrt(-1)",
        "log(0)",
        "log(-1)",
        "pow(0, -1)",
        "pow(1e308, 9)",
        "min(1)",
        "floor(1e300)",
        "1 % 1e300",
        "-1 % 3",
        "not x",
        "x == x",
        "x and x",
        'meta("x.y")',
        'meta_at("attention.head_count", 1e18)',
        'meta_at("attention.head_count", -1)',
        'meta_at("attention.head_count", 0.5)',
        "rows(x)",
        "rows(nothing)",
        "columns(token_embd)",
        "items(1)",
        'nth("blk", 1e9)',
        'nth("blk", -1)',
        'nth("", 0)',
        'meta_text("general.name")',
        '"a" + "b"',
        '"a" < 1',
    ):
        yield f"p = {expression}", whole(f"  y = {expression}\n  x = x * y")
    for size in ("0", "-1", "0.5", "1e9", "2^31", "4294967296", "1e18", "1e300", "65537"):
        for call in (
            "heads(x, N)",
            "slice(x, 0, N)",
            "slice(x, N, 1)",
            "repeat(x, N)",
            "geometric(N, 1, 1)",
            "top(x, N)",
            "rope(x, N, 10000)",
            "rope(heads(x, 2), 2, N)",
            "rope(heads(x, 2), 2, 10000, back: N)",
            "arrange(x, N, 1, 1)",
            "arrange(x, 0, N, N, N, N)",
            "arrange(x, 0, 1, 1, N, 0)",
            "around(x, N, N)",
            "keep_groups(x, N, 1, 1)",
            "keep_groups(x, 2, N, N)",
            "groupnorm(x, none, N, 0)",
            "fourier(x, flat(repeat(x, N)))",
            "flat(repeat(repeat(x, N), N))",
            "softcap(x, N)",
            "rmsnorm(x, none, N)",
            "places(x, N)",
            "remainder(tokens, N)",
            "clamp(x, N, 0 - N)",
            "x * N",
            "x / N",
        ):
            yield f"{call} with {size}", whole(
                "  x = flat(" + call.replace("N", size.replace("2^31", "2147483648")) + ")"
            )
    wide = "\n".join("  x = flat(repeat(heads(x, 1), 4))" for _ in range(20))
    yield "wider and wider", whole(wide)
    yield "wide sums", whole(
        "  y = flat(repeat(x, 4000))\n" + "  y = y + silu(y)\n" * 2000 + "  x = x + slice(y, 0, 64)"
    )
    yield "many wide values", whole(
        "  y = flat(repeat(x, 4000))\n"
        + "".join(f"  v{i} = silu(y)\n" for i in range(40))
        + "  x = slice("
        + " + ".join(f"v{i}" for i in range(40))
        + ", 0, items(x))"
    )
    yield "concat", whole("  x = concat(x, x)\n" * 40)
    for call in (
        "concat(x, heads(x, 2))",
        "mix(x, x)",
        "pick(x, x)",
        "experts(x, x, blk.0.attn_q)",
        "embed(x, token_embd)",
        "linear(tokens, token_embd)",
        "linear(x, output_norm)",
        "rmsnorm(x, token_embd, 0)",
        "x + tokens",
        "attend(x, x, x, cache: x)",
        "conv(x, token_embd)",
        "scan(x, x, x, x)",
        "previous(tokens)",
        "selective_scan(x, x, token_embd, x, x)",
        "head_linear(x, token_embd)",
        "ngrams(tokens, token_embd, " '"a", "b", "c", 1)',
        'replace(tokens, "a", "b")',
        "silu()",
        "silu(x, x)",
        "silu(y: x)",
        "rope(x)",
        "none",
        "flat(none)",
        "positions",
        "heads(tokens, 2)",
        "constant(x)",
        "peak(x, heads(x, 2))",
        "unknown(x)",
        "scan(heads(x, 1), heads(x, 1), heads(x, 1), x, order: \"sideways\")",
        "div(x, x - x)",
        "log(x * -1)",
        "exp(x * 1e30)",
        "sqrt(x * -1)",
        "sin(x * 1e30)",
        "softmax(x * 1e38)",
    ):
        yield call, whole(f"  x = {call}")
    for n in range(1, 5):
        states = "\n".join(
            "  x = x + flat(scan(heads(y, 1), heads(y, 1), heads(y, 1), geometric(1, 1, 1)))" for _ in range(10**n)
        )
        yield f"{10 ** n} states", whole("  y = x\n" + states)
    yield "large state", whole(
        "  y = flat(repeat(x, 200))\n  y = heads(y, 1)\n"
        "  x = x + slice(flat(scan(y, y, y, geometric(1, 1, 1))), 0, items(x))"
    )
    yield "windows", whole('  for l in layers("blk", 1) { x = layer(x, l) }', "param period = 1e300")
    caches = "".join(
        f'  y = nth("blk", {i})\n  x = x + flat(attend(heads(x, 1), heads(x, 1), heads(x, 1), cache: y))\n'
        for i in range(4000)
    )
    yield "caches", whole(caches)
    yield "control characters", "arch evil : llama\n\x01\x02\x1b[31m\n"
    yield "zeros", "\0" * 1000
    yield "empty", ""
    yield "not UTF-8", b"arch evil : llama\nparam \xff\xfe = 1\n"
    yield "too long", "arch evil : llama\n" + "# " + "x" * (1 << 20)
    yield "comments", "arch evil : llama\n" + "#\n" * 100000


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (BYTES + (1 << 28), BYTES + (1 << 28)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main():
    andiron, model = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else MODEL
    n = n_wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        file, out = pathlib.Path(folder) / "evil.arch", pathlib.Path(folder) / "out"
        for name, text in cases():
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
            command = [andiron, "logits", model, "--arch", file, "--tokens", "1,2,3", "-c", "8", "-t", "1", "-o", out]
            began = time.monotonic()
            try:
                done = subprocess.run(command, capture_output=True, timeout=60, preexec_fn=limits)
            except subprocess.TimeoutExpired:
                print(f"WRONG {name}: more than a minute")
                n_wrong += 1
                continue
            seconds, said = time.monotonic() - began, done.stderr.decode("utf-8", "replace").strip()
            wrong = (
                done.returncode not in (0, 1) or seconds > SECONDS or (done.returncode and "andiron: " not in said)
            )
            n, n_wrong = n + 1, n_wrong + wrong
            said = re.sub(r"[^ ]*/evil.arch", "evil.arch", said)
            print(
                f"{'WRONG ' if wrong else ''}{name}: exit {done.returncode}, {seconds:.2f} s: {said[:300]}",
                flush=True,
            )
    print(f"{n} definitions, {n_wrong} wrong")
    raise SystemExit(n_wrong > 0)


if __name__ == "__main__":
    main()
