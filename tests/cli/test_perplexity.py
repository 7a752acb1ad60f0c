"""andiron perplexity, against the definition computed here from the logits of the same tokens."""
import json
import math

import gguf_edit
import harness
from harness import SMOLLM2, Case, scratch, tiny
from test_logits import read

TEXT = ("the rain in spain stays mainly in the plain; see the trees on the hill. " * 6 + "\n").encode()


def expected(rows_of, ids, n_ctx, bos=None):
    """llama-perplexity's figure and its error: each chunk of n_ctx tokens with BOS in place of its first, and of it the
    tokens after the first half, each foretold by the one before it."""
    nlls = []
    for at in range(0, len(ids) // n_ctx * n_ctx, n_ctx):
        chunk = ids[at:at + n_ctx]
        rows = rows_of(([bos] if bos is not None else chunk[:1]) + chunk[1:])
        for i in range(n_ctx // 2, n_ctx - 1):
            most = max(rows[i])
            nlls.append(most + math.log(sum(math.exp(x - most) for x in rows[i])) - rows[i][chunk[i + 1]])
    n = len(nlls)
    mean = sum(nlls) / n
    variance = sum(x * x for x in nlls) / n - mean * mean
    return math.exp(mean), math.sqrt(variance / (n - 1)) * math.exp(mean), n


class Perplexity(Case):
    def setUp(self):
        self.text = scratch / "text"
        self.text.write_bytes(TEXT)

    def rows_of(self, model):
        def rows(ids):
            path = scratch / "perplexity.safetensors"
            self.ok("logits", model, "-o", path, "--tokens", ",".join(map(str, ids)))
            return read(path)[1]
        return rows

    def check(self, model, n_ctx, bos=None, flags=()):
        ids = json.loads(self.ok("tokenize", model, *flags, stdin=TEXT.rstrip(b"\n")))
        ppl, error, n = expected(self.rows_of(model), ids, n_ctx, bos)
        got = json.loads(self.ok("perplexity", model, self.text, "--ctx", n_ctx, "--json"))
        self.assertEqual((got["chunks"], got["tokens_scored"], got["ctx"]), (len(ids) // n_ctx, n, n_ctx))
        self.assertAlmostEqual(got["perplexity"] / ppl, 1, places=6)
        self.assertAlmostEqual(got["error"] / error, 1, places=6)
        return got

    def test_without_bos(self):
        got = self.check(tiny(), 64)
        self.check(tiny(), 33)
        text = self.ok("perplexity", tiny(), self.text, "--ctx", "64").decode()
        self.assertEqual(text, f"PPL = {got['perplexity']:.4f} +/- {got['error']:.5f}\n")

    def test_with_bos(self):
        g = gguf_edit.Gguf(tiny())
        g.meta["tokenizer.ggml.add_bos_token"] = (gguf_edit.BOOL, True)
        g.meta["tokenizer.ggml.bos_token_id"] = (gguf_edit.U32, 7)
        self.check(g.write(scratch / "bos.gguf"), 50, bos=7, flags=["--bos"])

    def test_the_same_bits(self):
        base = ["perplexity", tiny(), self.text, "--ctx", "64", "--json"]
        first = self.ok(*base)
        for more in (["-t", "1"], ["-t", "3"], ["--cpu", "ref"]):
            self.assertEqual(self.ok(*base, *more), first)
        self.assertEqual(self.ok("perplexity", tiny(), "-", "--ctx", "64", "--json", stdin=TEXT), first)
        self.assertNotEqual(self.ok(*base, "--kv-type", "q8_0"), first)
        self.assertEqual(json.loads(self.ok(*base, "--chunks", "2"))["chunks"], 2)

    def test_a_chunk_longer_than_a_step(self):
        self.text.write_bytes(TEXT * 12)
        done = json.loads(self.ok("perplexity", harness.chat_model(), self.text, "--ctx", "1100", "--json"))
        self.assertEqual((done["ctx"], done["tokens_scored"]), (1100, done["chunks"] * 549))

    def test_failures(self):
        self.fails("perplexity", tiny(), scratch / "none", says=["none", "No such file"])
        self.fails("perplexity", tiny(), scratch, says="Is a directory")
        self.fails("perplexity", tiny(), self.text, says=["tokens; two contexts of 512 are the least"])
        self.text.write_bytes(b"")
        self.fails("perplexity", tiny(), self.text, says="0 tokens")
        self.misused("perplexity", tiny(), self.text, "--ctx", "3", says="from 4")

    @harness.needs(SMOLLM2)
    def test_smollm2(self):
        self.text.write_bytes((harness.ROOT / "docs/ARCHITECTURE.md").read_bytes())
        got = json.loads(self.ok("perplexity", SMOLLM2, self.text, "--ctx", "256", "--json", "--chunks", "3"))
        self.assertTrue(5 < got["perplexity"] < 200 and 0 < got["error"] < got["perplexity"], got)


if __name__ == "__main__":
    harness.main()
