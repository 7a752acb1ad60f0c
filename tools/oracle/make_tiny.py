#!/usr/bin/env python3
"""Tiny random models of every built-in architecture, and what Transformers computes with them.

    make_tiny.py [--out tests/golden] [--check] [NAME ...]

Writes NAME.gguf (weights F16, vectors F32; NAME_q8_0 and the like: quantized) and NAME.bin:
    u32 n_tokens, u32 n_vocab, i32 tokens[n_tokens], f32 logits[n_tokens][n_vocab]
The logits are Transformers' in f32, with the weights that the file holds. Names come from gguf's own tensor map.
--check also runs each file through llama.cpp (llama-cpp-python), where it knows the architecture, and prints how far
its logits are from Transformers'; phi3 is far there, because llama.cpp leaves its window out.
"""
import argparse
import pathlib

import gguf
import numpy as np
import torch
import transformers

N_VOCAB, N_CTX, HEAD = 128, 128, 16

BASE = dict(vocab_size=N_VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=HEAD, max_position_embeddings=N_CTX, rms_norm_eps=1e-5, bos_token_id=0,
            eos_token_id=0, pad_token_id=0, tie_word_embeddings=False, attn_implementation="eager")
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 64,
        "partial_rotary_factor": 0.5, "short_factor": [1.0, 1.1, 1.3, 1.6], "long_factor": [1.0, 1.5, 2.5, 4.0]}

# name: Transformers' class, llama.cpp's architecture for names, configuration, where it differs from BASE
MODELS = {
    "llama": ("Llama", "LLAMA", dict(rope_parameters=LLAMA3)),
    "mistral": ("Mistral", "LLAMA", dict(rope_parameters=ROPE, sliding_window=7)),
    "qwen2": ("Qwen2", "QWEN2", dict(rope_parameters=YARN, tie_word_embeddings=True)),
    "qwen3": ("Qwen3", "QWEN3", dict(rope_parameters=ROPE, head_dim=32, num_key_value_heads=1)),
    "gemma3": ("Gemma3", "GEMMA3", dict(
        num_hidden_layers=7, hidden_size=32, intermediate_size=64, sliding_window=6, query_pre_attn_scalar=HEAD,
        tie_word_embeddings=True, final_logit_softcapping=30.0, layer_types=None, rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
    "phi3": ("Phi3", "PHI3", dict(rope_parameters=LONG, sliding_window=10, original_max_position_embeddings=64)),
    "olmo2": ("Olmo2", "OLMO2", dict(rope_parameters=ROPE)),
    "olmo3": ("Olmo3", "OLMO2", dict(
        num_hidden_layers=5, intermediate_size=32, sliding_window=8, rope_parameters={
            "full_attention": YARN, "sliding_attention": ROPE})),
    "granite": ("Granite", "GRANITE", dict(
        rope_parameters=ROPE, hidden_size=32, embedding_multiplier=3.0, residual_multiplier=0.4,
        attention_multiplier=0.1, logits_scaling=2.0)),
    "smollm3": ("SmolLM3", "SMOLLM3", dict(rope_parameters=ROPE, num_hidden_layers=5, hidden_size=32,
                                           tie_word_embeddings=True)),
    "gpt2": ("GPT2", "GPT2", dict(n_embd=64, n_layer=2, n_head=4, n_positions=N_CTX, layer_norm_epsilon=1e-5)),
}
PERMUTED = {"llama", "mistral", "smollm3", "granite"}
SAID_TO_BE = {"olmo3": "olmo2"}  # general.architecture, where it is another
# file: model, type of its matrices, tokens
FILES = {name: (name, "F16", 24) for name in MODELS}
FILES |= {"phi3_long": ("phi3", None, 80), "llama_q8_0": ("llama", "Q8_0", 24), "qwen2_q4_0": ("qwen2", "Q4_0", 24)}


def make_model(name):
    kind, _, changes = MODELS[name]
    config_class = getattr(transformers, kind + ("TextConfig" if kind == "Gemma3" else "Config"))
    model_class = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(kind, kind + "ForCausalLM"))
    values = {**BASE, **changes}
    if name == "gpt2":
        values = {k: v for k, v in values.items() if k not in
                  ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim",
                   "num_key_value_heads", "max_position_embeddings", "rms_norm_eps")} | {"tie_word_embeddings": True}
    if name == "smollm3":
        values |= {"no_rope_layers": None, "no_rope_layer_interval": 4, "use_sliding_window": False}
    model = model_class(config_class(**values)).float().eval()
    rng = np.random.default_rng(sum(name.encode()))
    with torch.no_grad():
        for key, p in model.named_parameters():
            a = rng.standard_normal(tuple(p.shape))
            if key.endswith(".bias"):
                a *= 0.2
            elif p.dim() == 1:
                a = a * 0.2 + (0 if name == "gemma3" else 1)
            elif "embed" in key or ".wte" in key or ".wpe" in key:
                a *= 0.5
            else:
                a *= 1.5 / np.sqrt(p.shape[0 if name == "gpt2" else 1])
            p.copy_(torch.from_numpy(a.astype(np.float32)))
    return model


def pack(a, kind):
    """A matrix as the file holds it, and what it says there."""
    qtype = gguf.GGMLQuantizationType[kind]
    data = gguf.quants.quantize(a, qtype)
    return data, qtype, gguf.quants.dequantize(data, qtype).astype(np.float32)


def permute(a, n_head):
    """Rows of each head from halves to pairs."""
    return a.reshape(n_head, 2, a.shape[0] // n_head // 2, *a.shape[1:]).swapaxes(1, 2).reshape(a.shape)


def to_file(name, key, a, config):
    """What a file holds for this parameter."""
    if name in PERMUTED and ("q_proj" in key or "k_proj" in key):
        return permute(a, config.num_attention_heads if "q_proj" in key else config.num_key_value_heads)
    if name == "gemma3" and key.endswith("norm.weight"):
        return a + np.float32(1)
    if name == "gpt2" and ".c_" in key and a.ndim == 2:
        return np.ascontiguousarray(a.T)
    return a


def from_file(name, key, a, config):
    if name in PERMUTED and ("q_proj" in key or "k_proj" in key):
        n = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
        return a.reshape(n, a.shape[0] // n // 2, 2, *a.shape[1:]).swapaxes(1, 2).reshape(a.shape)
    return a.T if name == "gpt2" and ".c_" in key and a.ndim == 2 else a


def add_tokenizer(w):
    """Printable ASCII, the space, one control token and 32 merges of letters: enough to be a vocabulary."""
    letters = "etaoinshrdlu"
    merges = [f"{a} {b}" for a in letters for b in letters][:32]
    tokens = ["<|end|>"] + [chr(c) for c in range(33, 127)] + ["\u0120"] + [m.replace(" ", "") for m in merges]
    assert len(tokens) == N_VOCAB
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([3] + [1] * (N_VOCAB - 1))
    w.add_token_merges(merges)
    w.add_bos_token_id(0)
    w.add_eos_token_id(0)
    w.add_add_bos_token(False)


def add_rope(w, name, model):
    c = model.config
    p = c.rope_parameters.get("full_attention", c.rope_parameters)
    w.add_rope_freq_base(p["rope_theta"])
    rotary = c.head_dim if hasattr(c, "head_dim") and c.head_dim else HEAD
    w.add_rope_dimension_count(int(rotary * p.get("partial_rotary_factor", 1)))
    kind = p["rope_type"]
    if kind in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType[kind.upper()])
        w.add_rope_scaling_factor(p["factor"])
    if kind in ("yarn", "longrope"):
        w.add_rope_scaling_orig_ctx_len(p["original_max_position_embeddings"])
    if kind == "llama3":
        plain = p["rope_theta"] ** (-np.arange(0, rotary, 2, dtype=np.float64) / rotary)
        w.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.double().numpy()).astype(np.float32))
    if kind == "longrope":
        w.add_rope_scaling_attn_factors(model.model.rotary_emb.attention_scaling)
        w.add_tensor("rope_factors_long.weight", np.array(p["long_factor"], np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(p["short_factor"], np.float32))


def add_metadata(w, name, model):
    c = model.config
    w.add_name("tiny random model")
    w.add_context_length(N_CTX)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_head_count(c.num_attention_heads)
    w.add_vocab_size(N_VOCAB)
    if name == "gpt2":
        w.add_feed_forward_length(4 * c.hidden_size)
        w.add_layer_norm_eps(c.layer_norm_epsilon)
        return
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    if name in ("mistral", "gemma3", "phi3", "olmo3"):
        w.add_sliding_window(c.sliding_window)
    if name == "olmo3":
        w.add_sliding_window_pattern([t == "sliding_attention" for t in c.layer_types])
    if name == "granite":
        w.add_embedding_scale(c.embedding_multiplier)
        w.add_residual_scale(c.residual_multiplier)
        w.add_attention_scale(c.attention_multiplier)
        w.add_logit_scale(c.logits_scaling)
    if name == "gemma3":
        w.add_final_logit_softcapping(c.final_logit_softcapping)
    add_rope(w, name, model)


def write_gguf(path, name, model, kind):
    """Write the file; the model then holds the file's weights."""
    c = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[MODELS[name][1]], c.num_hidden_layers)
    w = gguf.GGUFWriter(path, SAID_TO_BE.get(name, name))
    add_metadata(w, name, model)
    add_tokenizer(w)
    for key, p in model.named_parameters():
        a = to_file(name, key, p.detach().numpy().copy(), c)
        target = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if a.ndim == 1:
            w.add_tensor(target, a.astype(np.float32))
            continue
        data, qtype, back = pack(a, kind)
        w.add_tensor(target, data, raw_dtype=qtype)
        with torch.no_grad():
            p.copy_(torch.from_numpy(np.ascontiguousarray(from_file(name, key, back, c))))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def llama_cpp_logits(path, tokens):
    import llama_cpp
    llm = llama_cpp.Llama(str(path), n_ctx=len(tokens), logits_all=True, verbose=False, n_threads=1, type_k=0,
                          type_v=0)
    llm.eval(tokens)
    return np.array(llm.scores[:len(tokens)])


def make(file, out, check):
    name, kind, n_tokens = FILES[file]
    model = make_model(name)
    path = out / f"{file if kind else name}.gguf"
    write_gguf(path if kind else out / "scratch", name, model, kind or "F16")
    (out / "scratch").unlink(missing_ok=True)
    tokens = [int(t) for t in np.random.default_rng(n_tokens).integers(0, N_VOCAB, n_tokens)]
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
    with open(out / f"{file}.bin", "wb") as f:
        for part, kind_of_part in ((logits.shape, "<u4"), (tokens, "<i4"), (logits, "<f4")):
            f.write(np.array(part).astype(kind_of_part).tobytes())
    said = f"{file}: {path.stat().st_size} bytes, logits to {np.abs(logits).max():.2f}, spread {logits.std():.2f}"
    if check:
        try:
            far = np.abs(llama_cpp_logits(path, tokens) - logits).max() / np.abs(logits).max()
            said += f", llama.cpp differs by {far:.1e}"
        except ValueError as e:
            said += f", llama.cpp: {e}"
    print(said, flush=True)


def main():
    parser = argparse.ArgumentParser()
    golden = pathlib.Path(__file__).resolve().parents[2] / "tests/golden"
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in options.names or FILES:
        make(file, options.out, options.check)


if __name__ == "__main__":
    main()
