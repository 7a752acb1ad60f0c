"""Make the seeds of tests/fuzz/corpus/model from tests/golden/qwen2_q4_0.gguf: the same weights under an architecture
of their own, which the file brings along, and a chat template.

    python tests/fuzz/make_model_seeds.py
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
WIDTHS = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
STRING, ARRAY = 8, 9

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")

INHERITS = """arch own : qwen2
param kind = meta_text("rope.scaling.type", "none")
block gate(x) { if kind == "yarn" { return relu2(x) } else { return softcap(gelu(x), cap: 3) * 0.5 + 1 } }
block layer(x, l) {
  h = heads(x + relu(layernorm(x, l.attn_norm, 1e-5)), n_head)
  b = rmsnorm(h * 2 - slice(x, head_size, head_size), none, eps)
  y = parent.layer(x, l)
  return y + sigmoid(y) * tanh(x) - exp(-1 * silu(y)) / 3 + flat(b * slice(y, 0, head_size))
}
block logits(x) { return softplus(parent.logits(x)) }
"""


PIECES = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in (0x0A, 0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80, 0xFF)] + [
    c for c in "\u2581etaoinshrdlucmfwypvbgkjqxzHELW1234567890,.:!?'<|>_"] + [
    "\u2581\u2581", "\u2581t", "he", "\u2581the", "in", "er", "an", "\u2581a", "ll", "llo", "ello", "\u2581Hello",
    "wor", "\u2581wor", "ld", "orld", "\u2581world", "<|im_start|>", "<|im_end|>", "\u2581w", "12", "it", "'s"]


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(s)) + s


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        x, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return x

    def text(self):
        n = self.number("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def item(self, kind):
        if kind == STRING:
            self.text()
        else:
            self.at += WIDTHS[kind]

    def value(self):
        """The bytes of a value with its type."""
        begin, kind = self.at, self.number("I")
        inner, n = (self.number("I"), self.number("Q")) if kind == ARRAY else (kind, 1)
        for _ in range(n):
            self.item(inner)
        return self.data[begin:self.at]

    def tensor(self):
        begin = self.at
        self.text()
        n_dims = self.number("I")
        self.at += 8 * n_dims + 4 + 8
        return self.data[begin:self.at]


def padded(data):
    return data + bytes(-len(data) % 32)


def array(kind, items):
    return struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def spm():
    """The metadata of a SentencePiece vocabulary of 128 tokens, padded with unused ones."""
    pieces = PIECES + [f"<unused{i}>" for i in range(128 - len(PIECES))]
    kinds = [2, 3, 3] + [6 if p.startswith("<0x") else 3 if p.startswith("<|") and len(p) > 2 else
                         5 if p.startswith("<unused") else 1 for p in pieces[3:]]
    flag = lambda x: struct.pack("<IB", 7, x)
    number = lambda x: struct.pack("<II", 4, x)
    return {"tokenizer.ggml.model": struct.pack("<I", STRING) + text("llama"),
            "tokenizer.ggml.tokens": array(STRING, [text(p) for p in pieces]),
            "tokenizer.ggml.scores": array(6, [struct.pack("<f", -float(i)) for i in range(len(pieces))]),
            "tokenizer.ggml.token_type": array(5, [struct.pack("<i", k) for k in kinds]),
            "tokenizer.ggml.bos_token_id": number(1), "tokenizer.ggml.eos_token_id": number(2),
            "tokenizer.ggml.unknown_token_id": number(0), "tokenizer.ggml.add_bos_token": flag(1),
            "tokenizer.ggml.add_space_prefix": flag(1)}


def make(name, definition, vocabulary=None):
    r = Reader((ROOT / "tests/golden/qwen2_q4_0.gguf").read_bytes())
    r.at = 8
    n_tensors, n_values = r.number("Q"), r.number("Q")
    values = {}
    for _ in range(n_values):
        key = r.text()
        values[key.replace(b"qwen2.", b"own.") if key.startswith(b"qwen2.") else key] = r.value()
    tensors = b"".join(r.tensor() for _ in range(n_tensors))
    data = r.data[-(-r.at // 32) * 32:]
    for key, x in [("general.architecture", "own"), ("andiron.arch", definition),
                   ("tokenizer.chat_template", TEMPLATE)]:
        values[key.encode()] = struct.pack("<I", STRING) + text(x)
    if vocabulary:
        del values[b"tokenizer.ggml.merges"], values[b"tokenizer.ggml.pre"]
        values.update((key.encode(), value) for key, value in vocabulary.items())
    header = b"GGUF" + struct.pack("<IQQ", 3, n_tensors, len(values))
    header += b"".join(text(key) + value for key, value in values.items())
    (HERE / "corpus" / "model" / name).write_bytes(padded(header + tensors) + data)


make("inherits.gguf", INHERITS)
make("spm.gguf", "arch own : qwen2", spm())
make("whole.gguf", (ROOT / "arch/llama.arch").read_text().replace("arch llama", "arch own")
     .replace('"pairs"', '"halves"'))
