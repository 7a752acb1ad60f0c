"""Writes tests/golden/kernels/blocks.bin: random blocks of each weight type and the f32 bits that they mean.

    make_blocks.py [ITEMS] > tests/golden/kernels/blocks.bin

The numbers are the gguf package's; those of types it does not know (or knows only as sizes) are the ggml library's that
llama-cpp-python carries. Where both know a type they are asked both, and must agree. Scales are finite: what an
infinite or NaN scale gives is not held.

Records, little-endian: u32 type, u32 items, u32 bytes, the blocks, items f32.
"""
import ctypes
import pathlib
import struct
import sys

import gguf
import llama_cpp
import numpy as np

ITEMS = int(sys.argv[1]) if len(sys.argv) > 1 else 512
SIZES = {t.value: gguf.GGML_QUANT_SIZES[t] for t in gguf.GGMLQuantizationType} | {42: (64, 18)}
FLOATS = {0: np.float32, 1: np.float16}
# Bytes of a block that are the high bytes of half floats, whose exponent must not be 31.
HALVES = {2: [1], 3: [1, 3], 6: [1], 7: [1, 3], 8: [1], 10: [81, 83], 11: [109], 12: [1, 3], 13: [1, 3], 14: [209],
          16: [1], 17: [1], 18: [1], 19: [1], 20: [1], 21: [1], 22: [1], 23: [1], 29: [], 34: [53], 35: [65], 39: [],
          40: [], 41: [1], 42: [1], 0: [], 1: [1], 30: []}


class Traits(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleave", ctypes.c_int64),
                ("size", ctypes.c_size_t), ("quantized", ctypes.c_bool), ("to_float", ctypes.c_void_p),
                ("from_float", ctypes.c_void_p)]


def ggml():
    lib = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    return lib


def from_ggml(lib, kind, blocks):
    traits = lib.ggml_get_type_traits(kind).contents
    if not traits.to_float:
        return None
    assert (traits.block, traits.size) == SIZES[kind], traits.name
    out = np.empty(ITEMS, np.float32)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(traits.to_float)
    call(blocks.ctypes.data, out.ctypes.data, ITEMS)
    return out


def from_gguf(kind, blocks):
    if kind in FLOATS:
        return blocks.view(FLOATS[kind]).astype(np.float32)
    try:
        return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType(kind)).reshape(-1)
    except (NotImplementedError, ValueError):
        return None


def random_blocks(rng, kind):
    items, size = SIZES[kind]
    blocks = rng.integers(0, 256, (ITEMS // items, size), np.uint8)
    for at in HALVES[kind]:
        blocks[:, at] &= 0xbf
    if kind == 29:  # the half float's highest nibble is the last byte's
        blocks[:, 55] &= 0xbf
    if kind == 0:
        blocks[:, 3] &= 0xbf
    if kind == 30:
        blocks[:, 1] &= 0xbf
    if kind == 40:
        blocks[0, :4] = (0, 0x7f, 0xff, 5)
    if kind == 39:
        blocks[:4, 0] = (0, 1, 2, 254)
    return np.ascontiguousarray(blocks)


def main():
    rng, lib = np.random.default_rng(41), ggml()
    for kind in HALVES:
        blocks = random_blocks(rng, kind).reshape(-1)
        both = [x for x in (from_gguf(kind, blocks), from_ggml(lib, kind, blocks)) if x is not None]
        bits = [x.astype("<f4").tobytes() for x in both]
        assert bits and all(b == bits[0] for b in bits), kind
        print(kind, len(both), file=sys.stderr)
        sys.stdout.buffer.write(struct.pack("<III", kind, ITEMS, blocks.size) + blocks.tobytes() + bits[0])


if __name__ == "__main__":
    main()
