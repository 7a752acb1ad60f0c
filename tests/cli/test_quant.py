"""--quant: a folder quantized when it is opened, once, whatever comes between."""
import os
import resource
import shutil
import subprocess

import harness
import wide_folder
from harness import COMMAND, GOLDEN, LIMIT, Case, environment, scratch

FOLDER = GOLDEN / "hf_models" / "qwen2"
CACHE = scratch / ".cache" / "andiron" / "quant"
IDS = ("--tokens", "1,2,3,4,5")


def kept():
    return sorted(CACHE.glob("*.gguf"))


class Quant(Case):
    def setUp(self):
        shutil.rmtree(CACHE, ignore_errors=True)
        self.folder = wide_folder.write(scratch / "wide")

    def scores(self, model, *more):
        out = scratch / "scores.safetensors"
        done = harness.run("logits", model, *IDS, "-o", out, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out.read_bytes(), done.stderr.decode()

    def test_once(self):
        first, said = self.scores(self.folder, "--quant", "q4_k")
        self.assertEqual(said, "andiron: quantizing the weights (kept for next time)\n")
        [file] = kept()
        made = file.stat().st_ino
        self.assertEqual(self.scores(self.folder, "--quant", "q4_k", "--threads", "1"), (first, ""))
        self.assertEqual([f.stat().st_ino for f in kept()], [made])
        converted = scratch / "same.gguf"
        self.ok("convert", self.folder, converted, "--type", "q4_k", "--force")
        self.assertEqual(self.scores(converted)[0], first)
        self.assertNotEqual(self.scores(self.folder)[0], first)

    def test_types_and_threads(self):
        sizes = []
        for kind in ("q6_k", "q5_k", "q4_k_m", "q3_k_s", "q2_k"):
            made = [scratch / f"{kind}.{n}.gguf" for n in (1, 3)]
            for n, path in zip((1, 3), made):
                self.ok("convert", self.folder, path, "--type", kind, "--threads", n)
            self.assertEqual(made[0].read_bytes(), made[1].read_bytes())
            self.assertIn(f" {kind[:4].upper()} ", self.ok("show", made[0], "--tensors").decode())
            sizes.append(made[0].stat().st_size)
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_a_change_is_seen(self):
        first = self.scores(self.folder, "--quant", "q4_k")[0]
        wide_folder.write(self.folder, seed=2)
        self.assertNotEqual(self.scores(self.folder, "--quant", "q4_k")[0], first)
        self.assertEqual(len(kept()), 2)
        self.scores(self.folder, "--quant", "q6_k")
        self.assertEqual(len(kept()), 3)

    def test_a_vocabulary_that_no_gguf_holds(self):
        self.fails("convert", FOLDER, scratch / "none.gguf", says="the kind WordLevel")
        self.assertIn("quantizing", self.scores(FOLDER, "--quant", "q8_0")[1])
        text = ("the of and", "--quant", "q8_0")
        self.assertEqual(self.ok("tokenize", FOLDER, *text), self.ok("tokenize", FOLDER, text[0]))

    def test_packed_weights_stay(self):
        """GPTQ's 4 bits are Q4_0 already; only the table and the head change."""
        shown = self.ok("show", GOLDEN / "hf_packed" / "gptq", "--quant", "q4_k", "--tensors").decode()
        self.assertEqual((shown.count(" Q4_0 "), shown.count(" Q8_0 ")), (7, 1), shown)

    def test_what_is_left_is_removed(self):
        CACHE.mkdir(parents=True)
        left = CACHE / "0123456789abcdef.gguf.partial-abcdef"
        left.write_bytes(b"half")
        first = self.scores(self.folder, "--quant", "q4_k")[0]
        self.assertFalse(left.exists())
        [file] = kept()
        file.write_bytes(file.read_bytes()[:5000])
        self.assertEqual(self.scores(self.folder, "--quant", "q4_k")[0], first)

    def test_a_crash_leaves_no_file(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        done = subprocess.run([*COMMAND, "show", self.folder, "--quant", "q8_0"], capture_output=True, timeout=LIMIT,
                              env=environment(), preexec_fn=limit, check=False)
        self.assertNotIn(b"runs here     yes", done.stdout)
        self.assertEqual(kept(), [])
        self.scores(self.folder, "--quant", "q8_0")
        self.assertEqual(len(kept()), 1)
        self.assertEqual(list(CACHE.glob("*partial*")), [])

    def test_two_at_once(self):
        outs = [scratch / f"both{i}.safetensors" for i in range(3)]
        all_of = [subprocess.Popen([*COMMAND, "logits", self.folder, *IDS, "-o", out, "--quant", "q5_k"],
                                   stderr=subprocess.DEVNULL, env=environment()) for out in outs]
        self.assertEqual([p.wait(LIMIT) for p in all_of], [0, 0, 0])
        self.assertEqual(len({out.read_bytes() for out in outs}), 1)
        self.assertEqual(len(kept()), 1)

    def test_mistakes(self):
        out = scratch / "x.safetensors"
        self.fails("logits", GOLDEN / "llama.gguf", *IDS, "-o", out, "--quant", "q4_k", says="is no folder")
        self.misused("logits", self.folder, *IDS, "-o", out, "--quant", "q9")
        done = subprocess.run([*COMMAND, "logits", self.folder, *IDS, "-o", out, "--quant", "q4_k"],
                              capture_output=True, timeout=LIMIT, env=environment(XDG_CACHE_HOME=os.devnull),
                              check=False)
        self.assertIn("XDG_CACHE_HOME", self.sentence(done, 1))
        self.assertFalse(out.exists())


if __name__ == "__main__":
    harness.main()
