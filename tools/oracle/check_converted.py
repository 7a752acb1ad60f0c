#!/usr/bin/env python3
"""Tiny folders as andiron convert writes them, in llama.cpp: its logits against Transformers' golden ones.

    check_converted.py build/release/bin/andiron [--type f32] [TYPE ...]

Without TYPE all of tests/golden/hf_models. A line each: how far of the largest logit, or why llama.cpp does not load
it. Needs llama-cpp-python. It takes GELU from a table of 16-bit numbers, and rounds what it multiplies with packed
weights; windows of some types it does not have (docs/engine.md).
"""
import argparse
import pathlib
import shutil
import struct
import subprocess
import tempfile

import numpy as np

from peer_run import Peer

VOCABULARY = 64  # rows of other lengths are an encoder's
MODELS = pathlib.Path(__file__).parents[2] / "tests/golden/hf_models"


def golden(folder):
    data = (folder / "golden.bin").read_bytes()
    n, columns = struct.unpack_from("<II", data)
    return np.frombuffer(data, "<i4", n, 8).tolist(), np.frombuffer(data, "<f4", -1, 8 + 4 * n).reshape(-1, columns)


def check(peer, args, name, folder):
    copy, out = folder / "copy", folder / "out.gguf"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(MODELS / name, copy)
    (copy / "tokenizer.json").unlink()  # of words, which GGUF has no way to say
    tokens, want = golden(copy)
    made = subprocess.run([args.andiron, "convert", copy, out, "--type", args.type, "--force"], capture_output=True,
                          text=True)
    if made.returncode:
        return made.stderr.strip()[-120:]
    try:
        rows = peer.run(out, tokens, embed=want.shape[1] != VOCABULARY)
    except ValueError as e:
        return str(e)[-120:]
    if rows.shape != want.shape:
        return f"gives {rows.shape}, not {want.shape}"
    return f"{np.abs(rows - want).max() / np.abs(want).max():.1e}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("andiron")
    parser.add_argument("types", nargs="*")
    parser.add_argument("--type", default="f32")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(folder)
        for name in args.types or sorted(p.name for p in MODELS.iterdir()):
            print(f"{name:28} {check(peer, args, name, pathlib.Path(folder))}", flush=True)
        peer.close()


if __name__ == "__main__":
    main()
