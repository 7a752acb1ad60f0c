"""All models of peer_archs.py: the first of each architecture (peer_table.py), variants, and what cannot be one."""
from peer_table import (BERT_BIAS, CLS, EPS, FACTORS, FF, FIRST, HEAD32, INDEXERS, KEY, LAYERS, LOCAL_BASE, MHA,
                        MIXTRAL, NO_ROPE, N_HEAD, N_KV, ORIGINAL, QKV_BIAS, ROPE, SECTIONS, SHARED_FF, TIED, VALUE,
                        WIDTH, YARN, indexer, mla, moe, window)

ROWS = {"pooling_type": 1, "+embed": True}
FUSED = {"+fused": True}
WHOLE = ROWS | {"attention.causal": False}

# what llama.cpp's own saver writes where an architecture has no such number (llama_model_save_to_file)
SAVED = {key: 0 for key in (
    "expert_count", "expert_used_count", "expert_gating_func", "expert_group_count", "nextn_predict_layers",
    "interleave_moe_layer_step", "moe_every_n_layers", "attention.q_lora_rank", "attention.kv_lora_rank",
    "attention.key_length_mla", "attention.value_length_mla", "attention.sliding_window", "attention.indexer.top_k",
    "posnet.block_count", "ssm.inner_size", "ssm.group_count", "wkv.head_size", "rescale_every_n_layers")} | {
    key: 0.0 for key in (
        "logit_scale", "residual_scale", "embedding_scale", "attention.scale", "attention.clamp_kqv",
        "attention.max_alibi_bias", "attention.layer_norm_epsilon", "expert_weights_scale", "rope.scaling.factor",
        "rope.scaling.yarn_log_multiplier", "attention.temperature_scale")} | {
    "pooling_type": 0xFFFFFFFF, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
    "expert_weights_norm": False, "rope.scaling.finetuned": False, "rope.scaling.type": "linear",
    "rope.scaling.attn_factor": 1.0, "rope.scaling.yarn_ext_factor": -1.0, "swiglu_clamp_exp": [0.0, 0.0, 0.0],
    "kda.gate_lower_bound": float("-inf")}
SCALES = [f"{name}.scale" for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")]

# what differs from the architecture's first model
VARIANTS = {
    "llama.tied": TIED,
    "llama.moe": MIXTRAL,
    "llama.bias": {"+with": QKV_BIAS + ["attn_output.bias", "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"]},
    "llama.saved": SAVED | {"+with": SCALES + QKV_BIAS},
    "llama.scaled": MIXTRAL | {"+with": SCALES[:4] + [f"ffn_{part}_exps.scale" for part in ("gate", "up", "down")]},
    "llama.yarn": YARN | {"+with": []},
    "llama.linear": {"+with": [], "rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    "llama.heads": {"+with": [], N_KV: 1, N_HEAD: 6} | HEAD32,
    "llama4.maverick": {"expert_count": 128, "expert_feed_forward_length": 8},
    "llama4.scout": {"interleave_moe_layer_step": 1},
    "falcon.7b": {N_KV: 1, "+without": ["attn_norm_2.weight"]},
    "gptneox.sequential": {"use_parallel_residual": False},
    "mpt.bias": {"+with": ["attn_qkv.bias", "attn_output.bias", "ffn_up.bias", "ffn_down.bias", "output_norm.bias",
                           "attn_norm.bias",
                           "ffn_norm.bias"], "+without": ["position_embd.weight", "attn_k_norm.weight"]},
    "mpt.learned": {"attention.max_alibi_bias": 0.0, "+with": ["position_embd.weight"],
        "+without": ["attn_q_norm.weight", "attn_k_norm.weight"]},
    "baichuan.13b": NO_ROPE | {LAYERS: 40, WIDTH: 32, FF: 32},
    "stablelm.3b": {"+with": ["ffn_norm.bias"]},
    "stablelm.12b": {"use_parallel_residual": True, "+with": [], "+without": ["ffn_norm.weight"]},
    "qwen2.yarn": YARN | TIED,
    "qwen3.yarn": YARN | {"rope.scaling.factor": 8.0},
    "qwen3.tied": TIED,
    "qwen3moe.yarn": YARN,
    "phi3.long": {ORIGINAL: 8},
    "phi3.plain": {"rope.scaling.attn_factor": None, "+with": []},
    "minicpm.long": {"context_length": 2048, ORIGINAL: 512, "rope.scaling.type": "longrope", "+with": FACTORS},
    "gemma3.linear": {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0, "rope.freq_base": 1000000.0,
        LOCAL_BASE: 10000.0},
    "gemma3.all": {"attention.sliding_window": None, LAYERS: 3},
    "gemma4.moe": moe() | {"+lack": {"attn_v.weight": [2]}, "+with": ["rope_freqs.weight", "ffn_gate_inp.scale",
                                                                      "ffn_down_exps.scale"],
                                                                      "embedding_length_per_layer_input": 0,
                                                                      "attention.shared_kv_layers": 0},
    "qwen4exp.ple": {"ple.layers": [0], "ple.ngram_size": 3, "ple.heads_per_ngram": 2, "ple.conv_kernel": 4,
        "ple.eos_token_id": 21, "embedding_length_per_layer_input": 16, "attention.indexer.top_k": 64,
        "ple.layer_multipliers": ("u64[]", [9007199254740993, 1152921504606846977, 5]),
        "ple.head_offsets": ("u64[]", [0, 64, 128, 192]), "ple.head_vocab_sizes": ("u64[]", [64, 61, 59, 53])},
    "gemma4.kv": {"+lack": {"attn_v.weight": [2]}, "attention.shared_kv_layers": 0,
        "embedding_length_per_layer_input": 0},
    "grok.first": {"+without": ["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"],
        "final_logit_softcapping": None},
    "command-r.plus": {LAYERS: 64, WIDTH: 32, FF: 32, ROPE: 8},
    "olmo.free": {"attention.clamp_kqv": None},
    "olmo2.plain": {"attention.sliding_window": None, "rope.scaling.type": None, "rope.scaling.factor": None,
        ORIGINAL: None, LAYERS: 2},
    "deepseek2.lite": mla(None) | {"attention.q_lora_rank": None, LAYERS: 27, WIDTH: 32, FF: 32,
        "expert_feed_forward_length": 16, "expert_gating_func": None, "expert_weights_norm": None,
        "expert_group_count": None, "expert_group_used_count": None, "+without": ["exp_probs_b.bias"]},
    "deepseek2.plain": MHA | {KEY: 24, VALUE: 24, "attention.key_length_mla": None,
        "attention.value_length_mla": None},
    "exaone4.32b": {LAYERS: 64, WIDTH: 32, FF: 32, ROPE: 8} | window(6),
    "granitemoe.plain": {SHARED_FF: None},
    "granitehybrid.dense": {"expert_count": None, "expert_used_count": None, "rope.scaling.finetuned": True},
    "granitehybrid.norope": {"rope.scaling.finetuned": False},
    "jamba.dense": {"expert_count": None, "expert_used_count": None},
    "jina-bert-v2.code": {"+without": CLS, "+with": BERT_BIAS + ["attn_q_norm.bias", "attn_k_norm.bias",
                                                                 "attn_norm_2.bias"]},
    "glm4moe.air": {"+without": ["attn_q_norm.weight", "attn_k_norm.weight"]},
    "glm4.mrope": {SECTIONS: [2, 1, 1, 0]},
    "mamba.falcon": {"ssm.dt_b_c_rms": True},
    "nemotron_h_moe.latent": {"moe_latent_size": 24},
    "mistral3.moe": MIXTRAL,
    "mistral3.plain": {key: None for key in YARN} | {"rope.scaling.yarn_log_multiplier": None,
        "attention.temperature_scale": None},
    "qwen35moe.gate_up": {"+gate_up": True},
    "smallthinker.all": {"attention.sliding_window": None},
    "hy_v4.plain": {key: None for key in indexer()} | {INDEXERS: None},
    "ernie4_5.tied": TIED,
    "rwkv6.rescaled": {"rescale_every_n_layers": 1},
    "lfm2.window": window(6),
    "nanbeige.skip": {"skip_loop_final_norm": True},
    "granite.long": YARN,
    "arcee.plain": {key: None for key in YARN},
    "hunyuan_vl.alpha": {"rope.scaling.alpha": 50.0},
    "qwen2moe.tied": TIED,
    "minicpm.moe": MIXTRAL,
    "deepseek32.all": indexer(top=64),  # the indexer is there, and chooses everything
    "glm-dsa.all": indexer(top=64),
    "dots3note.all": indexer(top=64),
    "hy_v4.all": indexer(top=64),
    "minimax-m3.all": {"attention.indexer.top_k": 64},
    "deepseek4.all": indexer(top=64),
    "deepseek4.yarn": YARN | {"hash_layer_count": 0},
    "glm5-next.all": indexer(top=64),
    "wavtokenizer-dec.calm": {"+spread": dict.fromkeys(["conv1.weight", "conv2.weight"], 0.2)
        | dict.fromkeys(["attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"], 0.4)
        | {"dw.weight": 0.15, "conv1d.bias": 1, "gamma.weight": (0.1, 0.3)}},
    "t5.relu": {"+without": ["ffn_gate.weight"], "decoder_block_count": 1},
    "glm5-next.shared": {INDEXERS: [0, 1, 0, 0],
        "+lack": dict.fromkeys(["indexer.k_norm.weight", "indexer.k_norm.bias", "indexer.proj.weight",
        "indexer.attn_k.weight", "indexer.attn_q_b.weight", "indexer_compressor_gate.weight",
        "indexer_compressor_ape.weight"], [3])},
    "qwen3next.quiet": {EPS: 1e-6, "+spread": {"ssm_conv1d.weight": 0.001}},  # keys hardly longer than l2norm's eps
    "kimi-linear.quiet": {EPS: 1e-6, "+spread": dict.fromkeys(["ssm_conv1d_q.weight", "ssm_conv1d_k.weight"], 0.001)},
    "qwen4exp.all": {"attention.indexer.top_k": 64},
    "gpt-oss.plain": {key: None for key in YARN},
    "glm4moe.nextn": {"+nextn": 1},
    "qwen2.whole": WHOLE,
    "lfm2.whole": WHOLE,
    "olmo.rows": ROWS,
    "talkie.rows": ROWS,
    "hunyuan-dense.alpha": {"rope.scaling.alpha": 50.0},
    "muse-glimmer.yarn": YARN,
    "plamo3.yarn": YARN,
    "gemma4.linear": {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    "mpt.awq": {"+with": ["ffn.act.scales"]},
    "kimi-k3.plain": {"expert_latent_length": None, "+without": ["attn_gate.weight", "ffn_routed_norm.weight"]},
    "dots3note.yarn": YARN,
    "granitehybrid.unscaled": {"logit_scale": 0.0},
    "minimax-m3.fused": {"attention.indexer.top_k": 64, "+flash": False} | FUSED,
    "bailingmoe3.sections": {SECTIONS: [2, 1, 1, 0]},
    "rwkv6qwen2.bias": {N_KV: None, "+with": ["output_norm.bias"]},
    "step35.bound": {"swiglu_clamp_shexp": [0.7, 1.2, 0.9, 0.0]},  # the first layer is dense
    "deepseek4.bound": {"swiglu_clamp_exp": [1.5, 0.8, 0.0, 0.7], "swiglu_clamp_shexp": [0.6, 0.0, 1.1, 0.5],
        "+tokens": 24},
    "glm5-next.bound": {"swiglu_clamp_exp": [0.9, 0.0, 1.2, 0.6]},
    "step35.yarn": YARN | {"+with": ["rope_freqs.weight"]},  # more factors than global layers have pairs
    "mistral3.factor": {"rope.scaling.attn_factor": 1.3},
    "minicpm.finetuned": {"rope.scaling.finetuned": False, "residual_scale": 0.0},  # neither means anything
    "cohere2moe.softmax": {"expert_gating_func": 1},
    "gemma4.fused": FUSED,
    "qwen3next.fused": FUSED,
    "lfm2.fused": FUSED,
    "mimo2.fused": FUSED,
    "deepseek32.far": {"+tokens": 60},  # many positions that the indexer scores 0
}

MODELS = FIRST | VARIANTS

ALL_SEEING = {"dream", "llada", "llada-moe", "rnd1"}  # each token sees all of its batch

# architectures of llama.cpp's that it cannot run as a tiny model of text, and why
CANNOT = {
    "clip": "parts of images and sounds, which llama.cpp only quantizes under this name",
    "gptj": "llama.cpp has the name only",
    "gemma4-assistant": "drafts for another model, and reads that one's cache",
    "eagle3": "drafts for another model, and reads that one's layers",
    "dflash": "drafts for another model, and reads that one's layers",
}

# where andiron computes something else on purpose, and how far it is where it does the same, in a build or a file for
# that proof
APART = {
    "wavtokenizer-dec": "llama.cpp rounds what convolutions read and their weights to 16 bits; if andiron does, too: "
        "4e-6",
    "phimoe": "llama.cpp takes RMS norms where Transformers has layer norms; with RMS norms: 4e-7",
    "hunyuan_vl": "llama.cpp gives the last quarter of RoPE the position 0; with that: 4e-7 at most in 44 models",
    "qwen4exp": "where less than a block follows the last whole one, llama.cpp also reads some of one block more, and "
        "its source says that its graph is no reference; Transformers does not. Rows without such a rest: 3e-7; "
        "blocks of 1: 7e-7",
}

# what files may say that llama.cpp takes otherwise than Transformers, where andiron is like Transformers; figures are
# of the largest logit, of one such tiny model; "not used": its logits are the same bits with and without, and
# andiron's without are within 1e-3 of them
OTHERWISE = [
    ("afmoe", "every fourth layer has no positions, whatever `attention.sliding_window_pattern` says"),
    ("afmoe, llama4, maple, smallthinker, gemma2, gpt-oss, spark2_5", "layers with windows are stretched by "
        "`rope.scaling.factor` though `rope.scaling.type` is none"),
    ("all that have tables of factors", "long or short factors of LongRoPE by the context's size, not by the text's "
        "length: 3e-7 to 9e-7 where both say the same"),
    ("all but grok, mistral3", "`rope.scaling.yarn_beta_fast` and `yarn_beta_slow` are not used"),
    ("all but llama, qwen3, gemma4 and some more", "factors `NAME.scale` of feed-forward matrices are not used, those "
        "of attention's are; biases of Kimi delta attention's projections are not used"),
    ("all with `flash_attn`", "results of 16 bits: llama is 7e-4 from itself without, minimax-m2 9e-4, qwen3 7e-4"),
    ("all with GELU by tanh", "from a table of 16-bit numbers: up to 6e-3 (t5 with 5 layers); 1.2e-4 at most where "
        "andiron rounds likewise. modern-bert's has tanh where Transformers has erf: 1.6e-3 with LoRA, then 5e-6"),
    ("arwkv7, rwkv7", "heads of other sizes than 64: 0.4 to 1.6 from itself between one step and token by token"),
    ("bailingmoe3, deepseek2, deepseek2-ocr, deepseek32, deepseek4, dots3note, glm-dsa, glm5-next, graniteswitch, "
     "hy_v4, kimi-k3, kimi-linear, minicpm3, mistral4, plm, wavtokenizer-dec", "LoRA adapters of latent attention, of "
        "Kimi delta attention, of indexers and convolutions, mostly of the scores' head, and of all of graniteswitch "
        "but its head change nothing, to the bit; matrices that they do change agree"),
    ("bailingmoe3, glm-dsa, glm5-next, hy_v4, kimi-k3, kimi-linear, plm", "`rope.scaling.yarn_log_multiplier` is not "
        "used"),
    ("chameleon", "`swin_norm`: the feed-forward reads what attention gave alone, without what came before it"),
    ("cogvlm", "as many heads of keys as of queries, whatever `attention.head_count_kv` says"),
    ("cohere2, cohere2moe, exaone-moe, exaone4, mellum, modern-bert, olmo2", "`rope.freq_base_swa` is not used"),
    ("cohere2moe, exaone4, lfm2, lfm2moe, modern-bert, phi3", "`rope.dimension_count_swa` is not used"),
    ("deepseek2, deepseek32, glm-dsa, mistral4", "attention is also scaled by the square of "
        "`rope.scaling.attn_factor`, and as YaRN scales it where `rope.scaling.type` is linear: 1e-6 where andiron "
        "does"),
    ("exaone4", "windows are for models of 64 layers alone: 1.4 from Transformers with 4 layers, andiron 1e-6"),
    ("gemma-embedding, gemma2, gemma3, gemma3n", "`rope.dimension_count_swa` is of all layers where the first has a "
        "window: 4e-4 to andiron with that number for all"),
    ("gemma-embedding, gemma3, gemma3n, gemma4, mimo2, modern-bert, muse-glimmer, plamo3, step35",
        "`rope.scaling.attn_factor` is also of layers with windows, which are not stretched"),
    ("grok", "`rope.scaling.yarn_ext_factor` and `yarn_attn_factor`, which Transformers has not, are used"),
    ("kimi-linear", "`expert_weights_norm` false is not used"),
    ("llama and others with `NAME.scale`", "the factor of a feed-forward matrix is also of what an adapter adds, which "
        "llama.cpp's source calls incorrect"),
    ("minimax-m3", "flash attention in 16 bits has its indexer choose other blocks in one step than token by token: "
        "0.5 from itself; without flash attention all positions are read"),
    ("phi3", "`attention.sliding_window` is left out, and its warning says so"),
    ("phi3 and 76 more that have no windows there", "`attention.sliding_window` is not used"),
    ("plamo2", "attention is scaled by the size of values' heads, where that of keys' is another"),
    ("qwen2vl", "the norms' epsilon is not used"),
    ("qwen3vl, qwen3vlmoe and others with `rope.dimension_sections`", "pairs that are of no section (61 and 62 of "
        "Qwen3-VL's 64) have the position 0: 4e-7 where andiron has it so"),
    ("refact", "experts are not read: the same bits with zeros"),
    ("refact, ernie4_5, ernie4_5-moe, llada, falcon-h1, nomic-bert, mimo2, mpt, qwen2vl, dream, deci", "some biases "
        "that files may have are not used"),
    ("t5", "tied scores are not divided by the root of the width: 0.9 with a width of 64"),
]
