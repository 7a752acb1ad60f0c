#!/usr/bin/env python3
"""Compare next-token distributions with exact ones: andiron's and llama.cpp's, on the same GGUF.

Exact: weights dequantized by the gguf package, forward in f32 by Transformers. For each engine the mean KL divergence
D(exact || engine) over positions is printed, with perplexities. --golden OUT writes what tests/engine/test_exact.c
holds andiron to: the tokens, the exact log-probabilities of the best tokens at every scored position, and llama.cpp's
figures.

usage: compare_exact.py MODEL.gguf TEXT... [--andiron build/release/bin/andiron] [--ctx 512] [--chunks 4] [--golden OUT]
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

BEST = 32  # log-probabilities kept for each position


def exact_logits(path, ids):
    import torch, gguf
    from transformers import LlamaConfig, LlamaForCausalLM, Gemma3TextConfig, Gemma3ForCausalLM
    torch.set_num_threads(2)
    r = gguf.GGUFReader(path)
    f = {k: v.contents() for k, v in r.fields.items() if not k.startswith("tokenizer.")}
    arch = f["general.architecture"]
    g = lambda k, d=None: f.get(f"{arch}.{k}", d)
    t = {x.name: torch.from_numpy(gguf.quants.dequantize(x.data, x.tensor_type).copy()) for x in r.tensors}
    n_head, n_kv, d = g("attention.head_count"), g("attention.head_count_kv"), g("embedding_length")
    common = dict(hidden_size=d, intermediate_size=g("feed_forward_length"), num_hidden_layers=g("block_count"),
                  num_attention_heads=n_head, num_key_value_heads=n_kv,
                  rms_norm_eps=g("attention.layer_norm_rms_epsilon"), vocab_size=t["token_embd.weight"].shape[0],
                  max_position_embeddings=g("context_length"),
                  tie_word_embeddings=True, attn_implementation="eager")
    hd = g("attention.key_length", d // n_head)
    names = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}
    if arch == "llama":
        cfg = LlamaConfig(**common, head_dim=hd, rope_theta=g("rope.freq_base"))
        names["ffn_norm"] = "post_attention_layernorm"
        model = LlamaForCausalLM(cfg)
    elif arch == "gemma3":
        cfg = Gemma3TextConfig(**common, head_dim=hd, query_pre_attn_scalar=hd,
                               sliding_window=g("attention.sliding_window"))
        names.update({"ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
                      "post_ffw_norm": "post_feedforward_layernorm",
                      "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"})
        model = Gemma3ForCausalLM(cfg)
    else:
        sys.exit(f"no exact model for {arch}")
    sd = {"model.embed_tokens.weight": t["token_embd.weight"], "model.norm.weight": t["output_norm.weight"]}
    for k, v in t.items():
        if not k.startswith("blk."):
            continue
        _, i, stem, _ = k.split(".")
        if arch == "llama" and stem in ("attn_q", "attn_k"):  # undo the converter's permutation
            h = n_head if stem == "attn_q" else n_kv
            v = v.reshape(h, v.shape[0] // h // 2, 2, v.shape[1]).swapaxes(1, 2).reshape(v.shape)
        sd[f"model.layers.{i}.{names[stem]}.weight"] = v
    if arch == "gemma3":  # the converter added 1 to norms
        sd = {k: (v - 1 if "norm" in k else v) for k, v in sd.items()}
    missing, unexpected = model.load_state_dict(sd, strict=False)
    assert not unexpected and all("lm_head" in m for m in missing), (missing, unexpected)
    model.tie_weights()
    model.eval()
    with torch.no_grad():
        return [model(torch.tensor([c])).logits[0].numpy() for c in ids]


def llama_logits(path, ids):
    import llama_cpp
    m = llama_cpp.Llama(path, n_ctx=len(ids[0]), n_batch=512, logits_all=True, verbose=False, n_threads=2)
    out = []
    for c in ids:
        m.reset()
        m.eval(c)
        out.append(np.array(m.scores[:len(c)], dtype=np.float32).copy())
    return out


def andiron_logits(exe, path, ids):
    from safetensors.numpy import load_file
    out = []
    for c in ids:
        with tempfile.TemporaryDirectory() as d:
            f = os.path.join(d, "l.safetensors")
            subprocess.run([exe, "logits", path, "--tokens", ",".join(map(str, c)), "-o", f], check=True,
                           stderr=subprocess.DEVNULL)
            out.append(load_file(f)["logits"])
    return out


def logp(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def kept_kl(ids, lp, x):
    """KL over the kept tokens and the rest as one: x are log-probabilities of all tokens."""
    q = np.take_along_axis(x, ids, -1)
    rest_p = np.maximum(1 - np.exp(lp).sum(-1), 1e-12)
    rest_q = np.maximum(1 - np.exp(q).sum(-1), 1e-12)
    return (np.exp(lp) * (lp - q)).sum(-1) + rest_p * (np.log(rest_p) - np.log(rest_q))


def nll(chunk, x, first):
    """Negative log-likelihoods of the tokens after positions first, first + 1, ..."""
    after = np.array(chunk[first + 1:])
    return -x[np.arange(first, first + len(after)), after]


def write_golden(path, ids, exact, llama):
    """u32 chunks, tokens, first scored, kept; i32 tokens; per scored position u32 ids, f32 log-probabilities; f64
    llama.cpp's mean KL over the kept ones, its perplexity, the exact one."""
    n, first = len(ids[0]), len(ids[0]) // 2
    kl, losses, exact_losses = [], [], []
    with open(path, "wb") as f:
        f.write(np.array([len(ids), n, first, BEST], "<u4").tobytes() + np.array(ids, "<i4").tobytes())
        for c, e, x in zip(ids, exact, llama):
            e, x = logp(e), logp(x[:, :e.shape[1]])
            best = np.argsort(-e[first:], -1, kind="stable")[:, :BEST]
            lp = np.take_along_axis(e[first:], best, -1).astype("<f4")
            for row, values in zip(best, lp):
                f.write(row.astype("<u4").tobytes() + values.tobytes())
            kl.append(kept_kl(best, lp.astype(np.float64), x[first:]))
            losses.append(nll(c, x, first))
            exact_losses.append(nll(c, e, first))
        figures = [np.mean(kl), np.exp(np.mean(losses)), np.exp(np.mean(exact_losses))]
        f.write(np.array(figures, "<f8").tobytes())
    print(f"{path}: llama.cpp's mean KL {figures[0]:.6g}, perplexity {figures[1]:.4f}, exact {figures[2]:.4f}")


def compare(name, ids, exact, got):
    kl, losses, exact_losses, same = [], [], [], []
    for c, e, x in zip(ids, exact, got):
        e, x = logp(e), logp(x[:, :e.shape[1]])
        kl.append((np.exp(e) * (e - x)).sum(-1))
        same.append(e.argmax(-1) == x.argmax(-1))
        losses.append(nll(c, x, 0))
        exact_losses.append(nll(c, e, 0))
    print(f"{name:10s} mean KL {np.mean(kl):.6g}  same top {np.mean(same):.4f}  perplexity "
          f"{np.exp(np.mean(losses)):.4f}  exact {np.exp(np.mean(exact_losses)):.4f}  ({np.size(kl)} positions)")


def chunks_of(model, texts, n_ctx, n_chunks):
    import llama_cpp
    v = llama_cpp.Llama(model, vocab_only=True, verbose=False)
    tokens = v.tokenize(b"\n".join(open(t, "rb").read() for t in texts), add_bos=True, special=False)
    ids = [list(tokens[i * n_ctx:(i + 1) * n_ctx]) for i in range(min(n_chunks, len(tokens) // n_ctx))]
    if v.metadata.get("tokenizer.ggml.add_bos_token") == "true":
        for c in ids:
            c[0] = v.token_bos()
    return ids


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model")
    a.add_argument("text", nargs="+")
    a.add_argument("--andiron", default="build/release/bin/andiron")
    a.add_argument("--ctx", type=int, default=512)
    a.add_argument("--chunks", type=int, default=4)
    a.add_argument("--golden")
    a = a.parse_args()
    ids = chunks_of(a.model, a.text, a.ctx, a.chunks)
    exact, llama = exact_logits(a.model, ids), llama_logits(a.model, ids)
    compare("llama.cpp", ids, exact, llama)
    compare("andiron", ids, exact, andiron_logits(a.andiron, a.model, ids))
    if a.golden:
        write_golden(a.golden, ids, exact, llama)


if __name__ == "__main__":
    main()
