#!/usr/bin/env python3
"""Tiny random models as andiron-import writes them, with the logits Transformers computes: tests/golden/imports/.

    make_imports.py [TYPE ...]

Needs what tools/import needs. TYPE.gguf is the imported model, F32; TYPE.bin as golden.bin of make_hf_models.py, of
one row where the model gives a text one vector. A model that reads a source has the first five tokens as that.
"""
import os
import pathlib
import sys
import tempfile

import numpy as np
import torch
from transformers import (AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM,
                          AutoModelForSequenceClassification)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

ROOT = pathlib.Path(__file__).parents[2]
sys.path += [str(ROOT / "tools/import"), str(ROOT / "tools/oracle")]

from andiron_import import heads  # noqa: E402
from andiron_import.imported import Imported  # noqa: E402
from andiron_import.shrink import TUNED  # noqa: E402
from make_hf_models import SMALL, TOKENS, fill  # noqa: E402
from written_model import BegunForCausalLM, SteppedForCausalLM, WrittenConfig, WrittenForCausalLM  # noqa: E402

OUT = ROOT / "tests/golden/imports"
T5GEMMA2 = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
            "num_key_value_heads": 2, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"],
            "vocab_size": 64, "pad_token_id": 0}
BLT = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4,
       "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64, "max_position_embeddings": 512}
MORE = {"blt": {"encoder_hash_byte_group_size": [2, 4], "encoder_hash_byte_group_vocab": 50, "cross_attn_k": 2,
                "local_attention_window_len": 6, "vocab_size": 64, "patcher_config": BLT | {"sliding_window": 5},
                "encoder_config": BLT | {"cross_attn_k": 2, "hidden_size_global": 32, "sliding_window": 6},
                "decoder_config": BLT | {"cross_attn_k": 2, "hidden_size_global": 32},
                "global_config": BLT | {"encoder_cross_output_size": 64}},
        "modernbert": {"local_attention": 8},
        "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "conv_kernel": 4, "expand": 2},
        "mamba": {"state_size": 8, "conv_kernel": 4, "time_step_rank": 4},
        "deepseek_v3": {"head_dim": 4, "num_key_value_heads": 4},
        "bloom": {"n_layer": 2, "n_head": 4, "hidden_size": 32},
        "qwen3_next": {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
                       "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
                       "norm_topk_prob": True},
        "rwkv": {"attention_hidden_size": 32},
        "cpmant": {"dim_head": 8, "dim_ff": 40, "prompt_length": 3, "prompt_types": 4, "segment_types": 4,
                   "position_bias_num_buckets": 16, "position_bias_max_distance": 20},
        "reformer": {"attention_head_size": 8, "attn_layers": ["local", "lsh"], "feed_forward_size": 40,
                     "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [12, 20], "is_decoder": True,
                     "local_attn_chunk_length": 4, "lsh_attn_chunk_length": 64, "pad_token_id": 0},
        "bart": {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
                 "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "pad_token_id": 0, "scale_embedding": True,
                 "eos_token_id": TOKENS[-1]},
        "t5gemma": {"tie_word_embeddings": True, **{part: {
            "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
            "num_key_value_heads": 2, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"],
            "vocab_size": 64, "pad_token_id": 0} for part in ("encoder", "decoder")}},
        "t5gemma2": {"tie_word_embeddings": True, "image_token_index": 60, "encoder": {
            "text_config": T5GEMMA2, "vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                                                       "num_attention_heads": 1, "image_size": 28, "patch_size": 14},
            "boi_token_index": 61, "eoi_token_index": 62, "image_token_index": 60}, "decoder": T5GEMMA2},
        "longformer": {"attention_window": [4, 4], "pad_token_id": 0, "type_vocab_size": 1},
        "longt5": {"d_kv": 8, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 1, "num_heads": 4, "pad_token_id": 0,
                   "encoder_attention_type": "transient-global", "local_radius": 1, "global_block_size": 2},
        "t5": {"d_kv": 8, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4, "pad_token_id": 0,
               "relative_attention_num_buckets": 8, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "hrm_text": {"num_layers_per_stack": 1, "H_cycles": 2, "L_cycles": 1, "L_bp_cycles": [1]},
        "inkling_text": {"swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "swa_head_dim": 8, "d_rel": 8,
                         "rel_extent": 10, "sliding_window_size": 6, "log_scaling_n_floor": 4,
                         "layer_types": ["hybrid", "hybrid_sliding"]},
        "qwen4_exp_text": {"layer_types": ["linear_attention", "indexed_attention"], "hc_count": 3, "hc_lowrank": 8,
                           "ple_layer_ids": [1], "ple_embed_dim": 16, "heads_per_ngram": 2, "eos_token_id": 21,
                           "ngram_vocab_size_base": 40, "make_ngram_vocab_size_divisible_by": 8, "indexer_n_heads": 4,
                           "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 6,
                           "indexer_compress_ratio": 3},
        "deepseek_v4": {"layer_types": ["compressed_sparse_attention", "heavily_compressed_attention"],
                        "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 5},
                        "mlp_layer_types": ["hash_moe", "moe"], "hc_mult": 2, "hc_sinkhorn_iters": 3,
                        "index_n_heads": 6, "index_head_dim": 8, "index_topk": 3, "o_groups": 2, "o_lora_rank": 8,
                        "head_dim": 16, "num_key_value_heads": 1, "sliding_window": 4},
        "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"],
                       "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False},
        "esm": {"position_embedding_type": "rotary", "pad_token_id": 1, "mask_token_id": 21, "token_dropout": True},
        "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"]}}
TYPES = ["llama", "gemma3_text", "mixtral", "deepseek_v3", "bloom", "mamba", "mamba2", "qwen3_next", "apertus", "gptj",
         "rwkv", "hrm_text", "inkling_text", "qwen4_exp_text", "deepseek_v4", "blt", "cpmant",
         "reformer", "written", "begun", "stepped", "modernbert-masked", "mpnet-masked", "deberta-v2-masked",
         "fnet-masked", "esm-masked",
         "bert-classes", "qwen2-classes", "bart-source", "t5-source", "t5gemma-source", "t5gemma2-source",
         "longt5-source", "bart-classes", "longformer-classes"]  # TYPE-HEAD
HEADS = {"": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, "classes": AutoModelForSequenceClassification,
         "source": AutoModelForSeq2SeqLM}
N_SOURCE = 5


def transformers_model(name):
    kind, _, head = name.rpartition("-") if name.rpartition("-")[2] in HEADS else (name, "", "")
    cls = CONFIG_MAPPING[kind]
    fields = cls().to_dict()
    small = {k: v for k, v in SMALL.items() if k in fields} | MORE.get(kind, {})
    if kind == "gptj":
        small |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 512, "n_inner": 40}
    if kind in ("bloom", "gptj"):
        small = {k: v for k, v in small.items() if k not in ("num_hidden_layers", "num_attention_heads")}
    if "max_position_embeddings" in small:
        small["max_position_embeddings"] = 512
    if head == "classes":
        small["num_labels"] = 3
    return HEADS[head].from_config(cls(**small))


def make(name):
    written = {"written": WrittenForCausalLM, "begun": BegunForCausalLM, "stepped": SteppedForCausalLM}.get(name)
    model = written(WrittenConfig()) if written else transformers_model(name)
    model = model.float().eval()
    fill(model, False)
    write_golden(TUNED.get(type(model).__name__, lambda m: m)(model), name)


def write_golden(model, name, definition=True):
    """definition: is it in the file, or in arch/?"""
    tokens = torch.tensor([TOKENS])
    source = tokens[:, :N_SOURCE] if heads.reads_source(model) else None
    with torch.no_grad():
        logits = heads.numbers(model(**heads.arguments(model, tokens, source=source)))[0].numpy().astype("<f4")
    with tempfile.TemporaryDirectory() as nothing:
        imported = Imported(model, begin=getattr(model, "n_begin", getattr(model.config, "prompt_length", 0)))
        if not definition:
            imported.text, imported.name = None, name
        imported.save(OUT / f"{name}.gguf", "f32", pathlib.Path(nothing) / name)  # no tokenizer in it
    sizes = np.array([len(TOKENS), logits.shape[-1]], "<u4").tobytes() + np.array(TOKENS, "<i4").tobytes()
    (OUT / f"{name}.bin").write_bytes(sizes + logits.tobytes())
    print(name, float(np.abs(logits).max()))


def main():
    if os.environ.get("PYTHONHASHSEED") != "0":  # Transformers walks over sets of words, and the trace has their order
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    for kind in sys.argv[1:] or TYPES:
        make(kind)


if __name__ == "__main__":
    main()
