"""Our token ids against llama.cpp's, live, on as many lines as one likes.

    python tools/oracle/compare_tokens.py BUILD/bin/tokens_of MODEL.gguf ... [--lines 50000] [--seed 1] [--show 5]

Ids may differ only where llama.cpp's own tokens do not give the line's bytes back and ours do (or the vocabulary has no
token for a byte), and where text that is no markup became control tokens there. Exit status 1: they differ elsewhere.
"""
import argparse
import struct
import subprocess
import sys

from llama_vocab import LlamaVocab
from token_lines import make_lines

SPECIAL = 2
MARK = "\u2581".encode()


def ours(program, model, cases):
    data = b"".join(struct.pack("<II", SPECIAL if special else 0, len(text)) + text for text, special in cases)
    done = subprocess.run([program, model], input=data, stdout=subprocess.PIPE, check=True)
    out, at = [], 0
    for _ in cases:
        n, = struct.unpack_from("<I", done.stdout, at)
        ids = list(struct.unpack_from(f"<{n}i", done.stdout, at + 4))
        out.append((ids, bool(done.stdout[at + 4 + 4 * n])))
        at += 5 + 4 * n
    return out


def compare(program, model, n_lines, seed, show, one_line):
    theirs = LlamaVocab(model)
    lines = make_lines(seed, n_lines, theirs.spellings())
    if one_line:
        lines = [x for x in lines if b"\n" not in x]
    cases = [(line, special) for line in lines for special in (False, True)]
    unspelled = set(range(256)) - {p[0] for p in map(theirs.piece, range(theirs.n_tokens)) if len(p) == 1}
    wrong = lossy = control = ours_back = lossy_both = 0
    for (text, special), (ids, back) in zip(cases, ours(program, model, cases)):
        want = theirs.tokenize(text, special)
        ours_back += back
        if ids == want:
            lossy_both += not back
        elif not special and any(map(theirs.is_control, want)):
            control += 1
        elif theirs.text(want) != text and (back or unspelled & set(text) or MARK in text):
            lossy += 1
        else:
            wrong += 1
            if wrong <= show:
                print(f"--- {text!r} special={special}\n  llama.cpp {want} {[theirs.piece(i) for i in want][:40]}\n"
                      f"  ours      {ids} {[theirs.piece(i) for i in ids][:40]}")
    print(f"{model}: {len(unspelled)} bytes have no token; {len(cases)} cases of {len(lines)} lines: "
          f"{wrong} wrong, {lossy} differ where llama.cpp loses bytes, {control} where "
          f"its content became control tokens; {lossy_both} equal and lossy; ours come back {ours_back}")
    return wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("models", nargs="+")
    p.add_argument("--lines", type=int, default=50000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=5)
    p.add_argument("--one-line", action="store_true",
                   help="leave out texts with a newline: llama.cpp ends the process at some with raw vocabularies")
    a = p.parse_args()
    return sum(compare(a.program, m, a.lines, a.seed, a.show, a.one_line) for m in a.models) != 0


if __name__ == "__main__":
    sys.exit(main())
