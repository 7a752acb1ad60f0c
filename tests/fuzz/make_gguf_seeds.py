"""Make the seeds of tests/fuzz/corpus/gguf: small files by the gguf package, so that somebody else's writer made them.

    python tests/fuzz/make_gguf_seeds.py     (needs the packages gguf and numpy)
"""
import pathlib
import struct

import gguf
import numpy as np

OUT = pathlib.Path(__file__).parent / "corpus" / "gguf"


def written(name, alignment=None):
    w = gguf.GGUFWriter(OUT / name, "llama")
    if alignment:
        w.add_custom_alignment(alignment)
    return w


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def values():
    w = written("values.gguf")
    for kind, x in [("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000),
                    ("int32", -2000000000), ("float32", 0.5), ("bool", True), ("uint64", 2**64 - 1), ("int64", -1),
                    ("float64", -1e300), ("string", "grün"), ("array", [1, 2, 3]), ("array", ["one", "", "three"]),
                    ("array", [0.5, 1.5]), ("array", [True, False])]:
        getattr(w, "add_" + kind)(f"{kind}.{type(x[0]).__name__}" if kind == "array" else kind, x)
    finish(w)


def tensors():
    for name, alignment in [("tensors.gguf", None), ("aligned64.gguf", 64)]:
        w = written(name, alignment)
        w.add_tensor("token_embd.weight", np.arange(24, dtype=np.float32).reshape(4, 6))
        w.add_tensor("half", np.ones((2, 3, 2, 2), dtype=np.float16))
        w.add_tensor("q", np.zeros((2, 36), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q4_0)
        finish(w)


def by_hand():
    text = lambda s: struct.pack("<Q", len(s)) + s
    head = lambda version, tensors, values: b"GGUF" + struct.pack("<IQQ", version, tensors, values)
    nested = text(b"n") + struct.pack("<IIQ", 9, 9, 2) + 2 * (struct.pack("<IQ", 8, 1) + text(b"x"))
    split = text(b"split.count") + struct.pack("<IH", 2, 2) + text(b"split.no") + struct.pack("<IH", 2, 0)
    (OUT / "nested.gguf").write_bytes(head(3, 0, 1) + nested)
    (OUT / "version2.gguf").write_bytes(head(2, 0, 2) + split)
    (OUT / "empty.gguf").write_bytes(head(3, 0, 0))
    (OUT / "endless.gguf").write_bytes(head(3, 0, 1) + text(b"abc") + struct.pack("<IIQ", 9, 8, 2**64 - 1))
    (OUT / "big_endian.gguf").write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))


OUT.mkdir(parents=True, exist_ok=True)
values()
tensors()
by_hand()
