"""andiron tokenize: ids as JSON and back, byte for byte."""
import json

import harness
from harness import GEMMA3, SMOLLM2, Case, chat_model, scratch, tiny

TEXTS = [b"", b" ", b"hello", b"Hello there,  world!\n\n\tx", "h\u00e9llo \u65e5\u672c \U0001f600".encode(),
         b"\xff\xfe caf\xe9 \xc3", b"a\0b\0\0", b"<|end|>not markup<|im_end|>", b" leading and trailing ",
         bytes(range(256)), b"x" * 5000]
# The vocabulary of SmolLM2 has no tokens for these bytes, so that nothing can bring them back.
NOT_IN_SMOLLM2 = bytes.fromhex("04 06 13 14 16 1d c0 c1 f1 f2 f5 f6 f7 f8 f9 fa fb fc fd fe ff")


class Tokenize(Case):
    def ids(self, model, text, *more):
        return json.loads(self.ok("tokenize", model, *more, stdin=text))

    def test_ids_are_json(self):
        out = self.ok("tokenize", tiny(), "hello")
        self.assertEqual(out, b"[%s]\n" % b",".join(b"%d" % i for i in json.loads(out)))
        self.assertEqual(self.ok("tokenize", tiny(), ""), b"[]\n")
        self.assertEqual(self.ids(tiny(), b"see"), [83, 96])

    def test_ways_to_give_the_text(self):
        path = scratch / "text"
        path.write_bytes(b"hello\n")
        expected = self.ids(chat_model(), b"hello\n")
        self.assertEqual(json.loads(self.ok("tokenize", chat_model(), "hello\n")), expected)
        self.assertEqual(json.loads(self.ok("tokenize", chat_model(), "--file", path)), expected)
        self.assertEqual(self.ids(chat_model(), b"hello\n", "-f", "-"), expected)
        self.assertNotEqual(self.ids(chat_model(), b"hello"), expected)

    def test_special(self):
        self.assertEqual(self.ids(chat_model(), b"<|end|>", "--special"), [0])
        plain = self.ids(chat_model(), b"<|end|>")
        self.assertNotIn(0, plain)
        self.assertEqual(len(plain), 7)
        self.assertEqual(self.ok("tokenize", chat_model(), "-d", "0"), b"")
        self.assertEqual(self.ok("tokenize", chat_model(), "-d", "--special", "0"), b"<|end|>")

    def test_pieces(self):
        pieces = self.ids(chat_model(), "s\u00e9 \n".encode(), "--pieces")
        self.assertEqual([p["piece"] for p in pieces], ["s", [0xc3], [0xa9], " ", "\n"])
        self.assertEqual([p["id"] for p in pieces], self.ids(chat_model(), "s\u00e9 \n".encode()))

    def test_lines(self):
        out = self.ok("tokenize", tiny(), "--lines", stdin=b"hello\n\nsee").decode().splitlines()
        self.assertEqual([json.loads(line) for line in out], [self.ids(tiny(), t) for t in (b"hello", b"", b"see")])
        self.assertEqual(self.ok("tokenize", tiny(), "-d", "--lines", stdin=b"83,96\n[83]\n"), b"see\ns\n")

    def test_forms_of_ids(self):
        for form in ("83,96", "[83, 96]", "83 96", "[83,\n96]\n", " 83\t,96,"):
            self.assertEqual(self.ok("tokenize", tiny(), "--detokenize", form), b"see")
            self.assertEqual(self.ok("tokenize", tiny(), "--detokenize", stdin=form.encode()), b"see")

    def test_ids_that_are_none(self):
        for text, says in (("1,x", "'x' is not a list of token ids"), ("-1", "'-1' is not"), ("1.5", "is not"),
                           ("128", ["128", "vocabulary of 128"]), ("99999999999999999999999", "is not")):
            self.fails("tokenize", tiny(), "--detokenize", "--", text, says=says)
        self.fails("tokenize", tiny(), "--detokenize", stdin=b"1,2\x003", says="NUL")

    def test_a_text_of_words_comes_back(self):
        for text in (b"hello", b" two  words ", b"see\n\tthe \xc3\xa9", b""):
            ids = self.ok("tokenize", chat_model(), stdin=text)
            self.assertEqual(self.ok("tokenize", chat_model(), "-d", stdin=ids), text)

    def all_come_back(self, model, without=b""):
        for text in TEXTS:
            text = text.translate(None, without)
            ids = self.ok("tokenize", model, stdin=text)
            self.assertEqual(self.ok("tokenize", model, "--detokenize", stdin=ids), text)
            pieces = json.loads(self.ok("tokenize", model, "--pieces", stdin=text))
            self.assertEqual([p["id"] for p in pieces], json.loads(ids))

    @harness.needs(SMOLLM2, heavy=False)
    def test_every_text_comes_back_smollm2(self):
        self.all_come_back(SMOLLM2, NOT_IN_SMOLLM2)
        self.assertEqual(self.ids(SMOLLM2, b"<|im_start|>", "--special"), [1])

    @harness.needs(GEMMA3, heavy=False)
    def test_every_text_comes_back_gemma3(self):
        self.all_come_back(GEMMA3)
        self.assertEqual(self.ids(GEMMA3, b"hello", "--bos")[0], 2)

    @harness.needs(SMOLLM2, heavy=False)
    def test_a_long_text(self):
        text = b"Once upon a time there was a text that was long. " * 40000
        self.assertEqual(self.ok("tokenize", SMOLLM2, "-d", stdin=self.ok("tokenize", SMOLLM2, stdin=text)), text)


if __name__ == "__main__":
    harness.main()
