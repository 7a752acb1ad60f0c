"""Texts that tokenizers are tried with: the same ones for the same seed.

Development only. Used by make_tokens.py (the golden ones) and compare_tokens.py (as many as one likes). Every text is
bytes; llama.cpp ends the process at bytes that would mean a character past U+10FFFF, so there are none of those.
"""
import json
import pathlib
import random
import re
import sys
import unicodedata

SCRIPTS = [
    (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x250, 0x2AF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F),
    (0x5D0, 0x5EA), (0x620, 0x6FF), (0x710, 0x74F), (0x780, 0x7B1), (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xA7F),
    (0xA80, 0xAFF), (0xB00, 0xB7F), (0xB80, 0xBFF), (0xC00, 0xC7F), (0xC80, 0xCFF), (0xD00, 0xD7F), (0xD80, 0xDFF),
    (0xE00, 0xE7F), (0xE80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1680, 0x169F), (0x16A0, 0x16FF), (0x1780, 0x17FF), (0x1800, 0x18AF),
    (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2C00, 0x2C5F), (0x2D30, 0x2D7F), (0x3041, 0x30FF), (0x3105, 0x312F),
    (0x3131, 0x318E), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
    (0xFB00, 0xFB4F), (0xFF01, 0xFFEF), (0x10330, 0x1034F), (0x10400, 0x1044F), (0x12000, 0x123FF), (0x1D400, 0x1D7FF),
    (0x1E900, 0x1E95F), (0x20000, 0x2A6DF), (0x2EBF0, 0x2EE5D), (0x30000, 0x3134F),
]
TEXTS = json.loads((pathlib.Path(__file__).parent / "token_texts.json").read_text())
PROSE, CODE, EMOJI, SPACES, WORDS, SPELLED = (
    TEXTS[x] for x in ("prose", "code", "emoji", "spaces", "words", "spelled"))
CONTINUATION = "".join(map(chr, range(0x300, 0x370))) + \
    "\u0489\u064b\u0651\u093e\u094d\u0e31\u0e34\u20dd\ufe0f\u200d\u3099"
DIGITS = [0x30, 0x660, 0x6F0, 0x966, 0xE50, 0xFF10, 0x1D7CE]
PAST_THE_END = re.compile(rb"\xf4[\x90-\xbf][\x80-\xbf]{2}|[\xf5-\xf7][\x80-\xbf]{3}")


def by_category():
    groups = {}
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            groups.setdefault(unicodedata.category(chr(c)), []).append(c)
    return groups


class Maker:
    def __init__(self, seed, spellings=()):
        self.r = random.Random(seed)
        self.spelled = SPELLED + list(spellings)
        self.groups = by_category()
        self.makers = [self.words, self.prose, self.code, self.emoji, self.marks, self.spaces, self.spelling,
                       self.digits, self.rare, self.contractions, self.mixed,
                       self.broken, self.any_bytes, self.long_word, self.surrogates, self.ascii]

    def word(self):
        first, last = self.r.choice(SCRIPTS)
        return "".join(chr(self.r.randint(first, last)) for _ in range(self.r.randint(1, 9)))

    def some(self, make, most, between=lambda: ""):
        out = []
        for _ in range(self.r.randint(1, most)):
            out += [make(), between()]
        return "".join(out)

    def words(self):
        return self.some(self.word, 8, lambda: self.r.choice([" ", " ", " ", ", ", ". ", "-", "\n", "", "/", "  "]))

    def prose(self):
        text = self.r.choice(PROSE)
        at = self.r.randrange(len(text))
        return text[at:at + self.r.randint(1, 90)]

    def code(self):
        text = self.r.choice(CODE)
        at = self.r.randrange(len(text)) if self.r.random() < 0.5 else 0
        return text[at:at + self.r.randint(5, 120)]

    def emoji(self):
        return self.some(lambda: self.r.choice(EMOJI), 6, lambda: self.r.choice(["", "", " ", "a", "\u200d", "!"]))

    def marks(self):
        def marked():
            return self.word()[:2] + "".join(self.r.choice(CONTINUATION) for _ in range(self.r.randint(0, 3)))
        return self.some(marked, 8, lambda: self.r.choice(["", " "]))

    def spaces(self):
        return self.some(lambda: self.r.choice(SPACES) * self.r.choice([1, 1, 1, 2, 3, 7, 20, 40]), 6,
                         lambda: self.r.choice(["", "", "x", "word", "1", ".", "é", "。"]))

    def spelling(self):
        return self.some(lambda: self.r.choice(self.spelled), 5,
                         lambda: self.r.choice(["", "", " ", "\n", "user", "x", "\n\n"]))

    def digits(self):
        def run():
            zero = self.r.choice(DIGITS)
            n = self.r.choice([1, 2, 3, 4, 5, 6, 7, 9, 12, 31])
            return "".join(chr(zero + self.r.randrange(10)) for _ in range(n))
        return self.some(run, 4, lambda: self.r.choice(["", ",", ".", " ", "a", "²", "Ⅷ", "½", "-", "%", "年"]))

    def rare(self):
        def one():
            return chr(self.r.choice(self.groups[self.r.choice(sorted(self.groups))]))
        return self.some(one, 20, lambda: self.r.choice(["", "", " ", "a"]))

    def contractions(self):
        return self.some(lambda: self.r.choice(WORDS), 8, lambda: self.r.choice(["", " ", "a", "He", "É", "1", "日"]))

    def mixed(self):
        makers = [self.words, self.prose, self.code, self.emoji, self.spaces, self.spelling, self.digits, self.rare,
                  self.marks, self.contractions]
        return "".join(self.r.choice(makers)()[:40] for _ in range(self.r.randint(2, 5)))

    def broken(self):
        data = bytearray(self.mixed().encode())
        for _ in range(self.r.randint(1, 4)):
            at = self.r.randrange(len(data) + 1)
            how = self.r.randrange(4)
            if how == 0:
                data[at:at + 1] = b""
            elif how == 1:
                data[at:at] = bytes([self.r.choice([0xC0, 0xC1, 0xE2, 0xF0, 0xF4, 0xFF, 0x80, 0xBF, 0xED, 0xE0,
                                                     self.r.randrange(256)])])
            elif how == 2:
                data = data[:at]
            else:
                data[at:at] = self.r.choice([b"\xc0\xaf", b"\xe0\x80\xaf",
                                              b"\xf0\x80\x80\xaf", b"\xe2\x96", b"\xf0\x9f\x98", b"\xe2 "])
        return bytes(data)

    def any_bytes(self):
        return bytes(self.r.randrange(256) for _ in range(self.r.randint(1, 40)))

    def ascii(self):
        return "".join(chr(self.r.randrange(128)) for _ in range(self.r.randint(1, 60)))

    def long_word(self):
        unit = self.r.choice([self.word(), self.word()[:1], "a", "A", "=", "-=", "ab", "\u200d", "0",
                              "ha", "é", "的", " ", "\n", "_"])
        return unit * (self.r.randint(30, 400) // len(unit) + 1) + self.r.choice(["", " end", "\n", "1"])

    def surrogates(self):
        return (self.word() + chr(self.r.randint(0xD800, 0xDFFF)) + self.word()).encode("utf-8", "surrogatepass")

    def line(self):
        while True:
            text = self.r.choice(self.makers)()
            data = text if isinstance(text, bytes) else text.encode()
            if data and not PAST_THE_END.search(data):
                return data


def make_lines(seed, n, spellings=()):
    maker = Maker(seed, spellings)
    return [maker.line() for _ in range(n)]


if __name__ == "__main__":
    for line in make_lines(int(sys.argv[1]), int(sys.argv[2])):
        print(line)
