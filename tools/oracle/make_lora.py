#!/usr/bin/env python3
"""LoRA adapters of random numbers for tiny models of tests/golden/archs, and what llama.cpp computes with them.

    make_lora.py [NAME ...]

Writes tests/golden/lora/NAME.txt, the adapter's spec (peer_gguf.py), and NAME.bin, tokens and logits as peer_archs.py
writes them: the model with the adapter at SCALE. Prints how far the logits are from those without it.
"""
import pathlib
import re
import sys
import tempfile

import numpy as np

import peer_gguf
from peer_run import Peer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests/golden"
RANK, ALPHA, SCALE = 4, 6.0, 0.7
ADAPTED = r"(attn_(q|k|v|qkv|output)|ffn_(gate|up|down)(_exps|_shexp)?|output)\.weight$"
NAMES = ["llama", "qwen3moe", "phi3.plain", "gpt2", "mamba2", "gemma4"]  # the last has keys that are not read
MORE = {"mamba2": r"ssm_(in|out)\.weight$", "llama": ADAPTED + r"|token_embd\.weight$"}


def adapter_of(name, tensors):
    """Pairs of tensors: rows narrow to RANK numbers, and widen again; of a table of tokens the other way."""
    pairs = []
    for tensor, _, _, dims in tensors:
        if not re.search(MORE.get(name, ADAPTED), tensor):
            continue
        wide, rest = (dims[1], dims[0]) if tensor == "token_embd.weight" else (dims[0], dims[1])
        a = [RANK, wide] if tensor == "token_embd.weight" else [wide, RANK]
        pairs.append((f"{tensor}.lora_a", 0.2 if tensor == "token_embd.weight" else 1 / wide**0.5, 0, a + dims[2:]))
        pairs.append((f"{tensor}.lora_b", 0.3, 0, [RANK, rest] + dims[2:]))
    return pairs


def make(name, peer):
    kv, tensors, _ = peer_gguf.read_spec(GOLDEN / f"archs/{name}.txt")
    tokens, plain = peer_gguf.read_golden(GOLDEN / f"archs/{name}.bin")
    rows = [("general.architecture", "str", name.split(".")[0]), ("general.type", "str", "adapter"),
            ("adapter.type", "str", "lora"), ("adapter.lora.alpha", "f32", ALPHA)]
    pairs = adapter_of(name, tensors)
    model, adapter = peer.folder / "model.gguf", peer.folder / "adapter.gguf"
    peer_gguf.write_gguf(model, kv, tensors)
    out = GOLDEN / "lora"
    out.mkdir(exist_ok=True)
    peer_gguf.write_spec(out / f"{name}.txt", rows, pairs, [])
    peer_gguf.write_gguf(adapter, *peer_gguf.read_spec(out / f"{name}.txt")[:2])
    logits = peer.run(model, tokens, lora=[str(adapter), SCALE])
    peer_gguf.write_golden(out / f"{name}.bin", tokens, logits)
    effect = np.abs(logits - plain).max() / np.abs(plain).max()
    print(f"{name}: {len(pairs)} tensors, {effect:.2f} from the model alone")


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        peer = Peer(folder)
        for name in sys.argv[1:] or NAMES:
            make(name, peer)
        peer.close()


if __name__ == "__main__":
    main()
