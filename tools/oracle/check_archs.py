#!/usr/bin/env python3
"""Every tiny model of tests/golden/archs through llama.cpp and andiron.

    check_archs.py [--andiron PROGRAM] [--keep DIR] [--page docs/models.md] [NAME ...]

A line a model: how far andiron's logits are from llama.cpp's, with the prompt in one step and token by token, and how
far llama.cpp's own are from each other in these two ways; each of the largest logit. ok: within 1e-3, in both ways.
--keep leaves the GGUF files in DIR; --page writes the table of all architectures that llama.cpp names.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np

import peer_gguf
from peer_run import Peer
from peer_variants import APART, CANNOT, OTHERWISE

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHS = ROOT / "tests/golden/archs"
LIMIT = 1e-3


def andiron_rows(program, path, tokens, folder, *more):
    out = folder / "logits.safetensors"
    asked = subprocess.run([program, "logits", path, "--tokens", ",".join(map(str, tokens)), "-o", out, "--kv-type",
                            "f32", "-t", "1", *more], capture_output=True, text=True)
    if asked.returncode:
        raise ValueError((asked.stderr.strip() or f"ends with {asked.returncode}").splitlines()[-1])
    data = out.read_bytes()
    n = int.from_bytes(data[:8], "little")
    shape = json.loads(data[8:8 + n])["logits"]["shape"]
    return np.frombuffer(data, "<f4", offset=8 + n).reshape(shape)


def far(a, b):
    if a.shape != b.shape:
        raise ValueError(f"has rows of {a.shape[1]} numbers, not {b.shape[1]}")
    d = np.abs(a - b).max() / np.abs(b).max()
    return float(d) if np.isfinite(d) else float("inf")


def check(name, options, peer):
    """The figures of a model: a dictionary; "said" is why there are none."""
    kv, tensors, marks = peer_gguf.read_spec(ARCHS / f"{name}.txt")
    tokens, golden = peer_gguf.read_golden(ARCHS / f"{name}.bin")
    path = (options.keep or peer.folder) / f"{name}.gguf"
    peer_gguf.write_gguf(path, kv, tensors)
    found = {}
    try:
        how = {"embed": "embeddings" in marks, "flash": "flash" in marks,
               "encoder": next(([int(w) for w in m.split()[1:]] for m in marks if m.startswith("encoder ")), [])}
        found["golden"] = far(peer.run(path, tokens, **how), golden)
        if "whole" not in marks:
            found["noise"] = far(peer.run(path, tokens, each=True, **how), golden)
    except ValueError as e:
        found["llama.cpp"] = str(e)
    try:
        more = ["--source", ",".join(map(str, how["encoder"]))] if how["encoder"] else []
        found["whole"] = far(andiron_rows(options.andiron, path, tokens, peer.folder, *more), golden)
        if "whole" not in marks:
            each = andiron_rows(options.andiron, path, tokens, peer.folder, "--decode", str(len(tokens)), *more)
            found["each"] = far(each, golden)
    except ValueError as e:
        found["said"] = str(e).removeprefix("andiron: ").replace(str(path) + ": ", "")
    if not options.keep:
        path.unlink()
    return found


def figure(value):
    return "-" if value is None else f"{value:.1e}"


def good(found):
    return "said" not in found and found["whole"] <= LIMIT and found.get("each", 0) <= LIMIT


def line(name, found):
    state = "ok" if good(found) else "FAR" if "whole" in found else "no"
    told = " ".join(found[k] for k in ("said", "llama.cpp") if k in found)[:110]
    return (f"{name:24} {state:4} {figure(found.get('whole')):8} {figure(found.get('each')):8} "
            f"noise {figure(found.get('noise')):8} golden {figure(found.get('golden')):8} {told}")


PAGE = """# Models: the architectures of llama.cpp, and what is proven of each

Written by `tools/oracle/check_archs.py --page docs/models.md`. For each architecture that llama.cpp names, tiny random
models (`tests/golden/archs/`, from `tools/oracle/peer_table.py` and `peer_variants.py`) went through llama.cpp and
andiron. The figures are the largest difference of a logit (of encoders: of a number of an embedding), of the largest
logit there is: with the prompt in one step, and token by token. "Own noise" is how far llama.cpp is from itself between
these two; where it takes GELU from a table of 16-bit numbers, all figures are larger. A dash: attention looks ahead, so
that token by token is another question.

%d of %d architectures give llama.cpp's numbers within 1e-3; with variants, %d of %d models do.

| architecture.variant | one step | token by token | own noise | |
|---|---|---|---|---|
%s

## What files may say that llama.cpp takes otherwise

Found with other seeds, sizes and options than those above. In each andiron is like Transformers.

| architecture | llama.cpp |
|---|---|
%s
"""


def row(name, results, ours):
    if name not in results:
        return f"| {name} | | | | not compared: {CANNOT.get(name, 'no tiny model')} |"
    r = results[name]
    said = "differs" if "whole" in r else "does not run" if name.split(".")[0] in ours else "no definition"
    figures = " | ".join(figure(r.get(key)) for key in ("whole", "each", "noise"))
    return f"| {name} | {figures} | {'as llama.cpp' if good(r) else APART.get(name, said)} |"


def page(results):
    ours = {p.stem for p in (ROOT / "arch").glob("*.arch")}
    archs = {name.split(".")[0] for name in results} | set(CANNOT)
    rows = [row(name, results, ours) for name in sorted(archs | set(results))]
    n_good = sum(name in results and good(results[name]) for name in archs)
    return PAGE % (n_good, len(archs), sum(map(good, results.values())), len(results), "\n".join(rows),
                   "\n".join(f"| {arch} | {what} |" for arch, what in OTHERWISE))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--andiron", default=ROOT / "build/release/bin/andiron", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(folder)
        for name in options.names or sorted(p.stem for p in ARCHS.glob("*.txt")):
            results[name] = check(name, options, peer)
            print(line(name, results[name]), flush=True)
        peer.close()
    print(f"{sum(map(good, results.values()))} of {len(results)} ok")
    if options.page:
        options.page.write_text(page(results))


if __name__ == "__main__":
    main()
