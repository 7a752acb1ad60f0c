"""andiron show: what is in a file, whether it runs, the memory it needs; as text and as JSON."""
import json

import gguf_edit
import harness
from harness import GOLDEN, SMOLLM2, Case, chat_model, scratch, tiny


class Show(Case):
    def json(self, *args):
        return json.loads(self.ok("show", *args, "--json"))

    def test_summary(self):
        text = self.ok("show", tiny()).decode()
        for part in ("llama.gguf", "tiny random model", "2 layers", "128 tokens", "runs here     yes", "MiB"):
            self.assertIn(part, text)
        self.assertIn("with a chat template", self.ok("show", chat_model()).decode())

    def test_json(self):
        about = self.json(tiny())
        expected = {"architecture": "llama", "name": "tiny random model", "runs": True, "reason": None, "layers": 2,
                    "vocabulary": 128, "context_trained": 128, "chat_template": False}
        self.assertEqual({k: about[k] for k in expected}, expected)
        self.assertEqual(about["file_bytes"], tiny().stat().st_size)
        self.assertEqual(about["memory_bytes"], about["file_bytes"] + about["kv_bytes"] + about["step_bytes"])
        for key in ("metadata", "tensors", "graph"):
            self.assertNotIn(key, about)

    def test_memory_grows_with_the_context(self):
        sizes = [self.json(tiny(), "--ctx", n)["kv_bytes"] for n in (64, 4096, 65536)]
        self.assertTrue(0 < sizes[0] < sizes[1] < sizes[2])
        self.assertEqual(sizes[2], 16 * sizes[1])
        f32, f16, q8 = (self.json(tiny(), "-c", "4096", "--kv-type", t)["kv_bytes"] for t in ("f32", "f16", "q8_0"))
        self.assertTrue(f32 == 2 * f16 and 0 < q8 < f32)

    def test_everything(self):
        parts = ["--metadata", "--tensors", "--graph"]
        about = self.json(tiny(), *parts)
        self.assertEqual(about["metadata"]["general.architecture"], "llama")
        self.assertEqual(len(about["metadata"]["tokenizer.ggml.tokens"]), 128)
        names = [t["name"] for t in about["tensors"]]
        self.assertIn("token_embd.weight", names)
        for tensor in about["tensors"]:
            self.assertEqual(set(tensor), {"name", "type", "shape", "bytes"})
        self.assertIn("attend", about["graph"])
        text = self.ok("show", tiny(), *parts).decode()
        for part in ("general.architecture", "token_embd.weight", "attend", *names):
            self.assertIn(part, text)

    def test_every_tiny_model(self):
        for path in sorted(GOLDEN.glob("*.gguf")):
            self.assertTrue(self.json(path)["runs"], path)

    def test_a_folder(self):
        folder = GOLDEN / "hf_models/qwen2"
        self.assertIn("Hugging Face folder", self.ok("show", folder).decode())
        about = self.json(folder, "--tensors", "--metadata", "--graph")
        self.assertEqual((about["architecture"], about["runs"], about["gguf_version"]), ("qwen2", True, None))
        self.assertIn("blk.0.attn_q.weight", [t["name"] for t in about["tensors"]])

    def test_a_definition_of_the_users(self):
        """By --arch, and in the user's folder."""
        g = gguf_edit.Gguf(tiny())
        g.meta["general.architecture"] = (gguf_edit.STRING, b"ours")
        g.meta.update({"ours" + key[5:]: value for key, value in g.meta.items() if key.startswith("llama.")})
        path, mine = g.write(scratch / "ours.gguf"), scratch / "mine.arch"
        self.assertFalse(self.json(path)["runs"])
        mine.write_text("arch ours : llama\n")
        self.assertTrue(self.json(path, "--arch", mine)["runs"])
        folder = scratch / ".local/share/andiron/arch"
        folder.mkdir(parents=True)
        (folder / "ours.arch").write_text("arch ours : llama\n")
        try:
            self.assertTrue(self.json(path)["runs"])
        finally:
            (folder / "ours.arch").unlink()

    def test_a_file_that_does_not_run(self):
        """Not a failure: that it does not run, and why, is the answer."""
        g = gguf_edit.Gguf(tiny())
        g.meta["general.architecture"] = (gguf_edit.STRING, b"martian")
        path = g.write(scratch / "martian.gguf")
        text = self.ok("show", path).decode()
        self.assertRegex(text, "runs here +no: .*martian")
        about = self.json(path, "--tensors", "--graph", "--metadata")
        self.assertFalse(about["runs"])
        self.assertIn("martian", about["reason"])

    def test_names_that_drive_terminals(self):
        g = gguf_edit.Gguf(tiny())
        g.meta["general.name"] = (gguf_edit.STRING, b"a\x1b[31mb\xc2\x9bc\xff\n\x07")
        g.meta["x\x1b[7m"] = (gguf_edit.STRING, b"\x1b[7m")
        path = g.write(scratch / "terminal.gguf")
        text = self.ok("show", path, "--metadata", "--tensors", "--graph").decode()
        self.assertEqual([c for c in text if not c.isprintable() and c != "\n"], [])
        self.json(path, "--metadata")

    def test_a_broken_file(self):
        for n in (3, 20, 300, 5000):
            path = scratch / "cut.gguf"
            path.write_bytes(tiny().read_bytes()[:n])
            self.fails("show", path, says="cut.gguf")
            self.fails("show", path, "--json", says="cut.gguf")

    @harness.needs(SMOLLM2, heavy=False)
    def test_smollm2(self):
        about = self.json(SMOLLM2, "--metadata", "--tensors", "--graph")
        self.assertEqual((about["runs"], about["layers"], about["parameters"], about["chat_template"]),
                         (True, 30, 134515008, True))


if __name__ == "__main__":
    harness.main()
