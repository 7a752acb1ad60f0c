"""One-hot times a matrix, masks as products, a cache always filled, YaRN inline, experts by bmm, padded vocabulary."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast


class MixConfig(PretrainedConfig):
    model_type = "mix_lm"

    def __init__(
        self,
        vocab_size=97,
        padded_vocab=128,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        n_experts=5,
        top_k=None,
        k=2,
        rope_scaling=None,
        original_max=64,
        factor=4.0,
        max_position_embeddings=256,
        initializer_range=0.02,
        **kw
    ):
        self.vocab_size, self.padded_vocab, self.hidden_size, self.num_hidden_layers = (
            vocab_size,
            padded_vocab,
            hidden_size,
            num_hidden_layers,
        )
        self.num_attention_heads, self.n_experts, self.k, self.original_max, self.factor = (
            num_attention_heads,
            n_experts,
            k,
            original_max,
            factor,
        )
        self.max_position_embeddings, self.initializer_range = max_position_embeddings, initializer_range
        super().__init__(**kw)


def yarn(dim, base, factor, original, fast=32, slow=1):
    find = lambda r: dim * math.log(original / (r * 2 * math.pi)) / (2 * math.log(base))
    low, high = max(math.floor(find(fast)), 0), min(math.ceil(find(slow)), dim - 1)
    f = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim))
    ramp = torch.clamp((torch.arange(dim // 2).float() - low) / max(high - low, 0.001), 0, 1)
    return f / factor * ramp + f * (1 - ramp), 0.1 * math.log(factor) + 1.0


class MixAttention(nn.Module):
    def __init__(self, config, idx):
        super().__init__()
        d, self.h, self.idx = config.hidden_size, config.num_attention_heads, idx
        self.hd = d // self.h
        self.Wqkv, self.out_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.inv_freq, self.mscale = yarn(self.hd, 10000.0, config.factor, config.original_max)

    def forward(self, x, mask, position_ids, cache):
        B, T, D = x.shape
        q, k, v = torch.tensor_split(self.Wqkv(x), 3, dim=-1)
        q, k, v = (y.unflatten(-1, (self.h, self.hd)).transpose(1, 2) for y in (q, k, v))
        a = position_ids[:, None, :, None].float() * self.inv_freq.to(x.device)
        cos, sin = a.cos() * self.mscale, a.sin() * self.mscale
        rot = lambda y: torch.cat([y[..., ::2] * cos - y[..., 1::2] * sin, y[..., ::2] * sin + y[..., 1::2] * cos], -1)
        q, k = rot(q), rot(k)
        k, v = cache.update(k, v, self.idx)
        s = torch.einsum("bhqd,bhkd->bhqk", q / math.sqrt(self.hd), k)
        s = s * mask - 1e9 * (1 - mask)
        return self.out_proj(torch.einsum("bhqk,bhkd->bqhd", F.softmax(s, -1), v).flatten(2))


class BmmMoe(nn.Module):
    def __init__(self, config):
        super().__init__()
        n, d, f = config.n_experts, config.hidden_size, 28
        self.n, self.k = n, config.k
        self.router = nn.Linear(d, n, bias=False)
        self.gate_up, self.down = nn.Parameter(torch.randn(n, d, 2 * f) * 0.1), nn.Parameter(torch.randn(n, f, d) * 0.1)

    def forward(self, x):
        B, T, D = x.shape
        x = x.reshape(-1, D)
        logits = self.router(x)
        top, idx = torch.topk(logits, self.k, dim=1)
        scores = torch.full_like(logits, float("-inf")).scatter_(1, idx, top).transpose(0, 1)
        scores = torch.sigmoid(scores.float()).to(x.dtype)
        y = x.repeat(self.n, 1) * scores.reshape(-1, 1)
        gu = torch.bmm(y.view(self.n, -1, D), self.gate_up)
        gate, up = gu.chunk(2, dim=-1)
        return torch.bmm(up * F.silu(gate), self.down).sum(dim=0).view(B, T, D)


class MixForCausalLM(PreTrainedModel):
    config_class = MixConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.table = nn.Parameter(torch.randn(config.padded_vocab, d) * 0.5)
        self.attn = nn.ModuleList([MixAttention(config, i) for i in range(config.num_hidden_layers)])
        self.moe = nn.ModuleList([BmmMoe(config) for i in range(config.num_hidden_layers)])
        self.n1, self.n2 = (
            nn.ModuleList([nn.RMSNorm(d, eps=1e-6) for i in range(config.num_hidden_layers)]) for _ in range(2)
        )
        self.norm, self.lm_head = nn.RMSNorm(d, eps=1e-6), nn.Linear(d, config.padded_vocab, bias=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, past_key_values=None, **kw):
        B, T = input_ids.shape
        cache = past_key_values if past_key_values is not None else DynamicCache()
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        mask = (
            attention_mask[:, None, None, :].float() * torch.tril(torch.ones(T, T, device=input_ids.device))[None, None]
        )
        x = F.one_hot(input_ids, self.config.padded_vocab).to(self.table.dtype) @ self.table
        for a, m, n1, n2 in zip(self.attn, self.moe, self.n1, self.n2):
            x = x + a(n1(x), mask, position_ids, cache)
            x = x + m(n2(x))
        return CausalLMOutputWithPast(
            logits=self.lm_head(self.norm(x))[..., : self.config.vocab_size], past_key_values=cache
        )
