"""andiron logits: the file's form, and the same bytes however it is asked for."""
import array
import json
import os
import struct

import harness
from gguf_edit import STRING, pack_string
from harness import GOLDEN, SMOLLM2, Case, chat_model, needs, run, scratch, tiny

TOKENS = ",".join(str(i * 37 % 128) for i in range(41))
WAYS = [["--ubatch", "1"], ["--ubatch", "7"], ["--decode", "0"], ["--decode", "1"], ["--decode", "40"],
        ["--decode", "41"], ["--decode", "9", "--ubatch", "5"], ["--beside", "3"],
        ["--beside", "3", "--ubatch", "10", "--decode", "4"], ["-t", "1"], ["-t", "3"], ["--cpu", "ref"], ["-c", "100"]]


def read(path):
    """The header and the rows."""
    data = path.read_bytes()
    (n,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + n])
    values = array.array("f", data[8 + n:])
    n_rows, n_columns = header["logits"]["shape"]
    return header, [values[i * n_columns:(i + 1) * n_columns] for i in range(n_rows)]


def adapter(path, b):
    """A LoRA of rank 1 for the first layer's queries of the tiny llama."""
    texts = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    data = b"GGUF" + struct.pack("<IQQ", 3, 2, len(texts))
    for key, text in texts.items():
        data += pack_string(key.encode()) + struct.pack("<I", STRING) + pack_string(text.encode())
    for name, dims, at in (("lora_a", (64, 1), 0), ("lora_b", (1, 64), 256)):
        data += pack_string(f"blk.0.attn_q.weight.{name}".encode()) + struct.pack("<I2QIQ", 2, *dims, 0, at)
    path.write_bytes(data + bytes(-len(data) % 32) + struct.pack("<128f", *[0.1] * 64, *[b] * 64))
    return path


class Logits(Case):
    def file(self, model, *args, **options):
        path = scratch / "logits.safetensors"
        self.assertEqual(self.ok("logits", model, "-o", path, *args, **options), b"")
        return path

    def test_form(self):
        path = self.file(tiny(), "--tokens", "1,2,3")
        header, rows = read(path)
        self.assertEqual(header, {"logits": {"dtype": "F32", "shape": [3, 128], "data_offsets": [0, 3 * 128 * 4]}})
        self.assertEqual(struct.unpack_from("<Q", path.read_bytes())[0] % 8, 0)
        self.assertEqual([len(r) for r in rows], [128] * 3)
        self.assertEqual([p.name for p in scratch.glob("*.part")], [])

    def test_the_same_bytes_in_every_way_of_asking(self):
        for name in ("llama", "gemma3", "qwen2_q4_0", "gpt2"):
            model = GOLDEN / f"{name}.gguf"
            expected = self.file(model, "--tokens", TOKENS).read_bytes()
            for way in WAYS:
                self.assertEqual(self.file(model, "--tokens", TOKENS, *way).read_bytes(), expected, (name, way))

    def test_fast_math(self):
        """Of BF16 weights: near the exact scores, and the same where each step is of one token."""
        model = scratch / "bf16.gguf"
        self.ok("convert", tiny(), model, "--type", "bf16")
        exact, rows = self.file(model, "--tokens", TOKENS).read_bytes(), read(scratch / "logits.safetensors")[1]
        self.assertEqual(self.file(model, "--tokens", TOKENS, "--math", "exact").read_bytes(), exact)
        self.assertEqual(self.file(model, "--tokens", TOKENS, "--math", "fast", "--ubatch", "1").read_bytes(), exact)
        self.assertEqual(self.file(model, "--tokens", TOKENS, "--math", "fast", "--cpu", "ref").read_bytes(), exact)
        _, fast = read(self.file(model, "--tokens", TOKENS, "--math", "fast"))
        size = max(abs(x) for row in rows for x in row)
        self.assertLess(max(abs(a - b) for x, y in zip(rows, fast) for a, b in zip(x, y)), size / 32)
        self.misused("logits", model, "--tokens", "1", "-o", model, "--math", "quick", says="exact|fast")

    @needs(SMOLLM2)
    def test_places(self):
        """The same bits from the mapped file and from large pages of the process."""
        expected = self.file(SMOLLM2, "--tokens", TOKENS, "--mmap", "on").read_bytes()
        for how in ("auto", "off"):
            self.assertEqual(self.file(SMOLLM2, "--tokens", TOKENS, "--mmap", how).read_bytes(), expected, how)
        self.assertEqual(self.file(tiny(), "--tokens", TOKENS, "--mmap", "off").read_bytes(),
                         self.file(tiny(), "--tokens", TOKENS).read_bytes())

    def test_unknown_places(self):
        self.misused("logits", tiny(), "--tokens", "1", "-o", "x", "--mmap", "never", says="auto|on|off")

    def test_adapters(self):
        plain = self.file(tiny(), "--tokens", TOKENS).read_bytes()
        path = adapter(scratch / "adapter.gguf", 0.2)
        adapted = self.file(tiny(), "--tokens", TOKENS, "--lora", path).read_bytes()
        self.assertNotEqual(adapted, plain)
        self.assertEqual(self.file(tiny(), "--tokens", TOKENS, "--lora", f"{path}=1.0").read_bytes(), adapted)
        self.assertEqual(self.file(tiny(), "--tokens", TOKENS, "--lora", path, "--decode", "9", "-t", "3").read_bytes(),
                         adapted)
        self.assertEqual(self.file(tiny(), "--tokens", TOKENS, "--lora", f"{path}=0").read_bytes(), plain)
        equal = adapter(scratch / "a=b.gguf", 0.2)
        self.assertEqual(self.file(tiny(), "--tokens", TOKENS, "--lora", equal).read_bytes(), adapted)
        out = ["-o", scratch / "logits.safetensors"]
        self.fails("logits", tiny(), "--tokens", "1", *out, "--lora", tiny(), says="is no LoRA adapter")
        self.fails("logits", GOLDEN / "gpt2.gguf", "--tokens", "1", *out, "--lora", path, says="another architecture")

    def test_a_source_is_read_first(self):
        model = GOLDEN.parent / "fuzz/corpus/model/t5.gguf"
        ways = [["--decode", "4"], ["--beside", "3"], ["--ubatch", "5"], ["-t", "3"], ["--cpu", "ref"]]
        expected = self.file(model, "--tokens", "0,9,4,33", "--source", "7,8,9,1").read_bytes()
        for way in ways:
            again = self.file(model, "--tokens", "0,9,4,33", "--source", "7,8,9,1", *way).read_bytes()
            self.assertEqual(again, expected, way)
        self.assertNotEqual(self.file(model, "--tokens", "0,9,4,33", "--source", "7,8,9").read_bytes(), expected)
        path = scratch / "logits.safetensors"
        self.fails("logits", model, "--tokens", "1,2", "-o", path, says="give that one's token ids with --source")
        self.fails("logits", tiny(), "--tokens", "1,2", "--source", "1", "-o", path, says="reads no source")

    def test_a_row_depends_on_what_came_before_it(self):
        _, all_rows = read(self.file(tiny(), "--tokens", TOKENS))
        ids = TOKENS.split(",")
        _, first = read(self.file(tiny(), "--tokens", ",".join(ids[:17])))
        self.assertEqual(first, all_rows[:17])
        _, other = read(self.file(tiny(), "--tokens", ",".join(["5"] + ids[1:])))
        self.assertNotEqual(other[20], all_rows[20])

    def test_cache_types_differ(self):
        files = {self.file(tiny(), "--tokens", TOKENS, "--kv-type", t).read_bytes() for t in ("f32", "f16", "q8_0")}
        self.assertEqual(len(files), 3)

    def test_ways_to_give_the_tokens(self):
        ids = self.ok("tokenize", tiny(), "hello there")
        expected = self.file(tiny(), "--tokens", ids.decode()).read_bytes()
        self.assertEqual(self.file(tiny(), "--prompt", "hello there").read_bytes(), expected)
        self.assertEqual(self.file(tiny(), "--tokens", "-", stdin=ids).read_bytes(), expected)
        special = self.file(chat_model(), "--prompt", "<|u|>x", "--special")
        self.assertEqual(read(special)[0]["logits"]["shape"], [2, 128])
        self.assertEqual(read(self.file(chat_model(), "--prompt", "<|u|>x"))[0]["logits"]["shape"], [6, 128])

    def test_a_plain_file_is_replaced_whole_and_others_are_kept(self):
        path = self.file(tiny(), "--tokens", "1")
        before = path.read_bytes()
        self.fails("logits", tiny(), "-o", path, "--tokens", "1,2,3", "-c", "2", says=["3 tokens", "--ctx 2"])
        self.assertEqual(path.read_bytes(), before)
        link = scratch / "link.safetensors"
        link.symlink_to(path)
        self.ok("logits", tiny(), "-o", link, "--tokens", "1,2")
        self.assertTrue(link.is_symlink())
        self.assertEqual(read(path)[0]["logits"]["shape"], [2, 128])
        self.ok("logits", tiny(), "-o", "/dev/null", "--tokens", "1")
        self.assertFalse(os.path.isfile("/dev/null"))
        out = self.ok("logits", tiny(), "-o", "/dev/stdout", "--tokens", "1,2")
        self.assertEqual(out, path.read_bytes())

    def test_failures(self):
        out = scratch / "never.safetensors"
        for args, says in ((["--tokens", ""], "there is no token"), (["--prompt", ""], "there is no token"),
                           (["--tokens", "1,128"], ["128", "vocabulary of 128"]), (["--tokens", "1,two"], "'two'"),
                           (["--tokens", "1,2", "--decode", "3"], ["--decode 3", "only 2 tokens"])):
            self.fails("logits", tiny(), "-o", out, *args, says=says)
        self.fails("logits", tiny(), "-o", scratch / "no/folder/x", "--tokens", "1",
                   says=["no/folder/x", "No such file"])
        self.fails("logits", tiny(), "-o", "/dev/full", "--tokens", "1", says=["/dev/full", "No space"])
        self.assertFalse(out.exists())
        self.assertEqual(list(scratch.glob("never*")), [])

    @harness.needs(SMOLLM2)
    def test_smollm2(self):
        words = ["--prompt", "Once upon a time there was"]
        expected = self.file(SMOLLM2, *words).read_bytes()
        for way in (["--decode", "3"], ["--ubatch", "2", "-t", "1"], ["--beside", "2"]):
            self.assertEqual(self.file(SMOLLM2, *words, *way).read_bytes(), expected, way)


if __name__ == "__main__":
    harness.main()
