"""andiron bench: every figure is there and sane. How large the figures are is not tested here."""
import json

import gguf_edit
import harness
from harness import GOLDEN, SMOLLM2, Case, run, scratch, tiny

FIGURES = ["prompt_tokens_per_s", "generation_tokens_per_s", "first_token_s", "peak_bytes", "prompt_roof_pct",
           "generation_roof_pct", "read_bytes_per_s", "int8_ops_per_s", "f32_flops_per_s", "weight_bytes", "n_params"]
SMALL = ["-p", "20", "-n", "4", "-r", "1"]


class Bench(Case):
    def json(self, *args):
        done = run("bench", *args, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return json.loads(done.stdout)

    def test_json(self):
        got = self.json(tiny(), *SMALL, "--depth", "30", "--sequences", "3", "-t", "2")
        for name in FIGURES:
            self.assertGreater(got[name], 0, name)
        asked = {"name": "tiny random model", "threads": 2, "prompt": 20, "generate": 4, "depth": 30, "sequences": 3,
                 "repetitions": 1}
        self.assertEqual({k: got[k] for k in asked}, asked)
        if not harness.is_sanitized():  # the 256 MiB that are read to measure the machine do not count
            self.assertLess(got["peak_bytes"], 200 << 20)

    def test_text(self):
        done = run("bench", tiny(), "-p", "0", "-n", "1", "-r", "1", "-t", "1")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for word in (b"prompt ", b"generation ", b"first token ", b"peak memory ", b"GB/s"):
            self.assertIn(word, done.stdout)

    def test_names_that_are_no_utf8(self):
        g = gguf_edit.Gguf(tiny())
        g.meta["general.name"] = (gguf_edit.STRING, b"caf\xe9")
        path = g.write(scratch / "latin.gguf")
        self.assertTrue(self.json(path, "-p", "1", "-n", "0", "-r", "1")["name"].startswith("caf"))

    def test_failures(self):
        self.fails("bench", GOLDEN / "gemma3.gguf", *SMALL, "--depth", "268000000", "--kv-type", "f32",
                   says=["MiB", "available"])

    @harness.needs(SMOLLM2)
    def test_smollm2(self):
        got = self.json(SMOLLM2, *SMALL)
        if not harness.is_sanitized():
            self.assertLess(got["peak_bytes"], 250 << 20)


if __name__ == "__main__":
    harness.main()
