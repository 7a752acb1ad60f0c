#!/usr/bin/env python3
"""make_model.py OUT.gguf SHAPE TYPE: write a model of a true shape with random weights, for measuring speed.

Speed does not depend on what the weights are, as long as they are ordinary numbers: each matrix is a chunk of random
blocks, repeated, whose scales are set so that a weight is about 1/50. SHAPE is a row of SHAPES, TYPE a row of TYPES or
of MIXES (what llama-quantize calls Q4_K_M and so on: better types for some matrices). The vocabulary is every byte,
then pairs of letters, then unused tokens. Only Python's own library is used."""
import array
import os
import pathlib
import random
import struct
import sys

# width, layers, heads, key-value heads, head size, feed-forward width, vocabulary
SHAPES = {
    "1b": (2048, 16, 32, 8, 64, 8192, 128256),
    "h80": (1440, 12, 18, 6, 80, 3872, 32000),
    "h256": (1536, 12, 6, 1, 256, 4096, 32000),
    "mqa": (1600, 12, 25, 1, 64, 4320, 32000),
    "tiny": (256, 2, 4, 2, 64, 512, 1024),
}
HALF_SCALE, ONE = struct.pack("<e", 0.004), struct.pack("<e", 1.0)
# number in a file, items of a block, bytes of a block, then what is not random: offset -> bytes
TYPES = {
    "F32": (0, 1, 4, None), "F16": (1, 1, 2, None), "BF16": (30, 1, 2, None),
    "Q4_0": (2, 32, 18, {0: HALF_SCALE}),
    "Q4_1": (3, 32, 20, {0: HALF_SCALE, 2: struct.pack("<e", -0.03)}),
    "Q5_0": (6, 32, 22, {0: struct.pack("<e", 0.002)}),
    "Q5_1": (7, 32, 24, {0: struct.pack("<e", 0.002), 2: struct.pack("<e", -0.03)}),
    "Q8_0": (8, 32, 34, {0: struct.pack("<e", 0.0003)}),
    "Q2_K": (10, 256, 84, {80: struct.pack("<e", 0.002), 82: struct.pack("<e", 0.003)}),
    "Q3_K": (11, 256, 110, {108: struct.pack("<e", 0.0005)}),
    "Q4_K": (12, 256, 144, {0: struct.pack("<e", 0.00015), 2: struct.pack("<e", 0.001)}),
    "Q5_K": (13, 256, 176, {0: struct.pack("<e", 0.00008), 2: struct.pack("<e", 0.001)}),
    "Q6_K": (14, 256, 210, {208: struct.pack("<e", 0.00002)}),
    "IQ2_XXS": (16, 256, 66, {0: struct.pack("<e", 0.002)}),
    "IQ2_XS": (17, 256, 74, {0: struct.pack("<e", 0.002)}),
    "IQ3_XXS": (18, 256, 98, {0: struct.pack("<e", 0.001)}),
    "IQ1_S": (19, 256, 50, {0: HALF_SCALE}),
    "IQ4_NL": (20, 32, 18, {0: struct.pack("<e", 0.0003)}),
    "IQ3_S": (21, 256, 110, {0: struct.pack("<e", 0.0005)}),
    "IQ2_S": (22, 256, 82, {0: struct.pack("<e", 0.002)}),
    "IQ4_XS": (23, 256, 136, {0: struct.pack("<e", 0.00002)}),
    "IQ1_M": (29, 256, 56, {48: bytes([0x00, 0x10, 0x00, 0x80, 0x00, 0x10, 0x00, 0x10])}),
    "TQ1_0": (34, 256, 54, {52: struct.pack("<e", 0.02)}),
    "TQ2_0": (35, 256, 66, {64: struct.pack("<e", 0.02)}),
    "MXFP4": (39, 32, 17, {0: bytes([119])}),
    "NVFP4": (40, 64, 36, {0: bytes([0x20] * 4)}),
    "Q1_0": (41, 128, 18, {0: struct.pack("<e", 0.02)}), "Q2_0": (42, 64, 18, {0: struct.pack("<e", 0.02)}),
}
# a mix: the usual type, and the better one that half of the value and down matrices have
MIXES = {"Q4_K_M": ("Q4_K", "Q6_K"), "Q5_K_M": ("Q5_K", "Q6_K")}
WHOLE = {"F32", "F16", "BF16", "Q8_0"}  # the vocabulary's matrix has the same type; else Q6_K, as llama-quantize has it
CHUNK_BLOCKS, ALIGNMENT = 16411, 32  # a prime, so that rows differ


def chunk_of(type_name, rng):
    """The bytes of CHUNK_BLOCKS blocks."""
    _, items, size, fixed = TYPES[type_name]
    if type_name == "F16":
        return b"".join(struct.pack("<e", rng.gauss(0, 0.02)) for _ in range(CHUNK_BLOCKS))
    if fixed is None:
        floats = array.array("f", (rng.gauss(0, 0.02) for _ in range(CHUNK_BLOCKS))).tobytes()
        return floats if size == 4 else b"".join(floats[4 * i + 2:4 * i + 4] for i in range(CHUNK_BLOCKS))
    data = bytearray(rng.randbytes(CHUNK_BLOCKS * size))
    for at, value in fixed.items():
        for i, byte in enumerate(value):
            data[at + i::size] = bytes([byte]) * CHUNK_BLOCKS
    return bytes(data)


def better(layer, n_layers):
    return layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2


def tensors_of(shape, type_name):
    """(name, columns, rows, type); norms have 0 rows."""
    width, layers, heads, kv_heads, head, ff, vocabulary = shape
    usual, best = MIXES.get(type_name, (type_name, type_name))
    fits = width % 256 == 0
    yield "token_embd.weight", width, vocabulary, usual if usual in WHOLE else "Q6_K" if fits else "Q8_0"
    yield "output_norm.weight", width, 0, "F32"
    for i in range(layers):
        of = f"blk.{i}."
        value = best if better(i, layers) else usual
        for name, columns, rows, kind in (
                ("attn_norm", width, 0, "F32"), ("attn_q", width, heads * head, usual),
                ("attn_k", width, kv_heads * head, usual), ("attn_v", width, kv_heads * head, value),
                ("attn_output", heads * head, width, usual), ("ffn_norm", width, 0, "F32"),
                ("ffn_gate", width, ff, usual), ("ffn_up", width, ff, usual), ("ffn_down", ff, width, value)):
            yield f"{of}{name}.weight", columns, rows, kind


def vocabulary_of(n):
    """Token texts, their types (1 ordinary, 5 unused) and merges, in GPT-2's spelling of bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    for i, b in enumerate(b for b in range(256) if b not in letters):
        letters[b] = chr(256 + i)
    tokens = [letters[b] for b in range(256)]
    small = [chr(c) for c in range(97, 123)]
    pairs = [(a, b) for a in small for b in small][:max(0, n - 256)]
    tokens += [a + b for a, b in pairs]
    kinds = [1] * len(tokens) + [5] * (n - len(tokens))
    tokens += [f"<|unused_{i}|>" for i in range(n - len(tokens))]
    return tokens, kinds, [f"{a} {b}" for a, b in pairs]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, value, kind):
    """A key and its value: kind is struct's letter, "s" for text, and doubled for a list."""
    number = {"I": 4, "i": 5, "f": 6, "?": 7, "s": 8}[kind[0]]
    one = text if kind[0] == "s" else lambda v: struct.pack("<" + kind[0], v)
    if len(kind) == 1:
        return text(key) + struct.pack("<I", number) + one(value)
    return text(key) + struct.pack("<IIQ", 9, number, len(value)) + b"".join(map(one, value))


def metadata(name, shape):
    width, layers, heads, kv_heads, head, ff, vocabulary = shape
    tokens, kinds, merges = vocabulary_of(vocabulary)
    of = "llama."
    return [
        pair("general.architecture", "llama", "s"), pair("general.name", name, "s"),
        pair(of + "context_length", 131072, "I"), pair(of + "embedding_length", width, "I"),
        pair(of + "block_count", layers, "I"), pair(of + "feed_forward_length", ff, "I"),
        pair(of + "attention.head_count", heads, "I"), pair(of + "attention.head_count_kv", kv_heads, "I"),
        pair(of + "attention.key_length", head, "I"), pair(of + "attention.value_length", head, "I"),
        pair(of + "attention.layer_norm_rms_epsilon", 1e-5, "f"), pair(of + "rope.freq_base", 500000.0, "f"),
        pair(of + "rope.dimension_count", head, "I"), pair(of + "vocab_size", vocabulary, "I"),
        pair("tokenizer.ggml.model", "gpt2", "s"), pair("tokenizer.ggml.pre", "llama-bpe", "s"),
        pair("tokenizer.ggml.tokens", tokens, "ss"), pair("tokenizer.ggml.token_type", kinds, "ii"),
        pair("tokenizer.ggml.merges", merges, "ss"), pair("tokenizer.ggml.bos_token_id", 1, "I"),
        pair("tokenizer.ggml.eos_token_id", 2, "I"), pair("tokenizer.ggml.add_bos_token", False, "?"),
    ]


def bytes_of(columns, rows, kind):
    _, items, size, _ = TYPES[kind]
    if columns % items:
        raise SystemExit(f"make_model.py: rows of {columns} weights do not divide into blocks of {kind} ({items})")
    return columns // items * size * max(rows, 1)


def write_data(out, tensors, rng):
    chunks = {}
    for _, columns, rows, kind in tensors:
        size = bytes_of(columns, rows, kind)
        if rows == 0:
            out.write(array.array("f", (1 + rng.gauss(0, 0.05) for _ in range(columns))).tobytes())
        else:
            chunk = chunks.setdefault(kind, chunk_of(kind, rng) if kind not in chunks else None)
            start = rng.randrange(CHUNK_BLOCKS) * TYPES[kind][2]
            first = chunk[start:start + size]
            out.write(first)
            whole, rest = divmod(size - len(first), len(chunk))
            for _ in range(whole):
                out.write(chunk)
            out.write(chunk[:rest])
        out.write(bytes(-size % ALIGNMENT))


def write_model(path, shape_name, type_name):
    rng = random.Random(1)
    shape = SHAPES[shape_name]
    tensors = list(tensors_of(shape, type_name))
    pairs = metadata(f"random {shape_name} {type_name}", shape)
    header = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(pairs)), *pairs]
    offset = 0
    for name, columns, rows, kind in tensors:
        dimensions = (columns, rows) if rows else (columns,)
        header.append(text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
                      + struct.pack("<IQ", TYPES[kind][0], offset))
        offset += -(-bytes_of(columns, rows, kind) // ALIGNMENT) * ALIGNMENT
    head = b"".join(header)
    partial = pathlib.Path(f"{path}.partial")
    with open(partial, "wb") as out:
        out.write(head + bytes(-len(head) % ALIGNMENT))
        write_data(out, tensors, rng)
    os.replace(partial, path)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in SHAPES or sys.argv[3] not in (*TYPES, *MIXES):
        sys.exit(__doc__ + f"\nSHAPE: {' '.join(SHAPES)}\nTYPE: {' '.join((*TYPES, *MIXES))}")
    write_model(*sys.argv[1:])
