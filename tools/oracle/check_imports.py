#!/usr/bin/env python3
"""Import tiny models and compare what andiron computes with what Transformers computed when they were made.

    check_imports.py DIR [NAME ...] [--andiron PROGRAM] [--seconds N] [--out DIR]

Each folder DIR/NAME holds a model as Transformers saves it and may hold golden.safetensors: input_ids [1, n], logits
[n, V] of one pass and, where the model has a cache, logits_decode [m, V] of the last m tokens one by one; without that
file the importer's own proof is what counts. One line a model, then how many agree within 2e-4 of the largest logit;
where Transformers' own cache gives other logits than its one pass, that pass counts, and where scores that the largest
are taken of are equal, the first. Python files of the folders are run. Needs what tools/import needs; --out keeps the
imported files.
"""
import argparse
import contextlib
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time

import gguf
import torch
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools/import"))

from andiron_import import __main__ as importer  # noqa: E402
from andiron_import import check, heads  # noqa: E402
from andiron_import.values import Refused  # noqa: E402


def compared(folder, out, program):
    """What is to be said of one model, and whether it agrees."""
    try:
        worst = importer.run(folder, out, "f32", program, trust=True)
    except Exception as e:  # noqa: BLE001 - whatever the importer says is the result
        return False, f"{type(e).__name__}: {str(e).splitlines()[0][:300] if str(e) else ''}"
    if not (folder / "golden.safetensors").exists():
        return True, f"{worst:.1e}"
    golden = load_file(folder / "golden.safetensors")
    tokens, logits = golden["input_ids"][0].tolist(), golden["logits"]
    one_by_one = golden.get("logits_decode", logits[:0])
    most = longest(out)
    if 0 < most < len(tokens):
        return True, f"{worst:.1e}, of texts of {most} tokens at most"
    n = len(one_by_one)
    got = check.andiron_logits(program, out, tokens, 0)
    far = [check.far(got, logits)]
    own = check.far(one_by_one, logits[-n:]) if n else 0
    if n:
        want = one_by_one if own < check.LIMIT else logits[-n:]
        try:
            far.append(check.far(check.andiron_logits(program, out, tokens, n)[-n:], want))
        except Refused as e:
            if "reads whole texts" not in str(e):
                raise
    said = " ".join(f"{by:.1e}" for by in far)
    if max(far) > check.LIMIT:
        first = check.far(got, by_own_rule(folder, golden["input_ids"]))
        return first <= check.LIMIT, f"{said}, where torch's topk takes of equals what andiron does {first:.1e}"
    return True, said if own < check.LIMIT else f"{said}, Transformers from itself {own:.1e}"


def longest(path):
    """Tokens of a text, as the file has it; 0: it does not say."""
    fields = gguf.GGUFReader(path).fields
    return next((int(f.parts[-1][0]) for name, f in fields.items() if name.endswith(".context_length")), 0)


def by_own_rule(folder, tokens):
    """Transformers' logits by the rule that andiron has: torch's topk takes any of equal numbers."""
    kind, config = heads.class_of(folder, trust=True)
    model = kind.from_pretrained(folder, config=config, dtype="float32").eval()
    return check.answer(model, torch.from_numpy(tokens))


def child(folder, out, program, pipe):
    with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        os.dup2(nothing.fileno(), 2)
        pipe.send(compared(folder, out, program))


def in_time(folder, out, program, seconds):
    """The same in a process of its own, which may take so long."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(folder, out, program, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(seconds) else (False, f"took more than {seconds} s")
    except EOFError:
        return False, "its process ended without a word"
    finally:
        process.kill()
        process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--andiron", default=str(ROOT / "build/release/bin/andiron"))
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    names = args.names or sorted(p.parent.name for p in args.dir.glob("*/config.json"))
    agree = 0
    with tempfile.TemporaryDirectory() as nothing:
        out = args.out or pathlib.Path(nothing)
        out.mkdir(exist_ok=True)
        for name in names:
            start = time.time()
            ok, said = in_time(args.dir / name, out / f"{name}.gguf", args.andiron, args.seconds)
            agree += ok
            print(f"{name} {'ok' if ok else 'FAIL'} {said} ({time.time() - start:.0f} s)", flush=True)
            if not args.out:
                (out / f"{name}.gguf").unlink(missing_ok=True)
    print(f"{agree} passed, {len(names) - agree} failed")
    sys.exit(agree < len(names))


if __name__ == "__main__":
    main()
