"""Our K-quants beside ggml's own quantizer, on the same numbers.

    python tools/oracle/check_pack_k.py BUILD [FOLDER ...]     print errors and speeds; fails where ours are worse
    python tools/oracle/check_pack_k.py BUILD --write          make tests/golden/kernels/pack_k.bin

Development only; needs gguf and llama-cpp-python (its libggml-base). FOLDERs hold real weights as model.safetensors.
What we pack is dequantized by gguf; its squared error is at most 1.02 times that of ggml_quantize_chunk.
The golden file: u32 rows, u32 width, f32 numbers; for each type u32 its id, f64 ggml's squared error of each row.
"""
import ctypes
import json
import mmap
import pathlib
import struct
import subprocess
import sys
import time

import numpy as np
import llama_cpp
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/kernels/pack_k.bin"
TYPES = [Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]
MOST = 1.02


def load_ggml():
    base = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib/libggml-base.so"))
    base.ggml_quantize_chunk.restype = ctypes.c_size_t
    base.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    return base


def error(x, packed, t):
    back = dequantize(np.frombuffer(packed, np.uint8).reshape(-1, GGML_QUANT_SIZES[t][1]), t).ravel()
    return float(((x - back).astype(np.float64) ** 2).sum())


def ggml(base, x, t):
    items, size = GGML_QUANT_SIZES[t]
    out = np.empty(x.size // items * size, np.uint8)
    start = time.perf_counter()
    base.ggml_quantize_chunk(int(t), x.ctypes.data, out.ctypes.data, 0, x.size // items, items, None)
    return error(x, out, t), time.perf_counter() - start


def ours(build, x, t):
    done = subprocess.run([pathlib.Path(build) / "bin/pack_numbers", str(int(t))], input=x.tobytes(),
                          capture_output=True, check=True)
    return error(x, done.stdout, t), float(done.stderr)


def numbers(n, seed=7):
    r = np.random.default_rng(seed)
    steps = np.repeat(np.exp(r.standard_normal(n // 32)), 32)
    return {
        "normal": r.standard_normal(n) * 0.02,
        "Student, 3": r.standard_t(3, n) * 0.02,
        "Laplace": r.laplace(size=n) * 0.02,
        "outliers": r.standard_normal(n) * np.where(r.random(n) < 0.003, 0.5, 0.02),
        "uneven": r.standard_normal(n) * steps * 0.02,
        "off zero": r.standard_normal(n) * 0.02 + 0.03 * r.standard_normal(n // 32).repeat(32),
        "4-bit grid": np.round(r.standard_normal(n) * 3).clip(-8, 7) * steps * 0.005,
    }


def read(dtype, raw):
    if dtype == "BF16":
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32)


def real(folder, most=1 << 20):
    """Some matrices of a folder, as many numbers of each."""
    path = pathlib.Path(folder) / "model.safetensors"
    with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        n = struct.unpack("<Q", m[:8])[0]
        for name, t in list(json.loads(m[8:8 + n]).items())[::23]:
            if name != "__metadata__" and len(t["shape"]) == 2:
                x = read(t["dtype"], m[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]])
                yield name, x[:min(most, x.size) // 256 * 256].copy()


def write(base):
    rows = [x.astype(np.float32) for x in numbers(1024).values()]
    out = struct.pack("<II", len(rows), rows[0].size) + b"".join(x.tobytes() for x in rows)
    for t in TYPES:
        out += struct.pack("<I", t) + b"".join(struct.pack("<d", ggml(base, x, t)[0]) for x in rows)
    OUT.write_bytes(out)


def compare(base, build, folders):
    cases = [(name, x.astype(np.float32)) for name, x in numbers(1 << 18).items()]
    for folder in folders:
        cases += real(folder)
    worst = 0.0
    for t in TYPES:
        for name, x in cases:
            (a, fast), (b, slow) = ours(build, x, t), ggml(base, x, t)
            worst = max(worst, a / b if b else float(a > 0))
            print(f"{t.name}  {name:48} {a / b if b else a:6.3f} of ggml's error"
                  f"{x.size / fast / 1e6:8.1f} M/s, ggml {x.size / slow / 1e6:6.1f}", flush=True)
    return worst


def main():
    base = load_ggml()
    if "--write" in sys.argv:
        write(base)
    elif compare(base, sys.argv[1], sys.argv[2:]) > MOST:
        sys.exit(f"worse than {MOST} times ggml's error")


main()
