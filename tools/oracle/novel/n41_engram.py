"""Hashed n-grams gated by the hidden state (Engram), canon convolutions with a residual, a sigmoid-routed top-1
expert."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel, FooRMSNorm


class EngramConfig(FooConfig):
    model_type = "engram_lm"

    def __init__(
        self, engram_layers=(1,), ngram=3, n_hash_heads=2, engram_vocab=211, engram_dim=8, canon_kernel=4, **kw
    ):
        self.engram_layers, self.ngram, self.n_hash_heads = list(engram_layers), ngram, n_hash_heads
        self.engram_vocab, self.engram_dim, self.canon_kernel = engram_vocab, engram_dim, canon_kernel
        super().__init__(**kw)


class Canon(nn.Module):
    def __init__(self, dim, kernel):
        super().__init__()
        self.kernel = kernel
        self.conv = nn.Conv1d(dim, dim, kernel, groups=dim, bias=False)

    def forward(self, x):
        return x + self.conv(F.pad(x.transpose(1, 2), (self.kernel - 1, 0))).transpose(1, 2)


class Engram(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.c = config
        n = (config.ngram - 1) * config.n_hash_heads
        self.primes = [config.engram_vocab - 2 * i for i in range(n)]
        self.multipliers = [[7919 + 104 * i + 2 * layer_idx + 1, 6101 + 2 * i + 1, 3571 + 4 * i + 1] for i in range(n)]
        self.tables = nn.ModuleList([nn.Embedding(p, config.engram_dim) for p in self.primes])
        self.key_proj, self.value_proj = nn.Linear(n * config.engram_dim, config.hidden_size), nn.Linear(
            n * config.engram_dim, config.hidden_size
        )
        self.k_norm, self.q_norm = FooRMSNorm(config.hidden_size), FooRMSNorm(config.hidden_size)

    def hashes(self, ids):
        out, i = [], 0
        shifted = [ids] + [F.pad(ids, (k, 0), value=0)[:, : ids.shape[1]] for k in range(1, self.c.ngram)]
        for n in range(2, self.c.ngram + 1):
            for _ in range(self.c.n_hash_heads):
                m = self.multipliers[i]
                mix = shifted[0] * m[0]
                for k in range(1, n):
                    mix = torch.bitwise_xor(mix, shifted[k] * m[k])
                out.append(mix % self.primes[i])
                i += 1
        return out

    def forward(self, x, ids):
        e = torch.cat([t(h) for t, h in zip(self.tables, self.hashes(ids))], dim=-1)
        gate = (self.q_norm(x) * self.k_norm(self.key_proj(e))).sum(-1, keepdim=True) / x.shape[-1] ** 0.5
        gate = gate.abs().clamp_min(1e-6).sqrt() * gate.sign()
        return torch.sigmoid(gate) * self.value_proj(e)


class EngramLayer(FooDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.engram = Engram(config, layer_idx) if layer_idx in config.engram_layers else None
        self.canon_a, self.canon_c = Canon(config.hidden_size, config.canon_kernel), Canon(
            config.hidden_size, config.canon_kernel
        )

    def forward(self, x, input_ids=None, **kwargs):
        if self.engram is not None:
            x = x + self.engram(x, input_ids)
        x = x + self.self_attn(self.canon_a(self.input_layernorm(x)), **kwargs)[0]
        return x + self.mlp(self.canon_c(self.post_attention_layernorm(x)))


class EngramModel(FooModel):
    layer_class = EngramLayer

    def run(self, hidden_states, masks, position_ids, past_key_values, input_ids=None):
        pe = self.rotary_emb(hidden_states, position_ids)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states, input_ids=input_ids, attention_mask=masks["full_attention"], position_embeddings=pe
            )
        return hidden_states


class EngramForCausalLM(FooForCausalLMBase):
    config_class, model_class = EngramConfig, EngramModel
