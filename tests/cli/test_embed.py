"""andiron embed: vectors of length 1, the same alone and by lines, and what pooling does."""
import json
import math

import harness
from harness import Case, scratch, tiny


class Embed(Case):
    def vector(self, *args, **options):
        return json.loads(self.ok("embed", tiny(), *args, **options))

    def test_length(self):
        self.assertAlmostEqual(math.hypot(*self.vector("hello")), 1, places=5)
        raw = self.vector("hello", "--raw")
        self.assertEqual(len(raw), 64)
        by = math.hypot(*raw)
        for a, b in zip(self.vector("hello"), raw):
            self.assertAlmostEqual(a, b / by, places=5)

    def test_lines(self):
        out = self.ok("embed", tiny(), "--lines", stdin=b"hello\nsee you\n").decode().splitlines()
        self.assertEqual([json.loads(line) for line in out], [self.vector("hello"), self.vector("see you")])
        path = scratch / "text"
        path.write_bytes(b"hello")
        self.assertEqual(self.vector("-f", path), self.vector("hello"))

    def test_tokens(self):
        ids = self.ok("tokenize", tiny(), "hello").decode()
        self.assertEqual(json.loads(self.ok("embed", tiny(), "--tokens", ids)), self.vector("hello"))
        self.fails("embed", tiny(), "--tokens", "99999999", says="beyond")
        self.misused("embed", tiny(), "a", "--tokens", "1")

    def test_pooling(self):
        """The rows of a text are those of its beginnings, because this model looks back only."""
        rows = [self.vector("seesee"[:n], "--raw", "--pooling", "last") for n in (1, 2, 3)]
        self.assertEqual(self.vector("see", "--raw", "--pooling", "first"), rows[0])
        n = len(json.loads(self.ok("tokenize", tiny(), "see")))
        mean = self.vector("see", "--raw", "--pooling", "mean")
        if n == 3:
            for d, x in enumerate(mean):
                self.assertAlmostEqual(x, sum(r[d] for r in rows) / 3, places=5)
        self.assertEqual(self.vector("see"), self.vector("see", "--pooling", "last"))

    def test_any_step_and_level(self):
        expected = self.ok("embed", tiny(), "hello there")
        for more in (["-t", "1"], ["-t", "3"], ["--cpu", "ref"], ["-c", "40"]):
            self.assertEqual(self.ok("embed", tiny(), "hello there", *more), expected)

    def test_mistakes(self):
        self.fails("embed", tiny(), "", says="an empty text")
        self.fails("embed", tiny(), "hello there", "-c", "2", says="the context holds 2")
        self.misused("embed", tiny(), "a", "-f", "b")
        self.misused("embed", tiny(), "a", "--pooling", "max")


if __name__ == "__main__":
    harness.main()
