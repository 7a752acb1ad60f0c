"""gguf_edit.py - a GGUF file read, changed in its metadata and written again; and the small models the tests talk to.

Format: ggml/docs/gguf.md. Only what tests need: no big-endian files, tensors are copied as they lie."""
import struct

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY, U32, I32, BOOL = 8, 9, 4, 5, 7


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self):
        n = self.number("<Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item, n = self.number("<I"), self.number("<Q")
            return item, [self.value(item) for _ in range(n)]
        return self.number(SCALARS[kind])


def pack_string(data):
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if kind == STRING:
        return pack_string(value)
    if kind == ARRAY:
        item, items = value
        return struct.pack("<IQ", item, len(items)) + b"".join(pack_value(item, v) for v in items)
    return struct.pack(SCALARS[kind], value)


class Gguf:
    """`meta`: key to (kind, value), in order; tensors stay as they are."""

    def __init__(self, path):
        reader = Reader(path.read_bytes())
        reader.at = 4
        self.version, n_tensors, n_meta = reader.number("<I"), reader.number("<Q"), reader.number("<Q")
        self.meta, self.n_tensors = {}, n_tensors
        for _ in range(n_meta):
            key, kind = reader.string().decode(), reader.number("<I")
            self.meta[key] = (kind, reader.value(kind))
        start = reader.at
        for _ in range(n_tensors):
            reader.string()
            n_dims = reader.number("<I")
            reader.at += 8 * n_dims + 4 + 8
        self.tensors = reader.data[start:reader.at]
        self.data = reader.data[(reader.at + 31) // 32 * 32:]

    def write(self, path):
        head = b"GGUF" + struct.pack("<IQQ", self.version, self.n_tensors, len(self.meta))
        head += b"".join(pack_string(k.encode()) + struct.pack("<I", kind) + pack_value(kind, value)
                         for k, (kind, value) in self.meta.items()) + self.tensors
        path.write_bytes(head + bytes(-len(head) % 32) + self.data)
        return path


TEMPLATE = ("{% for m in messages %}<|{{ m.role[0] }}|>{{ m.content }}<|end|>{% endfor %}"
            "{% if add_generation_prompt %}<|a|>{% endif %}")
CONTROL = ["<|s|>", "<|u|>", "<|a|>"]


def write_chat_model(golden, path, n_ctx=200000, template=TEMPLATE):
    """The tiny llama with a chat template, a long context, and a vocabulary that has new lines, tabs and an e with an
    acute accent in two bytes. Its answers are noise, but always the same noise."""
    g = Gguf(golden)
    texts = g.meta["tokenizer.ggml.tokens"][1][1][:98]
    texts += [t.encode() for t in CONTROL + ["\u010a", "\u0109", "\u00c3", "\u00a9"]]
    kinds = [3] + [1] * 97 + [3] * len(CONTROL) + [1] * 4
    while len(texts) < 128:
        texts.append(b"zz%d" % len(texts))
        kinds.append(1)
    merges = g.meta["tokenizer.ggml.merges"][1][1][:2]
    g.meta["tokenizer.ggml.tokens"] = (ARRAY, (STRING, texts))
    g.meta["tokenizer.ggml.token_type"] = (ARRAY, (I32, kinds))
    g.meta["tokenizer.ggml.merges"] = (ARRAY, (STRING, merges))
    g.meta["llama.context_length"] = (U32, n_ctx)
    if template:
        g.meta["tokenizer.chat_template"] = (STRING, template.encode())
    return g.write(path)
