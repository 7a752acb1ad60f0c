"""Gated linear attention, a Python loop over the text, low-rank gates; state kept as [B,H,K,V]."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class GLA(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.q, self.k = nn.Linear(d, d // 2, bias=False), nn.Linear(d, d // 2, bias=False)
        self.v, self.g, self.o = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.gk = nn.Sequential(nn.Linear(d, 16, bias=False), nn.Linear(16, d // 2))
        self.norm = nn.LayerNorm(d // self.h)

    def forward(self, x):
        B, T, D = x.shape
        sp = lambda y: y.unflatten(-1, (self.h, -1))
        q, k, v, gk = sp(self.q(x)), sp(self.k(x)), sp(self.v(x)), sp(F.logsigmoid(self.gk(x)) / 16)
        S = x.new_zeros(B, self.h, k.shape[-1], v.shape[-1])
        o = torch.zeros_like(v)
        for t in range(T):
            S = S * gk[:, t].exp().unsqueeze(-1) + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
            o[:, t] = (q[:, t].unsqueeze(-1) * S).sum(-2) * k.shape[-1] ** -0.5
        return self.o(self.norm(o).flatten(-2) * F.silu(self.g(x)))


class GLAForCausalLM(NovelBase):
    def mixer(self, c, i):
        return GLA(c, i)
