"""The tiny models of peer_archs.py: in what an architecture's metadata differ from BASE, as small as its parts allow.

A key is GGUF's without the architecture; None takes one away. Keys that begin with "+" are not metadata:
    +with, +without    kinds of tensors (names without "blk.N.") among those that llama.cpp need not have
    +lack              kinds that some layers are without
    +dense             layers without experts, where llama.cpp would take both
    +fused, +gate_up   query, key and value are one tensor; so are gate and up of the experts
    +flat              kinds that files have with the last two dimensions as one
    +spread            spread of a kind's weights, or spread and middle
    +ids               kinds of whole numbers, from 0 to below so many
    +tokens            length of the prompt
    +nextn             so many layers more that guess ahead, whose tensors are in another file
    +embed, +encoder   rows are embeddings, not logits; an encoder reads something first
    +flash             llama.cpp needs flash attention for all its parts
"""
EPS = "attention.layer_norm_rms_epsilon"
KEY = "attention.key_length"
VALUE = "attention.value_length"
N_HEAD = "attention.head_count"
N_KV = "attention.head_count_kv"
ROPE = "rope.dimension_count"
WIDTH = "embedding_length"
FF = "feed_forward_length"
LAYERS = "block_count"
SECTIONS = "rope.dimension_sections"
LOCAL_BASE = "rope.freq_base_swa"
ORIGINAL = "rope.scaling.original_context_length"
SHARED_FF = "expert_shared_feed_forward_length"
INDEXERS = "attention.indexer.types"
FACTORS = ["rope_factors_long.weight", "rope_factors_short.weight"]
HEAD16 = {KEY: 16, VALUE: 16}
BASE = {
    "context_length": 128, WIDTH: 64, LAYERS: 2, FF: 96, N_HEAD: 4, N_KV: 2, EPS: 1e-5, ROPE: 16,
    "rope.freq_base": 10000.0, "vocab_size": 64,
}
LN = {EPS: None, "attention.layer_norm_epsilon": 1e-5}
MHA = {N_KV: 4}
NO_ROPE = {ROPE: None, "rope.freq_base": None}
QKV_BIAS = ["attn_q.bias", "attn_k.bias", "attn_v.bias"]
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, ORIGINAL: 32}
QKV = {"+fused": True, "+with": ["attn_qkv.bias"]}
SCALED = {"+spread": {"token_embd.weight": 0.15}}  # they scale it by the root of its length
# llama.cpp takes GELU from a table of 16-bit numbers; many layers would make too much of that
CALM = {"+spread": SCALED["+spread"] | dict.fromkeys(["post_attention_norm.weight", "post_ffw_norm.weight",
                                                      "post_norm.weight"], (0.1, 0.3))}
TIED = {"+without": ["output.weight"]}
HEAD32 = {KEY: 32, VALUE: 32, ROPE: 32}


def window(n, pattern=None, base=None):
    """A window of n tokens; pattern: which layers have it."""
    d = {"attention.sliding_window": n}
    if pattern is not None:
        d["attention.sliding_window_pattern"] = pattern
    if base is not None:
        d[LOCAL_BASE] = base
    return d


def layers(n, local):
    """"LLG" and so on, repeated: L a local layer."""
    return {LAYERS: n, **window(6, [(local * n)[i] == "L" for i in range(n)])}


def moe(n=6, used=2, ff=32, shared=None, dense=None, shared_ff=None):
    d = {"expert_count": n, "expert_used_count": used, "expert_feed_forward_length": ff}
    if shared is not None:
        d["expert_shared_count"] = shared
    if dense is not None:
        d["leading_dense_block_count"] = dense
    if shared_ff is not None:
        d[SHARED_FF] = shared_ff
    return d


SIGMOID = {"expert_gating_func": 2, "expert_weights_norm": True, "expert_weights_scale": 1.5}
GROUPS = {"expert_count": 8, "expert_group_count": 4, "expert_group_used_count": 2}
MIXTRAL = {"expert_count": 6, "expert_used_count": 2, FF: 32}


def mla(q_rank=24, kv_rank=16, nope=16, rope=8, value=12):
    d = {N_KV: 1, "attention.kv_lora_rank": kv_rank, ROPE: rope,
         KEY: kv_rank + rope, VALUE: kv_rank,
         "attention.key_length_mla": nope + rope, "attention.value_length_mla": value}
    return d | ({"attention.q_lora_rank": q_rank} if q_rank else {})


def indexer(heads=4, size=64, top=8):
    return {"attention.indexer.head_count": heads, "attention.indexer.key_length": size,
            "attention.indexer.top_k": top}


def ssm(inner=128, state=16, rank=4, groups=None, conv=4):
    d = {"ssm.conv_kernel": conv, "ssm.inner_size": inner, "ssm.state_size": state, "ssm.time_step_rank": rank}
    return d | ({"ssm.group_count": groups} if groups is not None else {})


def heads(q, kv):
    return {LAYERS: len(kv), N_HEAD: q, N_KV: kv}


GRANITE = {"embedding_scale": 3.0, "residual_scale": 0.4, "attention.scale": 0.4, "logit_scale": 2.0,
           "+spread": {"token_embd.weight": 0.33}}
DELTA = ssm(64, 16, 4, 2) | HEAD32 | {ROPE: 8, LAYERS: 4, "full_attention_interval": 2}
ROPE4 = {SECTIONS: [3, 3, 2, 0]}
BERT = LN | MHA | {FF: 128, "+embed": True, "attention.causal": False,
                   "tokenizer.ggml.token_type_count": 2}
CLS = ["cls.weight", "cls.output.weight", "cls.norm.weight"]
NO_CLS = {"+without": CLS}
BERT_BIAS = QKV_BIAS + ["attn_qkv.bias", "attn_output.bias", "ffn_up.bias", "ffn_down.bias"]
WKV = {EPS: None, "attention.layer_norm_epsilon": 1e-5, "wkv.head_size": 16, N_HEAD: 0,
       N_KV: None, ROPE: None, "rope.freq_base": None}
WKV6 = WKV | {"time_mix_extra_dim": 8, "time_decay_extra_dim": 12}
WKV7 = WKV | {"attention.decay_lora_rank": 8, "attention.iclr_lora_rank": 12,
              WIDTH: 128, "wkv.head_size": 64,
              "attention.value_residual_mix_lora_rank": 4, "attention.gate_lora_rank": 20}
MAMBA = NO_ROPE | {N_HEAD: 0, N_KV: None, FF: 0}
HASH = {"hyper_connection.count": 4, "hyper_connection.sinkhorn_iterations": 3, "hyper_connection.epsilon": 1e-6}

# ---- dense decoders ----
DENSE = {
    "llama": {"+with": ["rope_freqs.weight"]},
    "deci": heads([4, 4, 0, 0, 4], [2, 0, 0, 0, 1]) | {FF: [96, 48, 64, 0, 96], "+with": ["rope_freqs.weight"]},
    "falcon": LN | {FF: 256, "+fused": True},
    "gpt2": LN | MHA | NO_ROPE | {FF: 256, "+fused": True},
    "gptneox": LN | MHA | {ROPE: 4, "use_parallel_residual": True, "+fused": True},
    "mpt": LN | MHA | NO_ROPE | {"attention.max_alibi_bias": 8.0, "attention.clamp_kqv": 1.0, "+fused": True,
        "+without": ["position_embd.weight", "attn_q_norm.weight", "attn_k_norm.weight", "attn_q_norm.bias",
        "attn_k_norm.bias"]},
    "baichuan": MHA,
    "starcoder": LN | NO_ROPE | {N_KV: 1, FF: 256, "+fused": True},
    "refact": NO_ROPE | {N_KV: 1},
    "bloom": LN | MHA | NO_ROPE | {FF: 256, "+fused": True},
    "stablelm": LN | {ROPE: 4, "use_parallel_residual": False, "+with": QKV_BIAS + ["ffn_norm.bias"],
        "+without": ["attn_q_norm.weight", "attn_k_norm.weight"]},
    "qwen": MHA | {FF: 192, "+fused": True},
    "qwen2": {"+with": QKV_BIAS},
    "qwen2vl": {SECTIONS: [2, 3, 3, 0], "+with": QKV_BIAS},
    "qwen3": HEAD32 | {N_KV: 1},
    "qwen3vl": HEAD32 | {SECTIONS: [6, 5, 5, 0], "n_deepstack_layers": 1},
    "phi2": LN | MHA | {ROPE: 8} | QKV,
    "phi3": {"+fused": True, "context_length": 2048, ORIGINAL: 512, "rope.scaling.attn_factor": 1.2,
        "+with": FACTORS},
    "plamo": {},
    "plamo3": {"+fused": True} | layers(4, "LLLG") | {LOCAL_BASE: 5000.0},
    "codeshell": LN | QKV,
    "orion": LN,
    "internlm2": {},
    "minicpm": {"+spread": {"token_embd.weight": 0.33}, "embedding_scale": 3.0, "residual_scale": 0.6,
        "logit_scale": 0.5},
    "minicpm3": MHA | {"context_length": 2048, ORIGINAL: 512, "+spread": {"token_embd.weight": 0.1},
        "attention.q_lora_rank": 24, "attention.kv_lora_rank": 16, KEY: 24, ROPE: 8, "+with": FACTORS},
    "gemma": HEAD32 | SCALED | {N_KV: 1},
    "gemma2": CALM | {LAYERS: 4, "attn_logit_softcapping": 4.0, "final_logit_softcapping": 6.0} | window(6),
    "gemma3": CALM | {LAYERS: 7, WIDTH: 32, **HEAD16, "final_logit_softcapping": 8.0} | window(6) | TIED,
    "gemma3n": CALM | {LAYERS: 22, WIDTH: 32, FF: 48, **HEAD16} | window(6) | TIED,
    "gemma4": CALM | layers(5, "LLG") | HEAD32 | {"attention.key_length_swa": 16, "attention.value_length_swa": 16,
        "rope.dimension_count_swa": 16, LOCAL_BASE: 5000.0, "embedding_length_per_layer_input": 16,
        "attention.shared_kv_layers": 2, "final_logit_softcapping": 8.0, "+with": ["rope_freqs.weight"]} | TIED,
    "starcoder2": LN | {"+with": QKV_BIAS},
    "xverse": {},
    "chameleon": {"vocab_size": 8260, LAYERS: 2, "pooling_type": 1, "+embed": True, "+with": [
        "attn_q_norm.bias", "attn_k_norm.bias"]},  # llama.cpp hides 8,192 tokens of images, and so asks for as many
    "command-r": LN | {"logit_scale": 0.5},
    "cohere2": LN | {LAYERS: 4, "logit_scale": 0.5} | window(6),
    "olmo": LN | {"attention.clamp_kqv": 1.0},
    "olmo2": {LAYERS: 5} | window(6) | YARN,
    "muse-glimmer": {LAYERS: 4, "logit_scale": 0.5, "final_logit_softcapping": 6.0} | window(6),
    "openelm": {LAYERS: 3, N_HEAD: [4, 6, 8], N_KV: [1, 3, 2], FF: [48, 96, 80], **HEAD16, "+fused": True},
    "chatglm": {ROPE: 8} | QKV,
    "glm4": {ROPE: 8},
    "bitnet": {},
    "jais": LN | MHA | NO_ROPE | {"attention.max_alibi_bias": 8.0, "+fused": True},
    "jais2": LN | {"+with": QKV_BIAS},
    "nemotron": LN | {ROPE: 8},
    "exaone": {"+with": ["rope_freqs.weight"]},
    "exaone4": {"+with": ["rope_freqs.weight"]},
    "granite": GRANITE,
    "granite_swa": GRANITE | layers(4, "LLLG"),
    "plm": mla(None) | MHA | {KEY: 24, VALUE: 16, "attention.key_length_mla": None,
        "attention.value_length_mla": None},
    "arcee": YARN,
    "ernie4_5": {},
    "hunyuan-dense": {},
    "hunyuan_vl": {SECTIONS: [2, 2, 2, 2]},
    "smollm3": {LAYERS: 5},
    "seed_oss": {"+with": QKV_BIAS},
    "dream": {"+with": QKV_BIAS},
    "llada": MHA,
    "apertus": {"xielu.alpha_n": [0.7, 0.8], "xielu.alpha_p": [0.9, 0.6], "xielu.beta": [0.5, 0.5],
        "xielu.eps": [-1e-6, -1e-6], "+with": ["rope_freqs.weight"]},
    "cogvlm": MHA,
    "pangu-embedded": {"+with": QKV_BIAS + ["attn_output.bias"]},
    "mistral3": YARN | {"rope.scaling.yarn_beta_fast": 32.0, "rope.scaling.yarn_beta_slow": 1.0,
        "rope.scaling.yarn_log_multiplier": 1.0, "attention.temperature_scale": 0.1, ORIGINAL: 8},
    "paddleocr": {SECTIONS: [3, 3, 2, 0]},
    "spark2_5": layers(4, "LLLG") | {"+fused": True},
    "maincoder": {},
    "talkie": {"logit_scale": 0.5},
    "nanbeige": {"num_loops": 2},
    "hrm_text": {"+spread": {"token_embd.weight": 0.5}, LAYERS: 6, "hrm.layers_per_stack": 1, "hrm.h_cycles": 2,
        "hrm.l_cycles": 2, "embedding_scale": 2.0},
    "qwen3tts": ROPE4 | {"vocab_size": 3072, WIDTH: 32, ROPE: 8, FF: 48, SECTIONS: [2, 1, 1, 0], "+tokens": 8,
        "+without": ["cls.output.weight"]},
    "graniteswitch": GRANITE | {"adapters.count": 2, "adapters.lora_rank": 8, "adapters.router_gain": 20.0,
        "adapters.token_ids_activate": [7, 4], "adapters.token_ids_substitute": [3, 4]},
    "pockettts": LN | MHA,
}

# ---- experts ----
EXPERTS = {
    "llama4": moe(4, 1, 32) | {LAYERS: 4, "interleave_moe_layer_step": 2, "+with": ["rope_freqs.weight"]},
    "grok": MIXTRAL | {"+spread": {"token_embd.weight": 0.5}, "logit_scale": 0.5, "embedding_scale": 2.0,
        "attention.output_scale": 0.2, "attn_logit_softcapping": 3.0, "router_logit_softcapping": 3.0,
        "final_logit_softcapping": 6.0},
    "qwen2moe": moe(shared_ff=48) | {"+with": QKV_BIAS},
    "qwen3moe": moe() | HEAD32,
    "qwen3vlmoe": moe() | HEAD32 | {SECTIONS: [6, 5, 5, 0], "n_deepstack_layers": 1},
    "phimoe": MIXTRAL | {"context_length": 2048, ORIGINAL: 512, "rope.scaling.attn_factor": 1.2,
        "+with": QKV_BIAS + ["attn_output.bias"] + FACTORS},
    "dbrx": LN | MIXTRAL | {"attention.clamp_kqv": 1.0, "+fused": True},
    "olmoe": MIXTRAL | MHA,
    "arctic": MIXTRAL | {FF: 64},
    "deepseek": MHA | {LAYERS: 3} | moe(shared=2, dense=1) | {"expert_weights_scale": 1.5},
    "deepseek2-ocr": MHA | {LAYERS: 3} | moe(shared=2, dense=1)
        | {"expert_weights_scale": 1.5, "+without": ["exp_probs_b.bias"]},
    "deepseek2": mla() | {LAYERS: 3} | moe(8, 2, 32, 1, 1) | SIGMOID | GROUPS | YARN
        | {"rope.scaling.yarn_log_multiplier": 0.1},
    "mistral4": mla() | {LAYERS: 3} | moe(8, 2, 32, 1, 1) | YARN
        | {"rope.scaling.yarn_log_multiplier": 0.1, "attention.temperature_scale": 0.1, ORIGINAL: 8,
        "attention.temperature_length": 8, "+without": ["exp_probs_b.bias"]},
    "glm4moe": {LAYERS: 3, ROPE: 8, "+with": QKV_BIAS} | moe(shared=1, dense=1) | SIGMOID,
    "exaone-moe": {LAYERS: 4, "expert_group_count": 1, "expert_group_used_count": 1} | moe(shared=1, dense=1)
        | SIGMOID | window(6),
    "granitemoe": GRANITE | MIXTRAL | {SHARED_FF: 48},
    "bailingmoe": {LAYERS: 3} | moe(shared=2, dense=1) | {"expert_weights_norm": True},
    "bailingmoe2": {LAYERS: 3, ROPE: 8, "+fused": True} | moe(8, 2, 32, 1, 1) | SIGMOID | GROUPS,
    "dots1": {LAYERS: 3} | MHA | moe(shared=2, dense=1) | SIGMOID,
    "afmoe": {LAYERS: 5} | moe(shared=1, dense=1) | SIGMOID | window(6),
    "laguna": {LAYERS: 5, "rope.dimension_count_swa": 16, ROPE: 8, LOCAL_BASE: 5000.0} | moe(dense=1, shared_ff=48)
        | SIGMOID | window(6) | YARN,
    "ernie4_5-moe": {LAYERS: 3, "interleave_moe_layer_step": 1} | moe(dense=1, shared_ff=48),
    "hunyuan-moe": moe(shared_ff=48),
    "hy_v3": {LAYERS: 3, "+dense": [0]} | moe(dense=1, shared=1, shared_ff=48) | SIGMOID,
    "gpt-oss": {LAYERS: 4, "+with": QKV_BIAS + ["attn_output.bias"]} | moe() | window(6) | YARN,
    "smallthinker": {LAYERS: 5} | moe() | window(6) | {"expert_gating_func": 2},
    "llada-moe": moe() | MHA,
    "grovemoe": moe() | HEAD32
        | {"expert_chunk_feed_forward_length": 16, "expert_group_scale": 0.5, "experts_per_group": 2},
    "minimax-m2": moe() | {"expert_gating_func": 2, ROPE: 8},
    "minimax-m3": {"+flash": True, LAYERS: 3, ROPE: 8} | moe(shared=1, dense=1) | SIGMOID | indexer(2, 16, 2)
        | {"attention.indexer.block_size": 4, "attention.indexer.local_blocks": 1},
    "rnd1": moe() | HEAD32,
    "mimo2": layers(4, "LLLG") | moe() | {"+dense": [0], "+lack": {"attn_sinks.weight": [3]}, "expert_gating_func": 2,
        LOCAL_BASE: 5000.0, KEY: 24, VALUE: 16, ROPE: 8, "attention.value_scale": 0.7},
    "step35": layers(4, "GLLL") | moe(shared_ff=48, dense=1) | SIGMOID
        | {"+dense": [0], LOCAL_BASE: 5000.0, "swiglu_clamp_exp": [0.0, 0.0, 1.5, 0.0],
        "swiglu_clamp_shexp": [0.0, 1.2, 0.0, 0.0]},
    "cohere2moe": LN | {LAYERS: 5, "logit_scale": 0.5} | moe(dense=1, shared=1) | SIGMOID | window(6),
    "mellum": {LAYERS: 4} | moe() | window(6),
    "maple": layers(4, "LLLG") | moe() | {"swiglu_clamp_exp": 1.5},
    "deepseek32": mla() | {LAYERS: 3} | moe(8, 2, 32, 1, 1) | SIGMOID | GROUPS | indexer(),
    "glm-dsa": mla() | {LAYERS: 3} | moe(8, 2, 32, 1, 1) | SIGMOID | indexer(),
    "dots3note": mla() | {LAYERS: 4} | moe(8, 2, 32, 1, 1) | SIGMOID | indexer()
        | window(6, [False, True] * 2, 5000.0) | {"attention.kv_lora_rank_swa": 12, "attention.key_length_swa": 20,
        "attention.value_length_swa": 12, "attention.key_length_mla_swa": 20, "attention.value_length_mla_swa": 16,
        INDEXERS: [1, 0, 1, 0]},
    "hy_v4": mla() | {LAYERS: 4} | moe(8, 2, 32, 1, 1) | SIGMOID | indexer()
        | {INDEXERS: [1, 0, 1, 0], "hyper_connection.count": 4, "hyper_connection.epsilon": 1e-6,
        "hyper_connection.magnitude": 2.0, "swiglu_clamp_exp": 1.5},
    "deepseek4": HASH | {"+tokens": 140, LAYERS: 4, N_KV: 1, "attention.q_lora_rank": 24, ROPE: 8,
        "attention.output_group_count": 2, "attention.output_lora_rank": 12,
        "attention.compress_ratios": [0, 4, 128, 4], "attention.compress_rope_freq_base": 40000.0,
        "+flat": ["attn_output_a.weight"], "hash_layer_count": 1, "swiglu_clamp_exp": 1.5,
        "+ids": {"ffn_gate_tid2eid.weight": 8}} | moe(8, 2, 32, 1)
        | SIGMOID | {"expert_gating_func": 4} | indexer(16, top=3) | window(6),
}

# ---- states, and both ----
STATES = {
    "mamba": MAMBA | ssm(),
    "mamba2": MAMBA | ssm(128, 16, 8, 2),
    "jamba": heads(4, [0, 0, 2, 0]) | NO_ROPE | ssm() | MIXTRAL | {FF: 48},
    "falcon-h1": ssm(96, 16, 6, 2) | HEAD16,
    "plamo2": heads([4, 0, 4, 0], [2, 0, 1, 0]) | ssm(64, 16, 4, 0) | HEAD16,
    "nemotron_h": heads(4, [0, 0, 2, 0]) | NO_ROPE | ssm(128, 16, 8, 2)
        | {"attention.layer_norm_epsilon": 1e-5, FF: [0, 96, 0, 0], **HEAD16},
    "nemotron_h_moe": heads(4, [0, 0, 2, 0]) | NO_ROPE | ssm(128, 16, 8, 2) | moe(shared=1) | SIGMOID
        | {"attention.layer_norm_epsilon": 1e-5, FF: [0, 96, 0, 0], SHARED_FF: 48, **HEAD16},
    "granitehybrid": heads(4, [0, 2, 0]) | GRANITE | ssm(128, 16, 8, 2) | MIXTRAL | {SHARED_FF: 48},
    "lfm2": heads(4, [0, 2, 0]) | {"shortconv.l_cache": 3, "+without": ["dense_2.weight"]},
    "lfm2moe": heads(4, [0, 2, 0]) | {"shortconv.l_cache": 3} | moe(dense=1) | {"expert_gating_func": 2},
    "qwen3next": DELTA | moe(shared_ff=48) | {"+without": ["ssm_in.weight"]},
    "qwen35": DELTA | {SECTIONS: [2, 1, 1, 0]},
    "qwen35moe": DELTA | {SECTIONS: [2, 1, 1, 0]} | moe(shared_ff=48),
    "qwen4exp": DELTA | {SECTIONS: [2, 1, 1, 0]} | moe(shared_ff=48) | indexer(4, 16, 4)
        | {"hyper_connection.count": 4, "hyper_connection.low_rank": 8, "attention.compress_ratios": [4] * 4, "+flat": [
        "output_hc_norm.weight", "hc_attn_norm.weight", "hc_ffn_norm.weight", "ple_norm_key.weight",
        "ple_norm_query.weight", "ple_norm_conv.weight"]},
    "rwkv6": WKV6 | {"rescale_every_n_layers": 0, "+without": [f"time_mix_lerp_{x}.weight" for x in "wkvrg"]},
    "rwkv6qwen2": WKV6 | {EPS: 1e-5, "attention.layer_norm_epsilon": None, "token_shift_count": 1, N_KV: 2,
        "+with": ["time_mix_key.bias", "time_mix_value.bias", "time_mix_receptance.bias"],
        "+without": ["time_mix_first.weight"]},
    "rwkv7": WKV7,
    "arwkv7": WKV7 | {EPS: 1e-5, "attention.layer_norm_epsilon": None, "token_shift_count": 1,
        "+without": ["time_mix_ln.weight"]},
    "kimi-linear": mla(None) | {LAYERS: 4, N_HEAD: 4, N_KV: [0, 1, 0, 1]}
        | {"ssm.conv_kernel": 4, "kda.head_dim": 16} | moe(8, 2, 32, 1, 1) | SIGMOID,
    "bailingmoe3": mla() | {LAYERS: 4, N_KV: [0, 1, 0, 1], "ssm.conv_kernel": 4, "kda.head_dim": 16,
        "kda.gate_lower_bound": -5.0, "swiglu_clamp_exp": [0.0, 0.0, 1.5, 1.5],
        "swiglu_clamp_shexp": [0.0, 0.0, 1.2, 1.2]} | moe(8, 2, 32, 1, 1) | SIGMOID | GROUPS,
    "kimi-k3": mla() | {LAYERS: 4, N_KV: [0, 1, 0, 1], "ssm.conv_kernel": 4, "kda.head_dim": 16,
        "kda.gate_lower_bound": -5.0, "attn_res.block_size": 2, "activation.situ_beta": 4.0,
        "activation.situ_linear_beta": 25.0, "expert_latent_length": 40} | moe(8, 2, 32, 1, 1) | SIGMOID,
    "glm5-next": mla(rope=0) | {LAYERS: 4, N_KV: [0, 1, 0, 1], "ssm.conv_kernel": 4, "kda.head_dim": 16,
        "kda.gate_lower_bound": -5.0, "attention.indexer.kpool": 4, "attention.indexer.kpool_select_tail": True}
        | moe(8, 2, 32, 1, 1) | SIGMOID | indexer() | HASH,
    "minimax-01": MIXTRAL | {LAYERS: 4, "full_attention_interval": 2, "residual_scale": 1.5, ROPE: 8},
}

# ---- encoders ----
ENCODERS = {
    "bert": BERT | NO_ROPE | NO_CLS | {"+with": BERT_BIAS},
    "modern-bert": BERT | NO_CLS | {LAYERS: 4, "+fused": True, LOCAL_BASE: 5000.0} | window(8),
    "nomic-bert": BERT | {"+fused": True},
    "nomic-bert-moe": BERT | {"+fused": True, "+with": BERT_BIAS, "expert_count": 4, "expert_used_count": 2,
        "moe_every_n_layers": 2},
    "neo-bert": BERT | NO_CLS | {EPS: 1e-5, "+fused": True},
    "jina-bert-v2": BERT | NO_ROPE | {"+with": BERT_BIAS, "+without": CLS + ["attn_q_norm.weight",
        "attn_k_norm.weight", "attn_norm_2.weight"]},
    "jina-bert-v3": BERT | {"+fused": True, "+with": BERT_BIAS},
    "eurobert": {"+embed": True, "attention.causal": False},
    "llama-embed": TIED | {"+embed": True, "attention.causal": False},
    "gemma-embedding": SCALED | {"+embed": True, LAYERS: 7, LOCAL_BASE: 5000.0} | window(8) | TIED,
    "t5": NO_ROPE | MHA | {"+lack": {"attn_rel_b.weight": [1]}, "+encoder": True,
        "attention.relative_buckets_count": 8, "decoder_start_token_id": 0},
    "wavtokenizer-dec": LN | NO_ROPE | {"+embed": True, LAYERS: 6, "features_length": 32, WIDTH: 48, FF: 64,
        "attention.causal": False, "posnet.embedding_length": 32, "posnet.block_count": 6,
        "convnext.embedding_length": 32, "convnext.block_count": 2, "attention.group_norm_epsilon": 1e-6,
        "attention.group_norm_groups": 8, N_HEAD: 1, N_KV: 1},
    "t5encoder": NO_ROPE | MHA | TIED | {"+lack": {"attn_rel_b.weight": [1]}, "+embed": True,
        "attention.relative_buckets_count": 8},
}

FIRST = DENSE | EXPERTS | STATES | ENCODERS
