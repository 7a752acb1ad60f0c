"""andiron convert: a folder becomes a file that gives the same scores; a file that is there is kept."""
import harness
from harness import GOLDEN, Case, scratch

FOLDER = GOLDEN / "hf_models" / "qwen2"


def folder_of_ids(model=FOLDER):
    """A golden folder without its tokenizer, which no GGUF can hold."""
    path = scratch / f"folder-{model.name}"
    path.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        (path / name).write_bytes((model / name).read_bytes())
    return path


class Convert(Case):
    def scores(self, model):
        out = scratch / "scores.safetensors"
        self.ok("logits", model, "--tokens", "1,2,3,4,5", "-o", out)
        return out.read_bytes()

    def test_same_scores(self):
        made = scratch / "same.gguf"
        self.assertIn(b"MiB", self.ok("convert", folder_of_ids(), made, "--type", "f32"))
        self.assertEqual(self.scores(made), self.scores(folder_of_ids()))

    def test_what_others_do_not_read(self):
        for name, key in (("mistral", b"llama.attention.sliding_window"), ("qwen3_moe", b"expert_weights_norm")):
            folder = folder_of_ids(GOLDEN / "hf_models" / name)
            done = harness.run("convert", folder, scratch / "others.gguf", "--force")
            self.assertIn(b"llama.cpp does not read ", done.stderr)
            self.assertIn(key, done.stderr)
        done = harness.run("convert", folder_of_ids(), scratch / "others.gguf", "--force")
        self.assertNotIn(b"llama.cpp", done.stderr)

    def test_types(self):
        sizes = {}
        for kind in ("f32", "bf16", "q8_0"):
            made = scratch / f"{kind}.gguf"
            self.ok("convert", folder_of_ids(), made, "-t", kind)
            sizes[kind] = made.stat().st_size
            self.assertIn("runs here     yes", self.ok("show", made).decode())
        self.assertTrue(sizes["q8_0"] < sizes["bf16"] < sizes["f32"])

    def test_a_file_of_other_types(self):
        made, smaller = scratch / "made.gguf", scratch / "smaller.gguf"
        self.ok("convert", folder_of_ids(), made, "--type", "f32")
        self.ok("convert", made, smaller, "--type", "q8_0")
        self.assertLess(smaller.stat().st_size, made.stat().st_size)
        self.assertIn("runs here     yes", self.ok("show", smaller).decode())

    def test_several_files(self):
        whole, parts = scratch / "whole.gguf", scratch / "parts.gguf"
        self.ok("convert", folder_of_ids(), whole, "--type", "f32")
        self.ok("convert", folder_of_ids(), parts, "--type", "f32", "--split-max-size", "1M")  # all of it fits
        self.assertEqual(parts.read_bytes(), whole.read_bytes())
        self.misused("convert", folder_of_ids(), parts, "--split-max-size", "5")
        self.misused("convert", folder_of_ids(), parts, "--split-max-size", "0M")
        self.misused("convert", folder_of_ids(), parts, "--split-max-size", "1MB")

    def test_a_file_is_kept(self):
        made = scratch / "kept.gguf"
        made.write_bytes(b"mine")
        self.fails("convert", folder_of_ids(), made, says="there already")
        self.assertEqual(made.read_bytes(), b"mine")
        self.ok("convert", folder_of_ids(), made, "--force")
        self.assertEqual(made.read_bytes()[:4], b"GGUF")

    def test_mistakes(self):
        made = scratch / "none.gguf"
        self.fails("convert", FOLDER, made, says="the kind WordLevel")
        self.fails("convert", GOLDEN / "llama.bin", made, says="not a GGUF file")
        self.fails("convert", folder_of_ids(), scratch / "nowhere" / "x.gguf", says="cannot be written")
        self.misused("convert", FOLDER, made, "--type", "q9")
        self.misused("convert", FOLDER)
        self.assertFalse(made.exists())
        self.assertFalse(list(scratch.glob("*partial*")))


if __name__ == "__main__":
    harness.main()
