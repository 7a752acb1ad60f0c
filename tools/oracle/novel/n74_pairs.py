"""Numbers of pairs of places: heads with a window and a stride each, masked by hand; spatial gating by a learned matrix
of the text (gMLP, Liu et al. 2021); averages that fade, as one matrix; the largest, products and logarithms so far."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Strided(nn.Module):
    windows, strides = (4, 8, 32, 64), (1, 1, 2, 4)

    def __init__(self, c, i):
        super().__init__()
        self.h, self.d = c.num_heads, c.hidden_size // c.num_heads
        self.qkv, self.o = nn.Linear(c.hidden_size, 3 * c.hidden_size), nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, self.d).permute(2, 0, 3, 1, 4)
        far = torch.arange(t)[:, None] - torch.arange(t)[None]
        seen = torch.stack([(far >= 0) & (far < w) & (far % s == 0) for w, s in zip(self.windows, self.strides)])
        scores = torch.where(seen, q @ k.mT * self.d ** -0.5, torch.tensor(float("-inf")))
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Spatial(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, n = c.hidden_size, c.max_position_embeddings
        self.inp, self.out, self.norm = nn.Linear(d, 2 * d), nn.Linear(d, d), nn.LayerNorm(d)
        self.weight, self.bias = nn.Parameter(torch.zeros(n, n)), nn.Parameter(torch.ones(n))
        self.register_buffer("mask", torch.ones(n, n).tril())

    def forward(self, x):
        t = x.shape[1]
        u, v = F.gelu(self.inp(x)).chunk(2, -1)
        w = self.weight[:t, :t] * self.mask[:t, :t]
        return self.out(u * (torch.einsum("ij,bjd->bid", w, self.norm(v)) + self.bias[:t, None]))


class Fading(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, d = c.num_heads, c.hidden_size
        self.v, self.o = nn.Linear(d, d), nn.Linear(d, d)
        self.decay, self.norm = nn.Parameter(torch.linspace(0, 3, self.h)), nn.GroupNorm(self.h, d)

    def forward(self, x):
        b, t, d = x.shape
        far = torch.arange(t)[:, None] - torch.arange(t)[None]
        w = torch.sigmoid(self.decay)[:, None, None] ** far.clamp(min=0) * torch.ones(t, t).tril()
        y = torch.einsum("hij,bjhd->bihd", w, self.v(x).view(b, t, self.h, -1))
        return self.o(self.norm(y.reshape(b * t, d)).view(b, t, d))


class SoFar(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.p, self.o = nn.Linear(c.hidden_size, 3 * c.hidden_size), nn.Linear(3 * c.hidden_size, c.hidden_size)

    def forward(self, x):
        a, b, m = self.p(x).chunk(3, -1)
        n = torch.arange(1, x.shape[1] + 1).view(1, -1, 1)
        m = m.cumsum(1) / n + torch.cumprod(torch.sigmoid(m + 5), 1) * torch.exp2(-m.abs().amax(-1, keepdim=True))
        return self.o(torch.cat([torch.cummax(a, dim=1)[0], torch.logcumsumexp(b, dim=1) - n.log(), m], -1))


class PairsForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers, config.max_position_embeddings = 4, 256
        super().__init__(config)

    def mixer(self, c, i):
        return (Strided, Spatial, Fading, SoFar)[i](c, i)
