"""Makes tests/golden/kernels/pack.bin: numbers, and what gguf.quants.quantize makes of them.

    python tools/oracle/make_pack.py

Development only; needs gguf. Little-endian: u32 n, n f32; then for each type u32 its id, u32 bytes, the bytes.
"""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/kernels/pack.bin"
TYPES = [Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]


def numbers():
    r = np.random.default_rng(7)
    rows = [r.standard_normal(32) * 10.0 ** r.integers(-6, 4) for _ in range(40)]
    rows += [np.zeros(32), -np.zeros(32), np.full(32, 3.25), np.full(32, -3.25)]
    rows += [np.arange(32) - 16, np.arange(32) / 2, np.round(r.standard_normal(32) * 4) / 2] # ties, halves
    rows += [r.choice([-1, 1], 32) * 127.0, np.arange(32) * 4 + 0.5, -np.arange(32) - 0.5]
    rows += [r.standard_normal(32) * 1e-30, np.abs(r.standard_normal(32)) + 100, r.standard_normal(32) * 60000 / 5]
    return np.clip(np.concatenate(rows), -65000, 65000).astype(np.float32)


def main():
    x = numbers()
    out = struct.pack("<I", x.size) + x.tobytes()
    for t in TYPES:
        data = x.astype(np.float16).tobytes() if t == Type.F16 else quantize(x.reshape(-1, 32), t).tobytes()
        out += struct.pack("<II", t, len(data)) + data
    OUT.write_bytes(out)


main()
