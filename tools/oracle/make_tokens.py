"""Makes tests/golden/tokens/: lines, and what llama.cpp makes of them.

    python tools/oracle/make_tokens.py

Development only; needs llama-cpp-python and, for the small vocabularies, gguf and tokenizers. Little-endian files:

    lines.bin             u32 lines, then for each u32 bytes and the bytes
    smollm2.bin, ...      u32 lines, u32 full; for each line twice (control tokens not found, found) the u64 FNV-1a of
                          its ids, 0 where llama.cpp loses bytes of it or makes control tokens of what is no markup;
                          then for each of the first `full` lines twice u32 tokens and i32 ids; then u32 ends and
                          i32 ids of the tokens that end a turn
    words.gguf, words.bin a small byte-level vocabulary, and for each kind of pre-tokenizer its u8 bytes and name,
                          u32 lines, and for each line one hash as above
    spaces.gguf, .bin     a small SentencePiece vocabulary with a space in front, as smollm2.bin
    rwkv.gguf, .bin, plamo2.gguf, .bin   the same for those
"""
import pathlib
import re
import shutil
import struct
import tempfile

import make_vocabularies
from llama_vocab import LlamaVocab
from token_lines import make_lines

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "tests/golden/tokens"
MODELS = {"smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma3": "gemma-3-270m-q4_k_m.gguf"}
OTHERS = ["rwkv", "plamo2"]
N_LINES, N_FULL, N_WORDS = 6400, 250, 1000


def hash_of(ids):
    h = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        h = (h ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return h or 1


def judge(vocab, line, special):
    """The hash, and the ids."""
    ids = vocab.tokenize(line, special)
    lossy = vocab.text(ids) != line or (not special and any(map(vocab.is_control, ids)))
    return 0 if lossy else hash_of(ids), ids


def write_ids(path, vocab, lines, n_full):
    cases = [judge(vocab, line, special) for line in lines for special in (False, True)]
    with open(path, "wb") as f:
        f.write(struct.pack("<II", len(lines), n_full))
        f.write(struct.pack(f"<{len(cases)}Q", *(h for h, _ in cases)))
        for _, ids in cases[:n_full * 2]:
            f.write(struct.pack(f"<I{len(ids)}i", len(ids), *ids))
        ends = vocab.ends()
        f.write(struct.pack(f"<I{len(ends)}i", len(ends), *ends))
    equal = [i for i in range(len(lines)) if cases[2 * i][0] and cases[2 * i + 1][0]]
    print(f"{path.name}: {len(lines)} lines, {len(equal)} to be equal in both ways")


def one_name_each():
    seen = {}
    for name, kind in re.findall(r'^    \{"([^"]+)", &(\w+)', make_vocabularies.SOURCE.read_text(), re.M):
        seen.setdefault(kind, name)
    return [name for kind, name in seen.items() if kind != "lines"]


def write_words(folder, lines):
    make_vocabularies.main([str(folder), "700", *one_name_each(), "spm", *OTHERS])
    with open(OUT / "words.bin", "wb") as f:
        for name in one_name_each():
            vocab = LlamaVocab(folder / f"{name}.gguf")
            f.write(struct.pack("<B", len(name)) + name.encode())
            f.write(struct.pack(f"<I{len(lines)}Q", len(lines), *(judge(vocab, line, False)[0] for line in lines)))
    shutil.copy(folder / "gpt-2.gguf", OUT / "words.gguf")
    shutil.copy(folder / "spm.gguf", OUT / "spaces.gguf")
    for name in OTHERS:
        shutil.copy(folder / f"{name}.gguf", OUT)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    vocabs = {name: LlamaVocab(ROOT / "models" / file) for name, file in MODELS.items()}
    lines = make_lines(20240229, N_LINES, [x for v in vocabs.values() for x in v.spellings()])
    packed = b"".join(struct.pack("<I", len(x)) + x for x in lines)
    (OUT / "lines.bin").write_bytes(struct.pack("<I", len(lines)) + packed)
    for name, vocab in vocabs.items():
        write_ids(OUT / f"{name}.bin", vocab, lines, N_FULL)
    with tempfile.TemporaryDirectory() as folder:
        write_words(pathlib.Path(folder), lines[:N_WORDS])
    for name in ("spaces", *OTHERS):
        write_ids(OUT / f"{name}.bin", LlamaVocab(OUT / f"{name}.gguf"), lines[:1000], 20)


if __name__ == "__main__":
    main()
