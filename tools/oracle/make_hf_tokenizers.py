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
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES
from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as MBART50_LANGUAGES

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


LANGUAGE = "its token"


def languages_of(folder, names):
    (folder / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": names}) + "\n")


def mbart(folder):
    save(folder, "sentencepiece.bpe.model", pieces("unigram", **UNIGRAM))
    languages_of(folder, MBART50_LANGUAGES)


def named(folder, model, more, rule):
    """A model and a vocab.json that has most of its pieces, in another order, and others."""
    save(folder, model, pieces("unigram", **rule))
    piece = sentencepiece.SentencePieceProcessor(model_file=str(folder / model))
    own = [piece.id_to_piece(i) for i in range(3, piece.get_piece_size())]
    vocab = ["</s>", "<unk>", *more, *sorted(x for i, x in enumerate(own) if i % 17), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({x: i for i, x in enumerate(vocab)}, ensure_ascii=False) + "\n")


def marian(folder):
    named(folder, "source.spm", ["\u2581Zug", ">>fra<<", "\u6f22\u5b57", "\u00df"], UNIGRAM)
    save(folder, "target.spm", (folder / "source.spm").read_bytes())


def m2m(folder):
    named(folder, "sentencepiece.bpe.model", ["<s>", "\u2581Zug"], PLAIN)
    languages_of(folder, [f"__{x}__" for x in FAIRSEQ_LANGUAGE_CODES["m2m100"]])


BRACKETS = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>"}
DEBERTA = {**BRACKETS, "pad_piece": "[PAD]", "unk_id": 3, "unk_piece": "[UNK]", "control_symbols": ["[CLS]", "[SEP]"]}


def unigram(name, **more):
    return lambda d: save(d, name, pieces("unigram", **more))


# NAME: model_type, tokenizer_config.json, what writes the files; SentencePiece's ids: what stands around a text, what
# becomes of its own
FOLDERS = {
    "t5": ("t5", {"tokenizer_class": "T5Tokenizer", "extra_ids": 10},
           lambda d: save(d, "spiece.model", pieces("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **UNIGRAM)),
           ([], [1], int)),
    "llama": ("llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True},
              lambda d: save(d, "tokenizer.model", pieces("bpe", **LLAMA)), ([1], [], int)),
    "gemma": ("gemma", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True},
              lambda d: save(d, "tokenizer.model", pieces(
                  "bpe", **{**LLAMA, "add_dummy_prefix": False, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3,
                            "pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>",
                            "user_defined_symbols": ["<start_of_turn>", "\n\n", "▁▁", "<b>"]})), ([2], [], int)),
    "xlm-roberta": ("xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"},
                    lambda d: save(d, "sentencepiece.bpe.model", pieces("unigram", **UNIGRAM)), None),
    "camembert": ("camembert", {"tokenizer_class": "CamembertTokenizer"},
                  lambda d: save(d, "sentencepiece.bpe.model", pieces("unigram", **PLAIN)), None),
    "mbart50": ("mbart", {"tokenizer_class": "MBart50Tokenizer", "src_lang": "fr_XX"}, mbart,
                ([LANGUAGE], [2], lambda x: x + 1 if x else 3)),
    "marian": ("marian", {"tokenizer_class": "MarianTokenizer"}, marian, None),
    "m2m_100": ("m2m_100", {"tokenizer_class": "M2M100Tokenizer", "src_lang": "de"}, m2m, None),
    "albert": ("albert", {"tokenizer_class": "AlbertTokenizer", "do_lower_case": True, "keep_accents": False},
               unigram("spiece.model", **BRACKETS, **UNIGRAM, control_symbols=["[CLS]", "[SEP]", "[MASK]"]), None),
    "albert-cased": ("albert", {"do_lower_case": False, "keep_accents": True},
                     unigram("spiece.model", **BRACKETS, **PLAIN, control_symbols=["[CLS]", "[SEP]", "[MASK]"]), None),
    "xlnet": ("albert", {"tokenizer_class": "XLNetTokenizer", "do_lower_case": False},
              unigram("spiece.model", **PLAIN, control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"],
                      user_defined_symbols=["<eop>"]), None),
    "big_bird": ("bert", {"tokenizer_class": "BigBirdTokenizer"},
                 unigram("spiece.model", **PLAIN, control_symbols=["<pad>", "[CLS]", "[SEP]", "[MASK]"]), None),
    "deberta-v2": ("bert", {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False, "vocab_type": "spm"},
                   unigram("spm.model", **DEBERTA, **UNIGRAM), None),
    "deberta-v2-points": ("bert", {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True,
                                   "split_by_punct": True}, unigram("spm.model", **DEBERTA, **PLAIN), None),
    "pegasus": ("pegasus", {"tokenizer_class": "PegasusTokenizer"},
                unigram("spiece.model", **{**BRACKETS, "eos_id": 1, "unk_id": 2}, **UNIGRAM), None),
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
    own = around[0] + [around[2](x) for x in piece.encode(line)] + around[1]
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
    if around and LANGUAGE in around[0]:
        around = ([t.convert_tokens_to_ids(t.src_lang)], *around[1:])
    ids = [ids_of(t, piece, around, line) for line in lines]
    (folder / "ids.bin").write_bytes(b"".join(struct.pack("<Q", 0 if x is None else fnv(pack(x))) for x in ids))
    (folder / "target.spm").unlink(missing_ok=True)  # of which nothing is read
    print(name, type(t).__name__, sum(x is not None for x in ids), "of", len(ids), ids[0])


def main():
    lines = valid_lines(20240301, N_LINES)
    for name in sys.argv[1:] or FOLDERS:
        make(name, lines)


if __name__ == "__main__":
    main()
