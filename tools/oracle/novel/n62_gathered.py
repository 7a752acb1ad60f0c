"""Weights of experts read at their numbers (gpt-fast, gpt-oss' listing), sinks by cat, top-1 by matmul."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


class SinkAttn(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.w = c.hidden_size, c.num_heads, 11 if i % 2 == 0 else 0
        self.qkv, self.out = nn.Linear(d, 2 * d), nn.Linear(d, d)
        self.sinks = nn.Parameter(torch.randn(self.h))
        self.inv = 1e4 ** (-torch.arange(0, d // self.h, 2) / (d // self.h))

    def forward(self, x):
        B, T, D = x.shape
        hd = D // self.h
        q, k, v = self.qkv(x).split([D, D // 2, D // 2], -1)
        q, k, v = q.view(B, T, 2, self.h // 2, hd), k.view(B, T, 2, hd), v.view(B, T, 2, hd)
        a = torch.arange(T, device=x.device)[:, None] * self.inv.to(x.device)

        def turn(y):
            c, s = (f(a).view(T, *[1] * (y.dim() - 3), -1) for f in (torch.cos, torch.sin))
            y1, y2 = torch.chunk(y, 2, dim=-1)
            return torch.cat((y1 * c - y2 * s, y2 * c + y1 * s), dim=-1)

        q, k = turn(q), turn(k)
        k, v = (y[:, :, :, None].expand(-1, -1, -1, self.h // 2, -1) for y in (k, v))
        s = torch.einsum("bqhmd,bkhmd->bhmqk", q, k) * hd**-0.5
        mask = torch.triu(s.new_full((T, T), -float("inf")), diagonal=1)
        if self.w > 0:
            mask += torch.tril(mask.new_full((T, T), -float("inf")), diagonal=-self.w)
        s = s + mask
        sink = self.sinks.reshape(2, self.h // 2, 1, 1).expand(B, -1, -1, T, -1)
        w = torch.softmax(torch.cat([s, sink], dim=-1), dim=-1)[..., :-1]
        return self.out(torch.einsum("bhmqk,bkhmd->bqhmd", w, v).reshape(B, T, D))


class FastMoe(nn.Module):
    def __init__(self, c, n=6, k=2, f=24):
        super().__init__()
        d, self.k = c.hidden_size, k
        self.gate = nn.Linear(d, n)
        self.w1, self.b1 = nn.Parameter(torch.randn(n, 2 * f, d) * 0.2), nn.Parameter(torch.randn(n, 2 * f) * 0.2)
        self.w2, self.b2 = nn.Parameter(torch.randn(n, d, f) * 0.2), nn.Parameter(torch.randn(n, d) * 0.2)

    def forward(self, x):
        B, T, D = x.shape
        t = x.reshape(-1, D)
        g = torch.topk(self.gate(t), k=self.k, dim=-1, sorted=True)
        w = F.softmax(g.values, dim=1)
        i = g.indices
        y = torch.einsum("beck,bk->bec", self.w1[i, ...], t) + self.b1[i, ...]
        a, b = y[..., ::2].clamp(max=7.0), y[..., 1::2].clamp(-7.0, 7.0)
        y = a * torch.sigmoid(1.702 * a) * (b + 1)
        y = torch.einsum("beck,bek->bec", self.w2[i, ...], y) + self.b2[i, ...]
        return torch.einsum("bec,be->bc", y, w).view(B, T, D)


class TopOne(nn.Module):
    def __init__(self, c, n=4):
        super().__init__()
        self.r, self.up, self.down = (
            nn.Linear(c.hidden_size, n, bias=False),
            nn.Parameter(torch.randn(n, c.hidden_size, 32) * 0.2),
            nn.Parameter(torch.randn(n, 32, c.hidden_size) * 0.2),
        )

    def forward(self, x):
        p, e = self.r(x).softmax(-1).max(-1)
        y = torch.matmul(x.unsqueeze(-2), self.up[e])
        y = torch.matmul(F.relu(y).square(), self.down[e]).squeeze(-2)
        return y * p.unsqueeze(-1)


class FastForCausalLM(NovelBase):
    def mixer(self, c, i):
        return SinkAttn(c, i)

    def mlp(self, c, i):
        return FastMoe(c) if i != 1 else TopOne(c)
