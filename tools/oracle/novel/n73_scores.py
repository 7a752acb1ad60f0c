"""What else scores may be: power attention of degree 2 with gates (Buckman et al. 2025), squared distances of queries
and keys, ALiBi within a window by where, and beside a sink."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def rope_tables(n, dim, base, device=None):
    freqs = base ** -(torch.arange(0, dim, 2, device=device).float() / dim)
    angles = torch.outer(torch.arange(n, device=device).float(), freqs)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """x [b, h, t, d]"""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class Power(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, self.kv = c.num_heads, c.num_key_value_heads
        self.d = c.hidden_size // self.h
        self.qkv = nn.Linear(c.hidden_size, (self.h + 2 * self.kv) * self.d, bias=False)
        self.gate = nn.Linear(c.hidden_size, self.kv)
        self.out = nn.Linear(c.hidden_size, c.hidden_size, bias=False)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).split([self.h * self.d, self.kv * self.d, self.kv * self.d], dim=-1)
        cos, sin = rope_tables(t, self.d, 10000.0, x.device)
        q = rotate(q.view(b, t, self.h, self.d).transpose(1, 2), cos, sin)
        k = rotate(k.view(b, t, self.kv, self.d).transpose(1, 2), cos, sin)
        v = v.view(b, t, self.kv, self.d).transpose(1, 2)
        g = F.logsigmoid(self.gate(x)).transpose(1, 2).cumsum(-1)
        n = self.h // self.kv
        k, v, g = (y.repeat_interleave(n, dim=1) for y in (k, v, g))
        w = (q @ k.mT * self.d ** -0.5) ** 2
        w = w * torch.exp(g[..., :, None] - g[..., None, :]).tril()
        w = w / (w.sum(-1, keepdim=True) + 1e-6)
        return self.out((w @ v).transpose(1, 2).reshape(b, t, c))


class L2Attention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, self.d = c.num_heads, 12
        self.q_proj, self.k_proj = nn.Linear(c.hidden_size, self.h * self.d), nn.Linear(c.hidden_size, self.h * self.d)
        self.v_proj = nn.Linear(c.hidden_size, 16)
        self.o_proj = nn.Linear(self.h * 16, c.hidden_size)
        self.sub = nn.LayerNorm(self.h * 16)

    def forward(self, x):
        b, t, _ = x.shape
        q, k = (p(x).view(b, t, self.h, self.d) for p in (self.q_proj, self.k_proj))
        v = self.v_proj(x)
        d2 = q.pow(2).sum(-1).transpose(1, 2)[..., :, None] + k.pow(2).sum(-1).transpose(1, 2)[..., None, :]
        d2 = d2 - 2 * torch.einsum("bihd,bjhd->bhij", q, k)
        seen = torch.tril(torch.ones(t, t, dtype=torch.bool))
        w = (-d2 / self.d ** 0.5).masked_fill(~seen, float("-inf")).softmax(-1)
        y = torch.einsum("bhij,bjd->bihd", w, v).flatten(2)
        return self.o_proj(self.sub(y))


class Window(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h = c.num_heads
        self.qkv, self.o = nn.Linear(c.hidden_size, 3 * c.hidden_size), nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (z.reshape(b, t, self.h, d // self.h).transpose(1, 2) for z in (q, k, v))
        mask = torch.ones(t, t, dtype=torch.bool, device=x.device).tril(0).triu(-10)
        slope = torch.tensor([2.0 ** -(2 * (j + 1)) for j in range(self.h)], device=x.device)
        pos = torch.arange(t, device=x.device)
        bias = -slope[:, None, None] * (pos[:, None] - pos[None, :]).abs()
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.where(mask, bias, float("-inf")))
        return self.o(y.transpose(1, 2).reshape(b, t, d))


class Sunk(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.o, self.sink = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Parameter(torch.zeros(1, self.h, 1, 1))
        self.register_buffer("slopes", 2.0 ** (-8.0 * torch.arange(1, self.h + 1) / self.h))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        away = torch.arange(t)[:, None] - torch.arange(t)[None, :]
        scores = q @ k.mT * (d // self.h) ** -0.5 - self.slopes.view(1, -1, 1, 1) * away
        scores = scores.masked_fill((away < 0) | (away >= 9), torch.finfo(scores.dtype).min)
        shares = torch.cat([scores, self.sink.expand(b, -1, t, 1)], dim=-1).softmax(-1)[..., :-1]
        return self.o((shares @ v).transpose(1, 2).reshape(b, t, d))


class ScoresForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers, config.num_key_value_heads = 4, 2
        super().__init__(config)

    def mixer(self, c, i):
        return (Power, L2Attention, Window, Sunk)[i](c, i)
