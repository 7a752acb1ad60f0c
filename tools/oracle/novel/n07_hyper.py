"""Hyper-connections (Zhu et al. 2024), dynamic; einops; sdpa is_causal; per-head qk norm."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange, repeat
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm, SwiGLU


class Attn(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.wqkv, self.wo = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.qn, self.kn = nn.RMSNorm(d // self.h), nn.RMSNorm(d // self.h)

    def forward(self, x):
        q, k, v = rearrange(self.wqkv(x), "b t (three h d) -> three b h t d", three=3, h=self.h)
        y = F.scaled_dot_product_attention(self.qn(q), self.kn(k), v, is_causal=True)
        return self.wo(rearrange(y, "b h t d -> b t (h d)"))


class HC(nn.Module):
    def __init__(self, d, n, i):
        super().__init__()
        self.n = n
        self.beta = nn.Parameter(torch.ones(n))
        a = torch.zeros(n, 1)
        a[i % n] = 1
        self.alpha = nn.Parameter(torch.cat([a, torch.eye(n)], 1))
        self.norm = nn.LayerNorm(d)
        self.wa, self.wb = nn.Parameter(torch.zeros(d, n + 1)), nn.Parameter(torch.zeros(d))
        self.sa, self.sb = nn.Parameter(torch.ones(1) * 0.01), nn.Parameter(torch.ones(1) * 0.01)

    def width(self, h):
        z = self.norm(h)
        alpha = torch.tanh(z @ self.wa) * self.sa + self.alpha[None, None]
        beta = torch.tanh(z @ self.wb) * self.sb + self.beta[None, None]
        mix = alpha.transpose(-1, -2) @ h
        return mix, beta

    def depth(self, mix, out, beta):
        return torch.einsum("btd,btn->btnd", out, beta) + mix[..., 1:, :]


class HCLayer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.hc1, self.hc2 = HC(d, 4, 2 * i), HC(d, 4, 2 * i + 1)
        self.n1, self.n2, self.attn, self.mlp = RMSNorm(d), RMSNorm(d), Attn(c), SwiGLU(d, 64)

    def forward(self, h):
        m, b = self.hc1.width(h)
        h = self.hc1.depth(m, self.attn(self.n1(m[..., 0, :])), b)
        m, b = self.hc2.width(h)
        return self.hc2.depth(m, self.mlp(self.n2(m[..., 0, :])), b)


class HCForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList(HCLayer(config, i) for i in range(config.num_hidden_layers))
        self.ln_f = RMSNorm(config.hidden_size)
        self.post_init()

    def forward(self, input_ids):
        h = repeat(self.wte(input_ids), "b t d -> b t n d", n=4)
        for l in self.h:
            h = l(h)
        return self.ln_f(h.sum(-2)) @ self.wte.weight.T
