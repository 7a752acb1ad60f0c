"""Specs of tiny random models (tests/golden/archs/NAME.txt), their weights, and the GGUF files they stand for.

A spec is lines `kv KEY TYPE VALUE...` and `tensor NAME SPREAD MIDDLE D0 D1 ...` (D0 runs fastest; F32). Item i of a
tensor is MIDDLE + SPREAD * u in float32, rounded after the product and after the sum, where u = (z >> 40) * 2^-23 - 1
and z = mix(fnv1a64(NAME) + (i + 1) * 0x9E3779B97F4A7C15), mix being the finalizer of splitmix64. A line
`ids NAME N 0 D0 D1 ...` is a tensor of I32 whose items are (z >> 40) * N >> 24. Other lines are marks:
    embeddings       the rows of the .bin are embeddings
    whole            attention looks ahead, so that only the whole prompt in one step compares
    flash            llama.cpp computed the rows with flash attention, which it wants for all parts of this model
    encoder T ...    an encoder read these tokens first; the .bin is about the decoder
The tokenizer is the same for all, as long as the key vocab_size says; it stands here and in tests/engine/spec.c.
"""
import numpy as np

N_VOCAB, N_TOKENS = 64, 20
GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
NUMBERS = {"u32": (4, "<u4"), "i32": (5, "<i4"), "f32": (6, "<f4"), "bool": (7, "<u1"), "u64": (10, "<u8")}
TEXT, ARRAY = 8, 9
TENSOR_F32, TENSOR_I32 = 0, 26


def fnv1a64(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def bits(name, n):
    """24 for each item."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN_RATIO
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z >> np.uint64(40)


def weights(name, spread, middle, n):
    if middle is None:
        return (bits(name, n) * np.uint64(spread) >> np.uint64(24)).astype(np.int32)
    u = bits(name, n).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return np.float32(middle) + np.float32(spread) * u


def prompt(n):
    """Fixed tokens, of the first 64; some repeat, so that what looks for equal ones finds them."""
    tokens = [(i * 37 + i * i // 7 + 11) % N_VOCAB for i in range(n)]
    tokens[9:10], tokens[15:16] = tokens[3:4], tokens[8:9]
    return tokens


def tokenizer(n_vocab):
    """End, printable characters, one merge, and numbers; rows (key, type, value) as kv lines hold them."""
    tokens = ["<|end|>"] + [chr(c) for c in range(33, 95)] + ["AB"]
    assert len(tokens) == N_VOCAB
    tokens += [f"<{i}>" for i in range(N_VOCAB, n_vocab)]
    return [("tokenizer.ggml.model", "str", "gpt2"), ("tokenizer.ggml.pre", "str", "gpt-2"),
            ("tokenizer.ggml.tokens", "str[]", tokens),
            ("tokenizer.ggml.token_type", "i32[]", [3] + [1] * (n_vocab - 1)),
            ("tokenizer.ggml.merges", "str[]", ["A B"]), ("tokenizer.ggml.bos_token_id", "u32", 0),
            ("tokenizer.ggml.eos_token_id", "u32", 0), ("tokenizer.ggml.add_bos_token", "bool", False)]


def said(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def write_spec(path, kv, tensors, marks):
    """kv: rows (key, type, value); tensors: rows (name, spread, middle, dims), middle None for ids; marks: lines."""
    lines = [*marks]
    lines += [f"kv {key} {kind} {' '.join(map(said, value if isinstance(value, list) else [value]))}"
             for key, kind, value in kv]
    lines += [f"{'ids' if middle is None else 'tensor'} {name} {spread:g} {middle or 0:g} {' '.join(map(str, dims))}"
              for name, spread, middle, dims in tensors]
    path.write_text("\n".join(lines) + "\n")


def parse(kind, word):
    if kind == "str":
        return word
    return word == "true" if kind == "bool" else float(word) if kind == "f32" else int(word)


def read_spec(path):
    kv, tensors, marks = [], [], []
    for line in path.read_text().splitlines():
        words = line.split(" ")
        if words[0] == "kv":
            kind = words[2].removesuffix("[]")
            values = [parse(kind, w) for w in words[3:]]
            kv.append((words[1], words[2], values if words[2].endswith("[]") else values[0]))
        elif words[0] not in ("tensor", "ids"):
            marks.append(line)
        else:
            middle = float(words[3]) if words[0] == "tensor" else None
            tensors.append((words[1], float(words[2]), middle, [int(w) for w in words[4:]]))
    return kv, tensors, marks


def text(s):
    data = s.encode()
    return len(data).to_bytes(8, "little") + data


def item(kind, value):
    if kind == "str":
        return text(value)
    return np.array(value).astype(NUMBERS[kind][1]).tobytes()


def number(n, size=4):
    return int(n).to_bytes(size, "little")


def entry(key, kind, value):
    """A key and its value as a GGUF file holds them."""
    base = kind.removesuffix("[]")
    code = number(NUMBERS[base][0] if base in NUMBERS else TEXT)
    if base == kind:
        return text(key) + code + item(kind, value)
    return text(key) + number(ARRAY) + code + number(len(value), 8) + b"".join(item(base, v) for v in value)


def write_gguf(path, kv, tensors, change=None):
    """change(name, values): other values for a tensor."""
    n_vocab = next((v for key, _, v in kv if key.endswith(".vocab_size")), N_VOCAB)
    rows = list(kv) + tokenizer(n_vocab)
    head = b"GGUF" + number(3) + number(len(tensors), 8) + number(len(rows), 8)
    head += b"".join(entry(*row) for row in rows)
    data, at = [], 0
    for name, spread, middle, dims in tensors:
        values = weights(name, spread, middle, int(np.prod(dims)))
        values = change(name, values) if change else values
        kind = TENSOR_I32 if middle is None else TENSOR_F32
        head += text(name) + number(len(dims)) + b"".join(number(d, 8) for d in dims) + number(kind) + number(at, 8)
        blob = values.astype("<f4" if middle is not None else "<i4").tobytes()
        blob += bytes(-len(blob) % 32)
        data.append(blob)
        at += len(blob)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + b"".join(data))


def write_golden(path, tokens, logits):
    with open(path, "wb") as f:
        for part, kind in ((logits.shape, "<u4"), (tokens, "<i4"), (logits, "<f4")):
            f.write(np.array(part).astype(kind).tobytes())


def read_golden(path):
    data = path.read_bytes()
    n, width = np.frombuffer(data, "<u4", 2)
    return np.frombuffer(data, "<i4", n, 8).tolist(), np.frombuffer(data, "<f4", offset=8 + 4 * n).reshape(n, width)
