#!/usr/bin/env python3
"""Folders with a tokenizer but no tokenizer.json, and what Transformers makes of lines: tests/golden/hf_tokenizers/.

    make_hf_tokenizers.py [NAME ...]

Each folder holds config.json and the files that such folders have: spiece.model, tokenizer.model, vocab.json and
merges.txt, or vocab.txt. ids.bin: for each line of tests/golden/hf/lines.bin a u64, FNV-1a of the ids with what stands
around a text, special tokens of content being text (0: Transformers makes some of it, or the two oracles differ).
SentencePiece's own ids must be those of Transformers, but for the lines that are said. Needs transformers, tokenizers,
sentencepiece.
"""
import io
import json
import pathlib
import struct
import sys

import sentencepiece
from transformers import AutoTokenizer

from make_tokenizer_json import (CORPUS, bpe, byte_level, fnv, pack, split, valid_lines, wordpiece, N_LINES,
                                 QWEN2)
from tokenizers import normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/hf_tokenizers"


def pieces(kind, **more):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 3), model_writer=model, model_type=kind, vocab_size=620, minloglevel=2,
        hard_vocab_limit=False, max_sentence_length=1 << 16, num_threads=1, character_coverage=0.99, **more)
    return model.getvalue()


PLAIN = {"normalization_rule_name": "identity"}
UNIGRAM = {"normalization_rule_name": "nmt_nfkc"}
LLAMA = {"normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False,
         "split_digits": True}


def words(folder, lower):
    t = wordpiece(lower)
    t.model.save(str(folder))


def bytes_of(folder, pre, normalizer=None):
    bpe(pre, normalizer, own=False).model.save(str(folder))
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text())
    for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"):
        vocab.setdefault(token, len(vocab))
    path.write_text(json.dumps(vocab, ensure_ascii=False) + "\n")


def save(folder, name, data):
    (folder / name).write_bytes(data)


# NAME: model_type, tokenizer_config.json, what writes the files, SentencePiece's ids around a text
FOLDERS = {
    "t5": ("t5", {"tokenizer_class": "T5Tokenizer", "extra_ids": 10},
           lambda d: save(d, "spiece.model", pieces("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **UNIGRAM)),
           ([], [1])),
    "llama": ("llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True},
              lambda d: save(d, "tokenizer.model", pieces("bpe", **LLAMA)), ([1], [])),
    "gemma": ("gemma", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True},
              lambda d: save(d, "tokenizer.model", pieces(
                  "bpe", **{**LLAMA, "add_dummy_prefix": False, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3,
                            "pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>",
                            "user_defined_symbols": ["<start_of_turn>", "\n\n", "▁▁", "<b>"]})), ([2], [])),
    "xlm-roberta": ("xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"},
                    lambda d: save(d, "sentencepiece.bpe.model", pieces("unigram", **UNIGRAM)), None),
    "camembert": ("camembert", {"tokenizer_class": "CamembertTokenizer"},
                  lambda d: save(d, "sentencepiece.bpe.model", pieces("unigram", **PLAIN)), None),
    "gpt2": ("gpt2", {"tokenizer_class": "GPT2Tokenizer", "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>",
                      "add_bos_token": True}, lambda d: bytes_of(d, byte_level()), None),
    "roberta": ("roberta", {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True},
                lambda d: bytes_of(d, byte_level(True)), None),
    "qwen2": ("qwen2", {"tokenizer_class": "Qwen2TokenizerFast", "added_tokens_decoder": {
        "430": {"content": "<|im_start|>", "special": True, "lstrip": False, "normalized": False, "rstrip": False,
                "single_word": False}}},
              lambda d: bytes_of(d, pre_tokenizers.Sequence([split(QWEN2), byte_level(regex=False)]),
                                 normalizers.NFC()), None),
    "bert": ("bert", {"tokenizer_class": "BertTokenizer", "do_lower_case": True}, lambda d: words(d, True), None),
    "distilbert": ("distilbert", {"do_lower_case": False}, lambda d: words(d, False), None),
}


def ids_of(t, piece, around, line):
    known = t.encode(line, add_special_tokens=True, split_special_tokens=True)
    if any(x in line for x in list(t.get_added_vocab()) + t.all_special_tokens):
        known = None
    if not piece:
        return known
    if "▁" in line and "bos_token" in t.special_tokens_map: # BPE spells the mark itself in bytes here
        return None
    own = around[0] + piece.encode(line) + around[1]
    return own if known in (None, own) else None


def make(name, lines):
    model_type, config, write, around = FOLDERS[name]
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": 1000}) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    t = AutoTokenizer.from_pretrained(folder)
    piece = None
    if around:
        piece = sentencepiece.SentencePieceProcessor(model_file=str(next(folder.glob("*.model"))))
    ids = [ids_of(t, piece, around, line) for line in lines]
    (folder / "ids.bin").write_bytes(b"".join(struct.pack("<Q", 0 if x is None else fnv(pack(x))) for x in ids))
    print(name, type(t).__name__, sum(x is not None for x in ids), "of", len(ids), ids[0])


def main():
    lines = valid_lines(20240301, N_LINES)
    for name in sys.argv[1:] or FOLDERS:
        make(name, lines)


if __name__ == "__main__":
    main()
