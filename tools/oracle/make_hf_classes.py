"""Makes src/text/tokenizer_hf_classes.c: sets of characters as the `tokenizers` package has them, asked from itself.

    python tools/oracle/make_hf_classes.py > src/text/tokenizer_hf_classes.c

Development only; needs tokenizers, and libpcre2-8 for the stand-ins. The package's crates have tables of many versions
of Unicode (8 to 16), so that no other library's would do. Stand-ins are for characters that PCRE2 does not know and
Oniguruma does: each is replaced by one of as many bytes that is in the same categories and scripts.
"""
import ctypes
import ctypes.util
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z".split()
SCRIPTS = ("Han Hiragana Katakana Hangul Thai Lao Arabic Cyrillic Latin Greek Hebrew Devanagari Bengali Tamil "
           "Bopomofo").split()


def chunks(n):
    return (ALL[i:i + n] for i in range(0, len(ALL), n))


def removed_by(pre):
    """What a pre-tokenizer takes out of a text."""
    left = {ord(x) for part in chunks(5000) for piece, _ in pre.pre_tokenize_str("".join(map(chr, part)))
            for x in piece}
    return set(ALL) - left


def erased_by(normalizer):
    return {c for c in ALL if normalizer.normalize_str("a" + chr(c)) == "a"}


def numbers():
    found = set()
    for part in chunks(3000):
        for piece, _ in pre_tokenizers.Digits(False).pre_tokenize_str("".join("a" + chr(c) for c in part)):
            if piece != "a" and len(piece) == 1:
                found.add(ord(piece))
    return found


def words():
    found = set()
    for part in chunks(3000):
        for piece, _ in pre_tokenizers.Whitespace().pre_tokenize_str("".join(f" {chr(c)}a" for c in part)):
            if len(piece) == 2:
                found.add(ord(piece[0]))
    return found


def bert(**what):
    usual = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**usual, **what})


def ranges(members):
    out = []
    for c in sorted(members):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def lower_pieces():
    """Runs of letters whose small forms lie the same way off. U+0130 has two characters and stands in the code."""
    lower, out = normalizers.Lowercase(), []
    for c in ALL:
        small = lower.normalize_str(chr(c))
        if small == chr(c) or len(small) != 1:
            continue
        delta = ord(small) - c
        step = c - out[-1][1] if out and out[-1][2] == delta else 0
        if step and (step == out[-1][3] or (out[-1][0] == out[-1][1] and step <= 2)):
            out[-1][1], out[-1][3] = c, step
        else:
            out.append([c, c, delta, 1])
    return out


def combining():
    """Marks that have a combining class in the package: they change places with one of another class."""
    nfd = normalizers.NFD()
    return {c for c in ALL if nfd.normalize_str(chr(c) + "\u0334") == "\u0334" + chr(c)
            or nfd.normalize_str("\u0300" + chr(c)) == chr(c) + "\u0300"}


def indivisible():
    """What has a decomposition in Unicode 17 or before, and none in the package."""
    newer = [(0x105C9, 0x105C9), (0x105E4, 0x105E4), (0x11383, 0x113C8), (0x16121, 0x16128), (0x16D68, 0x16D6A),
             (0x1CCD6, 0x1CCF9), (0x1E030, 0x1E06D), (0xA7F1, 0xA7F1)]
    nfkd = normalizers.NFKD()
    return {c for c in ALL if nfkd.normalize_str(chr(c)) == chr(c) and (
        unicodedata.normalize("NFKD", chr(c)) != chr(c) or any(a <= c <= b for a, b in newer))}


# ---- stand-ins ----

class Pcre:
    UTF, UCP, ZERO = 0x80000, 0x20000, ctypes.c_size_t(-1)

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("pcre2-8"))
        for name in ("pcre2_compile_8", "pcre2_match_data_create_8"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.data = ctypes.c_void_p(self.lib.pcre2_match_data_create_8(1, None))

    def members(self, pattern):
        code = ctypes.c_void_p(self.lib.pcre2_compile_8(pattern.encode(), self.ZERO, self.UTF | self.UCP, ctypes.byref(
            ctypes.c_int()), ctypes.byref(ctypes.c_size_t()), None))
        return {c for c in ALL if self.lib.pcre2_match_8(code, chr(c).encode(), ctypes.c_size_t(len(chr(c).encode())),
                                                        ctypes.c_size_t(0), 0, self.data, None) > 0}


def stand_ins():
    pcre = Pcre()
    names = [(x, x) for x in CATEGORIES] + [(x, "sc:" + x) for x in SCRIPTS]
    theirs = [removed_by(pre_tokenizers.Split(Regex(rf"\p{{{x}}}"), "removed")) for x, _ in names]
    ours = [pcre.members(rf"\p{{{x}}}") for _, x in names]
    unknown = set().union(*(a - b for a, b in zip(theirs, ours)))
    differ = set().union(*(a ^ b for a, b in zip(theirs, ours)))
    kinds = {}
    for c in ALL:
        if c not in differ:
            kinds.setdefault((len(chr(c).encode()), *(c in x for x in theirs)), c)
    out = []
    for c in sorted(unknown):
        to = kinds.get((len(chr(c).encode()), *(c in x for x in theirs)))
        if to is None: # without the script
            n = len(CATEGORIES)
            wanted = (len(chr(c).encode()), *(c in x for x in theirs[:n]))
            to = next((v for k, v in kinds.items() if k[:n + 1] == wanted and not any(k[n + 1:])), None)
        if to is None:
            continue
        if out and out[-1][1] == c - 1 and out[-1][2] == to:
            out[-1][1] = c
        else:
            out.append([c, c, to])
    return out


# ---- writing ----

def table(kind, name, rows):
    print(f"\nconst struct {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(hex(x) if x >= 0 else str(x) for x in row) + "},"
        if len(line) + len(item) > 120:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")
    print(f"const size_t n_{name} = sizeof {name} / sizeof *{name};")


def main():
    print("/* tokenizer_hf_classes.c - sets of characters as the tokenizers package has them.\n"
          " * Generated by tools/oracle/make_hf_classes.py; do not edit. */\n"
          '#include "text/tokenizer_hf_classes.h"')
    table("hf_range", "hf_punctuation", ranges(removed_by(pre_tokenizers.Punctuation("removed"))))
    table("hf_range", "hf_numbers", ranges(numbers()))
    table("hf_range", "hf_words", ranges(words()))
    table("hf_range", "hf_marks", ranges(erased_by(normalizers.StripAccents())))
    table("hf_range", "hf_nonspacing", ranges(erased_by(bert(strip_accents=True))))
    table("hf_range", "hf_cleaned", ranges(erased_by(bert(clean_text=True))))
    table("hf_range", "hf_combining", ranges(combining()))
    table("hf_range", "hf_indivisible", ranges(indivisible()))
    table("hf_lower", "hf_lowers", lower_pieces())
    table("hf_stand_in", "hf_stand_ins", stand_ins())


if __name__ == "__main__":
    main()
