#!/usr/bin/env python3
"""Tiny random models as Hugging Face folders, with the logits Transformers computes: tests/golden/hf_models/TYPE/.

    make_hf_models.py [TYPE ...]

Needs torch 2.13.0, transformers, sentence-transformers, tokenizers and safetensors. Every other type is stored as
BF16; logits are always those of the stored weights computed in float32. golden.bin: u32 tokens, u32 vocabulary, i32
ids, f32 rows.
"""
import copy
import json
import pathlib
import re
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from tokenizers import Tokenizer, models
from transformers import (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM,
                          AutoModelForSeq2SeqLM, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification, T5EncoderModel)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/hf_models"
TYPES = """
llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi3 olmo olmo2 olmo3 smollm3 granite seed_oss exaone4
arcee ernie4_5 glm glm4 cohere cohere2 hunyuan_v1_dense stablelm starcoder2 nemotron helium ministral phi
mixtral qwen2_moe qwen3_moe olmoe granitemoe dots1 glm4_moe exaone_moe hunyuan_v1_moe ernie4_5_moe minimax_m2
deepseek_v2 deepseek_v3 bert cwm internlm3 iquestcoder jais2 vaultgemma granitemoeshared mellum solar_open
glm4_moe_lite youtu
gpt2 gpt_neox gpt_neox-serial falcon falcon-new falcon-heads bloom mpt gpt_bigcode gpt_bigcode-heads opt gptj
mamba falcon_mamba mamba2 lfm2 lfm2_moe qwen3_next qwen3_5_text qwen3_5_moe_text gpt_oss hy_v3 apertus ministral3
bamba granitemoehybrid granitemoehybrid-rope granitemoeshared-shared jamba nemotron_h deepseek_v3-yarn
gemma4_text gemma4_text-experts gemma3 mistral3 qwen3_5 qwen3_5_moe gemma4
phi3-long gpt_neox-odd hunyuan_v1_dense-alpha deepseek_v2-groups deepseek_v3-halves ernie4_5_moe-biases olmoe-clipped
llama-gelu
qwen2_moe-windows mpt-alibi falcon-alibi falcon-alibi-heads opt-narrow opt-after stablelm-heads stablelm-parallel
lfm2-biases lfm2_moe-biases gpt_oss-bounds deepseek_v3-mscale
t5 t5-gated t5-silu mt5 umt5 t5-encoder
deepseek_v4 deepseek_v4-yarn glm5_next glm5_next-shared qwen4_exp qwen4_exp_text-ple
roberta xlm-roberta distilbert electra modernbert nomic_bert jina_embeddings_v3 eurobert gte mpnet
xlm-roberta-classes modernbert-classes
llama4_text phimoe falcon_h1 deepseek_v32 glm_moe_dsa minimax kimi_linear minimax_m3_vl_text exaone laguna minicpm3
bitnet afmoe mimo_v2_flash granite_swa granitemoe_swa cohere2_moe cohere2_moe-sigmoid
gemma3n_text gemma3_text-both qwen3-classes modernbert-mean bert-classes
apertus1p5_text flex_olmo aria_text gpt_neo biogpt persimmon nanochat
gemma3_text-dense bert-dense t5-encoder-dense
hyperclovax sarvam_mla sarvam_moe axk1 codegen xglm openai-gpt ctrl gpt_neox_japanese
megatron-bert xlm-roberta-xl roberta-prelayernorm albert
bart mbart marian pegasus blenderbot m2m_100
diffllama modernbert-decoder hy_v4 dbrx olmo_hybrid cohere_compass_text gpt_neo-unsaid
cohere-normed phi-normed gemma2-uncapped minicpm3-mscale glm4-unsaid deepseek_v3-unsaid
rembert roformer jetmoe recurrent_gemma rwkv zamba zamba2 zamba2-plain
hrm_text longcat_flash esm longcat_flash-saved jetmoe-keys
blenderbot-small minimax_m2-published mimo_v2_flash-published phimoe-long gemma-published gpt2-flatter ernie-tasks
modernbert-decoder-published minimax_m3_vl_text-published llama4_text-published exaone4-letters t5-unlike
aya_vision mistral-classes esm-classes bert-masked xlm-roberta-masked modernbert-masked eurobert-masked
bert-tokens granitemoehybrid-attention
""".split()  # TYPE-VARIANT
SMALL = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128,
    "sliding_window": 6, "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 24, "pad_token_id": None, "n_routed_experts": 4, "moe_num_experts": 4, "moe_k": 2,
    "moe_topk": 2, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1,
    "n_shared_experts": 1, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4, "v_head_dim": 8, "shared_expert_intermediate_size": 20,
    "bos_token_id": 0, "eos_token_id": 0, "query_pre_attn_scalar": 12, "attention_multiplier": 0.3,
    "residual_multiplier": 0.7, "embedding_multiplier": 3.0, "logits_scaling": 2.0,
    "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 32, "d_model": 32, "n_heads": 4, "n_layers": 2,
    "max_seq_len": 32, "ffn_hidden_size": 40, "ffn_dim": 40, "word_embed_proj_dim": 32, "rotary_dim": 4,
    "state_size": 8, "time_step_rank": 3, "num_heads": 8, "n_groups": 2, "chunk_size": 8,
    "linear_key_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_value_head_dim": 8,
    "num_dense_layers": 1, "num_shared_experts": 1, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8,
    "mamba_n_groups": 1, "mamba_chunk_size": 8, "mamba_dt_rank": 3, "shared_intermediate_size": 20,
    "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "moe_shared_expert_intermediate_size": 20,
    "dim": 32, "hidden_dim": 40, "embedding_size": 16, "local_attention": 6, "cls_token_id": 0, "sep_token_id": 0,
    "type_vocab_size": 2,
    "attention_heads": 4, "dff": 40, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "decoder_vocab_size": 64,
    "d_kv": 8, "d_ff": 40, "num_layers": 2, "relative_attention_num_buckets": 8
}
MAMBAS = ["mamba", "attention", "mamba", "attention"]
LINEAR = ["linear_attention", "full_attention"]
GEMMA4 = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 64, "global_head_dim": 16}
SERIAL = {"use_parallel_residual": False, "hidden_act": "gelu_new", "attention_bias": False,
          "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}
TOKENS = [(i * 37 + i * i // 7 + 11) % 64 for i in range(20)]
V4 = {"layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention",
                      "compressed_sparse_attention"], "num_hidden_layers": 4,
      "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
      "mlp_layer_types": ["hash_moe", "moe", "moe", "moe"], "hc_sinkhorn_iters": 3, "index_n_heads": 16,
      "index_head_dim": 16, "index_topk": 2, "o_groups": 2, "o_lora_rank": 8, "head_dim": 16, "num_key_value_heads": 1,
      "partial_rotary_factor": 0.5}
GLM5 = {"layer_types": LINEAR * 2, "num_hidden_layers": 4, "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "hc_sinkhorn_iters": 3, "index_n_heads": 16, "index_head_dim": 16, "index_topk": 8, "index_kpool": 4,
        "linear_head_dim": 8, "linear_num_heads": 4, "qk_rope_head_dim": 0, "num_key_value_heads": 4, "head_dim": 0}
QWEN4 = {"layer_types": LINEAR * 2, "num_hidden_layers": 4, "hc_lowrank": 8, "indexer_n_heads": 4,
         "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 8, "indexer_compress_ratio": 4}
# whose layers differ
DEEP = {"gemma2", "gemma3_text", "cohere2", "olmo3", "exaone4", "smollm3", "cwm", "vaultgemma", "mellum"}
ROBERTA = {"pad_token_id": 1, "type_vocab_size": 1}
# heads enough that hardly any position has scores of 0 alone
INDEXED = {"head_dim": 4, "num_key_value_heads": 4, "index_n_heads": 16, "index_head_dim": 8, "index_topk": 5,
           "mlp_layer_types": None}
LLAMA4 = {"num_hidden_layers": 4, "attention_chunk_size": 5, "moe_layers": [1, 3],
          "intermediate_size_mlp": 40, "floor_scale": 4, "num_experts_per_tok": 1}
MORE = {
    "llama": {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
                                  "high_freq_factor": 4.0, "original_max_position_embeddings": 32}},
    "qwen3": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                                  "original_max_position_embeddings": 32}},
    "mistral": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    "olmo": {"clip_qkv": 0.5},
    "qwen2_moe": {"norm_topk_prob": True},
    "deepseek_v2": {"head_dim": 4, "num_key_value_heads": 4, "topk_method": "greedy"},
    "deepseek_v3": {"head_dim": 4, "num_key_value_heads": 4},
    "glm4_moe_lite": {"head_dim": 4, "num_key_value_heads": 4},
    "youtu": {"head_dim": 4, "num_key_value_heads": 4},
    "sarvam_mla": {"head_dim": 4, "num_key_value_heads": 4, "q_lora_rank": None, "n_group": 1},
    "axk1": {"head_dim": 4, "num_key_value_heads": 4},
    "sarvam_moe": {"n_group": 1},
    "xglm": {"pad_token_id": 1},
    # one size: Transformers cuts the three convolutions in equal parts when it saves them
    "olmo_hybrid": {"layer_types": LINEAR, "linear_num_value_heads": 2, "pad_token_id": 1},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"], "rope_parameters": {
        "full_attention": None, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0,
                                                      "mrope_section": [2, 1, 1]}}},
    "roformer": {"pad_token_id": 1, "embedding_size": 16},
    "rembert": {"pad_token_id": 1, "input_embedding_size": 16},
    "jetmoe": {"kv_channels": 8},
    "jetmoe-keys": {"kv_channels": 8, "num_key_value_heads": 1, "num_experts_per_tok": 3},
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 6},
    "rwkv": {"num_hidden_layers": 3, "rescale_every": 2, "intermediate_size": 48},
    "zamba": {"num_hidden_layers": 5, "n_mamba_heads": 2,
              "layers_block_type": ["linear_attention", "hybrid", "hybrid", "linear_attention", "hybrid"]},
    "zamba2": {"num_hidden_layers": 3, "num_mem_blocks": 2, "adapter_rank": 6, "use_shared_attention_adapter": True,
               "n_mamba_heads": 4, "mamba_ngroups": 2, "intermediate_size": 40, "use_mem_rope": True,
               "num_key_value_heads": 4, "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
    "zamba2-plain": {"num_hidden_layers": 3, "adapter_rank": 6, "n_mamba_heads": 8, "intermediate_size": 40,
                     "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
    "hrm_text": {"L_cycles": 2},
    "longcat_flash": {"zero_expert_num": 3, "expert_ffn_hidden_size": 24, "moe_topk": 3, "head_dim": 4,
                      "num_key_value_heads": 4},
    "longcat_flash-saved": {"zero_expert_num": 3, "expert_ffn_hidden_size": 16, "moe_topk": 3, "head_dim": 4,
                            "num_key_value_heads": 4},
    "esm": {"position_embedding_type": "rotary", "pad_token_id": 1, "mask_token_id": 21, "token_dropout": True,
            "emb_layer_norm_before": False},
    "gpt_neo-unsaid": {"attention_types": [[["global", "local"], 1]], "window_size": 5},
    "modernbert-decoder": {"pad_token_id": 1, "layer_types": ["sliding_attention", "full_attention"]},
    "hy_v4": {**INDEXED, "mlp_layer_types": ["dense", "sparse"], "index_n_heads": 32, "n_group": 1, "swiglu_limit": 0.8,
              "indexer_types": ["full", "shared"]},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 1.0, "rope_theta": 10000.0}, "pad_token_id": None,
             "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 40, "moe_num_experts": 4, "moe_top_k": 2}},
    "bart": {"pad_token_id": 1},
    "mbart": {"pad_token_id": 1, "scale_embedding": True},
    "marian": {"pad_token_id": 0},
    "pegasus": {"pad_token_id": 0, "scale_embedding": True},
    "blenderbot": {"pad_token_id": 0},
    "m2m_100": {"pad_token_id": 1, "scale_embedding": True},
    "hyperclovax": {"pad_token_id": 1},
    "openai-gpt": {"pad_token_id": 1},
    "gemma4_text": {**GEMMA4, "num_hidden_layers": 4, "num_kv_shared_layers": 2, "final_logit_softcapping": 20.0,
                    "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gemma4_text-experts": {**GEMMA4, "num_kv_shared_layers": 0, "enable_moe_block": True, "top_k_experts": 2,
                            "num_experts": 4, "hidden_size_per_layer_input": 0, "attention_k_eq_v": True,
                            "num_global_key_value_heads": 1,
                            "layer_types": ["sliding_attention", "full_attention"]},
    "gpt2": {"n_inner": 40},
    "gpt_neox-serial": SERIAL,
    "falcon-new": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon-heads": {"multi_query": False, "bias": True},
    "gpt_bigcode-heads": {"multi_query": False},
    "mpt": {"attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.3}},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": {"layer_types": LINEAR},
    "qwen3_5_text": {"layer_types": LINEAR},
    "qwen3_5_moe_text": {"layer_types": LINEAR},
    "gpt_oss": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 150.0, "factor": 4.0, "truncate": False,
                                    "beta_fast": 8.0, "beta_slow": 1.0, "original_max_position_embeddings": 64}},
    "hy_v3": {"mlp_layer_types": ["dense", "sparse"]},
    "ministral3": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 1.0,
                                       "mscale_all_dim": 0.5, "llama_4_scaling_beta": 0.3,
                                       "original_max_position_embeddings": 8}},
    "deepseek_v3-yarn": {"head_dim": 4, "num_key_value_heads": 4,
                         "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 1.0,
                                             "mscale_all_dim": 1.0, "original_max_position_embeddings": 32}},
    "phi3-long": {"rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "short_factor": [1.0, 1.7],
        "long_factor": [1.0, 5.0], "original_max_position_embeddings": 64}},
    "gpt_neox-odd": {"hidden_size": 40, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
                                                            "partial_rotary_factor": 0.5}},
    "hunyuan_v1_dense-alpha": {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 50.0,
                                                   "factor": 1.0}},
    "deepseek_v2-groups": {"head_dim": 4, "num_key_value_heads": 4, "topk_method": "group_limited_greedy"},
    "deepseek_v3-halves": {"head_dim": 4, "num_key_value_heads": 4, "rope_interleave": False},
    "ernie4_5_moe-biases": {"use_bias": True, "tie_word_embeddings": True},
    "llama-gelu": {"hidden_act": "gelu", "mlp_bias": True},
    "qwen2_moe-windows": {"use_sliding_window": True, "num_hidden_layers": 4, "max_window_layers": 3},
    "mpt-alibi": {"n_heads": 4, "attn_config": {"alibi": False, "alibi_bias_max": 16}},
    "falcon-alibi": {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    "falcon-alibi-heads": {"alibi": True, "hidden_size": 48, "num_attention_heads": 6},
    "opt-narrow": {"word_embed_proj_dim": 16},
    "opt-after": {"word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "stablelm-heads": {"qk_layernorm": True, "use_parallel_residual": True},
    "stablelm-parallel": {"use_parallel_residual": True, "use_qkv_bias": True},
    "lfm2-biases": {"layer_types": ["conv", "full_attention"], "conv_bias": True},
    "lfm2_moe-biases": {"layer_types": ["conv", "full_attention"], "conv_bias": True},
    "gpt_oss-bounds": {"swiglu_limit": 0.8, "swiglu_alpha": 1.3},
    "deepseek_v3-mscale": {"head_dim": 4, "num_key_value_heads": 4,
                           "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 0.5,
                                               "mscale_all_dim": 1.0, "original_max_position_embeddings": 32}},
    "olmoe-clipped": {"clip_qkv": 0.5},
    "deepseek_v4": V4,
    "deepseek_v4-yarn": {**V4, "swiglu_limit": 0.5, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 8.0,
        "beta_slow": 1.0}},
    "glm5_next_text": GLM5,
    "glm5_next-shared": {**GLM5, "indexer_types": ["full", "full", "shared", "full"],
                         "layer_types": ["linear_attention"] + ["indexed_attention"] * 3, "swiglu_limit": 0.5,
                         "linear_lower_bound": None},
    "qwen4_exp_text": QWEN4,
    "qwen4_exp_text-ple": {**QWEN4, "ple_layer_ids": [1], "ple_embed_dim": 32, "ngram_size": 3, "heads_per_ngram": 2,
                           "ngram_vocab_size_base": 50, "make_ngram_vocab_size_divisible_by": 8,
                           "split_ngram_parts": 12, "output_gate_type": "sigmoid", "eos_token_id": TOKENS[5]},
    "t5": {"num_decoder_layers": 3},
    "t5-gated": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "t5-silu": {"feed_forward_proj": "gated-silu"},
    "t5-unlike": {"feed_forward_proj": "relu", "dense_act_fn": "gelu", "is_gated_act": True},
    "mt5": {"num_decoder_layers": 1},
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "xlm-roberta-masked": {**ROBERTA, "tie_word_embeddings": False, "hidden_act": "relu"},
    "bert-masked": {"hidden_act": "relu"},
    "bert-tokens": {"num_labels": 3},
    "eurobert-masked": {"tie_word_embeddings": True},
    "xlm-roberta-classes": {**ROBERTA, "num_labels": 3},
    "xlm-roberta-xl": ROBERTA,
    "roberta-prelayernorm": ROBERTA,
    "mpnet": {**ROBERTA, "relative_attention_num_buckets": 32},
    "nomic_bert": {"pad_token_id": 1},
    "jina_embeddings_v3": {"pad_token_id": 1},
    "gte": {"pad_token_id": 1},
    "modernbert": {"num_hidden_layers": 3, "norm_bias": True},
    "modernbert-classes": {"num_labels": 3},
    "modernbert-mean": {"num_labels": 3, "classifier_pooling": "mean"},
    "qwen3-classes": {"num_labels": 3, "pad_token_id": 1},
    "gemma3_text-both": {"use_bidirectional_attention": True},
    "gemma3_text-dense": {"use_bidirectional_attention": True},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 5},
    "biogpt": {"pad_token_id": 1},
    "nanochat": {"pad_token_id": 1},
    "aria_text": {"moe_num_shared_experts": 1},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": [40] * 4,
                     "layer_types": ["sliding_attention", "full_attention"] * 2, "laurel_rank": 4,
                     "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0], "hidden_size_per_layer_input": 8,
                     "vocab_size_per_layer_input": 64},
    "llama4_text": LLAMA4,
    "llama4_text-published": {**LLAMA4, "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
        "original_max_position_embeddings": 64}},
    "falcon_h1": {"mamba_d_ssm": 64, "ssm_multipliers": [0.4, 1.5, 0.6, 1.4, 0.8], "mlp_multipliers": [0.7, 1.6],
                  "key_multiplier": 0.6, "embedding_multiplier": 2.0, "lm_head_multiplier": 0.5,
                  "ssm_in_multiplier": 1.3, "ssm_out_multiplier": 0.7, "attention_in_multiplier": 1.2,
                  "attention_out_multiplier": 0.8,
                  "mamba_rms_norm": True, "mamba_norm_before_gate": False},
    "deepseek_v32": INDEXED,
    "glm_moe_dsa": {**INDEXED, "n_group": 1, "num_hidden_layers": 4,
                    "indexer_types": ["full", "full", "shared", "full"]},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "linear_attn_alpha_factor": 1.1,
                "linear_attn_beta_factor": 0.9, "mlp_alpha_factor": 0.8, "full_attn_beta_factor": 1.2},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"], "num_experts_per_token": 2,
                    "mlp_layer_types": ["dense", "sparse"], "num_key_value_heads": 4, "q_lora_rank": None,
                    "linear_head_dim": 8, "linear_num_heads": 2, "num_expert_group": 2, "topk_group": 1,
                    "hidden_act": "relu"},
    "minimax_m3_vl_text": {"layer_types": ["full_attention", "minimax_m3_sparse"], "dense_intermediate_size": 40,
                           "mlp_layer_types": ["dense", "sparse"], "index_block_size": 4, "index_head_dim": 8,
                           "index_n_heads": 2, "index_topk_blocks": 2, "rotary_dim": 8, "swiglu_limit": 0.8,
                           "swiglu_alpha": 1.3},
    "laguna": {"layer_types": ["full_attention", "sliding_attention"], "num_attention_heads_per_layer": [4, 8],
               "mlp_layer_types": ["dense", "sparse"]},
    "minicpm3": {"num_key_value_heads": 4, "head_dim": 4},
    "minicpm3-mscale": {"num_key_value_heads": 4, "head_dim": 4, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 16,
        "mscale": 0.8, "mscale_all_dim": 0.5}},
    "mimo_v2_flash-published": {"layer_types": ["full_attention", "sliding_attention"], "n_group": 1, "head_dim": 12,
                                "mlp_layer_types": ["dense", "sparse"]},
    "minimax_m2-published": {"rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0,
                                                 "partial_rotary_factor": 0.5}},
    "phimoe-long": {"rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.2, 1.5, 2.0],
        "long_factor": [1.0, 2.0, 4.0, 8.0], "short_mscale": 1.3, "long_mscale": 1.3,
        "original_max_position_embeddings": 64}},
    "gpt2-flatter": {"scale_attn_by_inverse_layer_idx": True},
    "ernie-tasks": {"use_task_id": True},
    "modernbert-decoder-published": {"num_hidden_layers": 3, "pad_token_id": 1, "sliding_window": 3,
                                     "rope_parameters": {
                                         "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
                                         "sliding_attention": {"rope_type": "default", "rope_theta": 9000.0}}},
    "minimax_m3_vl_text-published": {"layer_types": ["full_attention", "minimax_m3_sparse"], "index_head_dim": 8,
                                     "dense_intermediate_size": 40, "mlp_layer_types": ["dense", "sparse"],
                                     "index_block_size": 4, "index_n_heads": 2, "index_topk_blocks": 2,
                                     "rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0,
                                                         "partial_rotary_factor": 0.5}},
    "cohere-normed": {"use_qk_norm": True},
    "phi-normed": {"qk_layernorm": True},
    "gemma2-uncapped": {"final_logit_softcapping": None, "attn_logit_softcapping": None},
    "afmoe": {"layer_types": ["sliding_attention", "full_attention"], "mup_enabled": True, "route_scale": 1.5},
    "mimo_v2_flash": {"layer_types": ["full_attention", "sliding_attention"], "n_group": 1,
                      "mlp_layer_types": ["dense", "sparse"]},
    "granite_swa": {"layer_types": ["full_attention", "sliding_attention"], "layer_rope_theta": [0, 5000.0]},
    "granitemoe_swa": {"layer_types": ["full_attention", "sliding_attention"], "layer_rope_theta": [1000.0, 5000.0]},
    "cohere2_moe": {"layer_types": ["full_attention", "sliding_attention"], "mlp_layer_types": ["dense", "sparse"],
                    "num_shared_experts": 1},
    "cohere2_moe-sigmoid": {"layer_types": ["sliding_attention", "full_attention"], "num_shared_experts": 1,
                            "mlp_layer_types": ["sparse", "sparse"], "expert_selection_fn": "sigmoid",
                            "shared_expert_combination_strategy": "sum"},
    "mamba2": {"head_dim": 8, "hidden_act": "gelu", "time_step_limit": [0.3, 0.9]},
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": MAMBAS[:2]},
    "granitemoehybrid-rope": {"layer_types": MAMBAS[:2], "position_embedding_type": "rope", "num_local_experts": 0},
    "granitemoehybrid-attention": {"layer_types": ["attention"] * 2, "position_embedding_type": "rope",
                                   "num_local_experts": 0},
    "granitemoeshared": {"shared_intermediate_size": 0},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "nemotron_h": {"layers_block_type": ["mamba", "moe", "attention", "mlp"]},
}
# models of parts, of which the text's is compared
PARTS = {"gemma3": "gemma3_text", "gemma4": "gemma4_text", "mistral3": "ministral3", "qwen3_5": "qwen3_5_text",
         "qwen3_5_moe": "qwen3_5_moe_text", "glm5_next": "glm5_next_text", "qwen4_exp": "qwen4_exp_text",
         "aya_vision": "cohere2"}
SMALL_EYE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "depth": 1,
             "num_heads": 2, "out_hidden_size": 32, "image_size": 28, "patch_size": 14, "head_dim": 8,
             "num_position_embeddings": 16, "projection_intermediate_size": 16}
# sentence-transformers': the pooling, and for each Dense part how many numbers it gives, its bias and its activation
SENTENCE = {"gemma3_text-dense": ("mean", [(48, False, None), (24, False, None)]),
            "bert-dense": ("cls", [(32, True, torch.nn.Tanh())]), "t5-encoder-dense": ("mean", [(24, True, None)])}
SOURCE = 5  # an encoder-decoder reads so many of the tokens first
ENCODERS = {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "modernbert", "nomic_bert", "jina_embeddings_v3",
            "eurobert", "gte", "mpnet", "gemma3_text-both", "gemma3_text-dense", "bert-dense",
            "megatron-bert", "xlm-roberta-xl", "roberta-prelayernorm", "albert",
            "rembert", "roformer", "esm", "ernie-tasks"}
OWN_HEAD = {"t5-gated", "mt5"}  # beside a table of tokens that others take for both
# what old folders do not say
UNSAID = {"qwen2_moe-windows": ["layer_types"], "gpt_neo-unsaid": ["attention_layers"],
          "glm4-unsaid": ["rms_norm_eps", "rope_parameters"],
          "deepseek_v3-unsaid": ["norm_topk_prob", "routed_scaling_factor"],
          "minimax_m2-published": ["rope_parameters"], "llama4_text-published": ["rope_parameters", "layer_types"],
          "exaone4-letters": ["layer_types"],
          "mimo_v2_flash-published": ["rope_parameters", "layer_types", "sliding_window", "mlp_layer_types"],
          "modernbert-decoder-published": ["rope_parameters", "layer_types", "sliding_window"],
          "minimax_m3_vl_text-published": ["rope_parameters", "layer_types", "mlp_layer_types", "index_block_size",
                                           "index_head_dim", "index_n_heads", "index_topk_blocks",
                                           "index_local_blocks"]}
# what they say in its place
PUBLISHED = {
    "minimax_m2-published": {"rotary_dim": 4, "rope_theta": 5000000},
    "mimo_v2_flash-published": {"rope_theta": 5000000, "swa_rope_theta": 10000, "partial_rotary_factor": 0.334,
                                "hybrid_layer_pattern": [0, 1], "sliding_window": 5, "sliding_window_size": 5},
    "gemma-published": {"hidden_act": "gelu"},
    "exaone4-letters": {"sliding_window_pattern": "LLG"},  # Transformers itself has no more to say about it
    "modernbert-decoder-published": {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
                                     "local_rope_theta": 9000.0},
    "minimax_m3_vl_text-published": {"rope_theta": 5000000, "partial_rotary_factor": 0.5, "moe_layer_freq": [0, 1],
                                     "sparse_attention_config": {
                                         "sparse_num_index_heads": 2, "sparse_index_dim": 8, "sparse_block_size": 4,
                                         "sparse_topk_blocks": 2, "sparse_attention_freq": [0, 1]}},
    "llama4_text-published": {"rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
        "original_max_position_embeddings": 64}},
}


# what Transformers saves, but published folders do not have
UNPUBLISHED = {"esm": "inv_freq", "longcat_flash": r"experts\.[4-6]\."}


def kind_of(name):  # also of those with a hyphen
    while name not in CONFIG_MAPPING:
        name = name.rpartition("-")[0]
    return name


def config_of(name):
    kind = PARTS.get(name.split("-")[0]) or kind_of(name)
    cls = CONFIG_MAPPING[kind]
    fields = cls().to_dict()
    small = {k: v for k, v in SMALL.items() if k in fields}
    if kind in DEEP:
        small["num_hidden_layers"] = 4
    if "layer_types" in fields and kind in DEEP:
        small["layer_types"] = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
    if kind == "smollm3":
        small.pop("layer_types", None)
    return cls(**{**small, **MORE.get(name, MORE.get(kind, {}))})


def parts_of(name):
    cls = CONFIG_MAPPING[name.split("-")[0]]
    text = {**config_of(name).to_dict(), "pad_token_id": 0}
    if cls().vision_config is None:
        return cls(text_config=text, vision_config=None, audio_config=None)
    eye = cls().vision_config.to_dict()
    small = {k: v for k, v in SMALL_EYE.items() if k in eye}
    return cls(text_config=text, vision_config={**small, "model_type": eye["model_type"]})


def fill(model, bf16):
    generator = torch.Generator().manual_seed(7)
    for name, p in sorted(model.named_parameters()):
        if name in (getattr(model, "_keys_to_ignore_on_save", None) or ()):
            continue  # the file will not have it
        if not p.requires_grad:
            continue  # waves
        spread = 0.2 if p.dim() == 1 else 1 / p.shape[-1] ** 0.5
        values = torch.randn(p.shape, generator=generator) * spread
        if p.dim() == 1 and "norm" in name and "bias" not in name:
            values += p.data.mean()
        p.data.copy_(values.bfloat16().float() if bf16 else values)
    for name, b in sorted(model.named_buffers()):
        if name.endswith("e_score_correction_bias"):
            values = torch.randn(b.shape, generator=generator) * 0.3
            b.copy_(values.bfloat16().float() if bf16 else values)
        elif name.endswith("tid2eid"):
            b.copy_(torch.randint(4, b.shape, generator=generator))


def model_of(kind):
    if kind.startswith("t5-encoder"):
        return T5EncoderModel(config_of(kind))
    if kind in ENCODERS:  # their rows are the last hidden states
        return AutoModel.from_config(config_of(kind))
    if kind.endswith(("-classes", "-mean")):
        return AutoModelForSequenceClassification.from_config(config_of(kind))
    if kind.endswith("-masked"):
        return AutoModelForMaskedLM.from_config(config_of(kind))
    if kind.endswith("-tokens"):
        return AutoModelForTokenClassification.from_config(config_of(kind))
    if kind.split("-")[0] in PARTS:
        return AutoModelForImageTextToText.from_config(parts_of(kind))
    config = config_of(kind)
    maker = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = maker.from_config(config)
    if kind in OWN_HEAD:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    return model


def classes_of(model, ids):  # as if each token were the one that counts
    rows = model.base_model(ids).last_hidden_state
    if hasattr(model, "score"):
        return model.score(rows)
    if hasattr(model, "head"):
        mean = rows.mean(1, keepdim=True).expand_as(rows)
        return model.classifier(model.head(mean if model.config.classifier_pooling == "mean" else rows))
    pooled = model.bert.pooler if model.config.model_type == "bert" else torch.nn.Identity()
    return torch.stack([model.classifier(pooled(rows[:, i:])) for i in range(len(TOKENS))], 1)


def rows_of(model):
    ids = torch.tensor([TOKENS])
    with torch.no_grad():
        if model.config.is_encoder_decoder and hasattr(model, "lm_head"):
            return model(ids[:, :SOURCE], decoder_input_ids=ids, use_cache=False).logits
        if "SequenceClassification" in type(model).__name__:
            return classes_of(model, ids)
        out = model(ids, use_cache=False) if hasattr(model, "lm_head") else model(ids)
        return out.logits if "logits" in out else out.last_hidden_state


def sentence_of(kind, rows, folder):  # the text's vector
    pooling, parts = SENTENCE[kind]
    modules = [Pooling(rows.shape[-1], pooling)]
    for n, bias, act in parts:
        modules.append(Dense(modules[-1].get_embedding_dimension(), n, bias, act))
        fill(modules[-1], False)
    modules.append(Normalize())
    features = {"token_embeddings": rows, "attention_mask": torch.ones(rows.shape[:2], dtype=torch.long)}
    listed = []
    for i, module in enumerate(modules, 1):
        name = f"{i}_{type(module).__name__}"
        listed.append({"idx": i, "name": str(i), "path": name,
                       "type": f"{type(module).__module__}.{type(module).__name__}"})
        if list(module.parameters()) or i == 1:
            (folder / name).mkdir(exist_ok=True)
            module.save(str(folder / name))
        features = module(features)
    (folder / "modules.json").write_text(json.dumps(listed, indent=2) + "\n")
    return features["sentence_embedding"].detach()


def make(kind, bf16):
    folder = OUT / kind
    model = model_of(kind).float().eval()
    fill(model, bf16)
    rows = rows_of(copy.deepcopy(model))  # RWKV divides its weights
    (model.bfloat16() if bf16 else model).save_pretrained(folder)
    logits = rows[0].numpy()
    if kind in SENTENCE:
        logits = sentence_of(kind, rows, folder).numpy().repeat(len(TOKENS), 0)
    logits = logits.astype("<f4")
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    said = {key: value for key, value in config.items() if key not in UNSAID.get(kind, ())}
    said.update(PUBLISHED.get(kind, {}))
    if said != config:
        (folder / "config.json").write_text(json.dumps(said, indent=2) + "\n")
    if kind in UNPUBLISHED:
        tensors = load_file(folder / "model.safetensors")
        kept = {name: t for name, t in tensors.items() if not re.search(UNPUBLISHED[kind], name)}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
    vocabulary = {"<unk>": 0, **{f"w{i}": i for i in range(1, 64)}}
    Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
    head = np.array(logits.shape, "<u4").tobytes() + np.array(TOKENS, "<i4").tobytes()
    (folder / "golden.bin").write_bytes(head + (logits[:1] if kind in SENTENCE else logits).tobytes())
    print(kind, json.loads((folder / "config.json").read_text())["model_type"], float(np.abs(logits).max()))


def main():
    torch.manual_seed(0)
    for kind in sys.argv[1:] or TYPES:
        make(kind, TYPES.index(kind) % 2 == 1)


if __name__ == "__main__":
    main()
