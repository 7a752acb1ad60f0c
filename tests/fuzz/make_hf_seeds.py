"""Make the seeds of tests/fuzz/corpus/safetensors (by the safetensors package, so that somebody else's writer made
them) and of tests/fuzz/corpus/hf_json.

    python tests/fuzz/make_hf_seeds.py     (needs the packages safetensors, numpy and tokenizers)
"""
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).parent / "corpus"


def safetensors():
    folder = OUT / "safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    x = np.arange(12, dtype=np.float32)
    save_file({"model.norm.weight": x, "model.embed.weight": x.reshape(3, 4).astype(np.float16)},
              folder / "two.safetensors", {"format": "pt"})
    kinds = [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint16, np.uint32,
             np.uint64, np.bool_]
    save_file({k.__name__: x.astype(k) for k in kinds} | {"scalar": np.array(1, np.float32), "none": x[:0],
              "many": x.reshape(1, 2, 1, 3, 2, 1)}, folder / "kinds.safetensors")
    save_file({}, folder / "empty.safetensors")


def hf_json():
    folder = OUT / "hf_json"
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_scaling": {"factor": 8.0},
              "eos_token_id": [1, 2], "time_step_limit": [0.0, float("inf")], "x": float("nan"), "y": int(1e30)}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    vocab = {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁a": 5, "\u00e9": 6}
    t = Tokenizer(models.BPE(vocab, [("a", "b"), ("▁", "a")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁"), normalizers.StripAccents()])
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_special_tokens(["<s>", "</s>"])
    (folder / "bpe.json").write_text(t.to_str(True) + "\n#TEXT ab a b\u00e9 <s>")
    u = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -2.0), ("a", -3.0), ("b", -3.5), ("ab", -4.0)], 0, False))
    u.pre_tokenizer = pre_tokenizers.Metaspace()
    u.decoder = decoders.Metaspace()
    (folder / "unigram.json").write_text(u.to_str(True) + "\n#TEXT ab abba x")
    w = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "ab": 3, ".": 4}, unk_token="[UNK]"))
    w.normalizer, w.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    w.decoder = decoders.WordPiece()
    (folder / "wordpiece.json").write_text(w.to_str(True) + "\n#TEXT Ab, abb. \u4e2d")


if __name__ == "__main__":
    safetensors()
    hf_json()
