"""A small grab bag: addcmul, baddbmm, index_select, take_along_dim, clamp, lerp, softsign, tensor_split, einsum
with ellipsis, cat of heads, one layer for each habit."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class A(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.hd = d // self.h
        self.qkv = nn.Linear(d, 3 * d)
        self.o = nn.Linear(d, d)
        self.register_buffer("mask", torch.tril(torch.ones(512, 512)).view(1, 1, 512, 512), persistent=True)
        self.mu = nn.Parameter(torch.rand(d))
        self.qs, self.ks = nn.Parameter(torch.ones(self.hd)), nn.Parameter(torch.ones(self.hd))

    def forward(self, x):
        B, T, C = x.size()
        prev = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
        x = torch.addcmul(x, prev - x, self.mu)
        q, k, v = torch.tensor_split(self.qkv(x), 3, dim=-1)
        q, k, v = (y.contiguous().view(B, T, self.h, self.hd).transpose(1, 2) for y in (q, k, v))
        q = q * self.qs / torch.sqrt((q**2).mean(-1, keepdim=True) + 1e-5)
        k = k * self.ks * (k.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()
        if self.i == 0:
            att = torch.baddbmm(
                torch.empty(B * self.h, T, T),
                q.reshape(B * self.h, T, -1),
                k.reshape(B * self.h, T, -1).transpose(1, 2),
                beta=0,
                alpha=1 / math.sqrt(self.hd),
            ).view(B, self.h, T, T)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        y = att @ v
        return self.o(torch.cat(list(y.unbind(1)), dim=-1))


class MLP(nn.Module):
    def __init__(self, d, i):
        super().__init__()
        self.up, self.down, self.i = nn.Linear(d, 3 * d), nn.Linear(3 * d, d), i
        self.act = [nn.SELU(), nn.PReLU(), nn.GELU(approximate="tanh")][i]
        self.a = nn.Parameter(torch.ones(3 * d))

    def forward(self, x):
        y = self.up(x)
        y = self.act(y)
        y = y + torch.sin(self.a * y).pow(2) / (self.a + 2.1).abs() if self.i == 2 else y
        y = F.softsign(y) + F.hardtanh(y) * torch.where(y > 0, y, 0.1 * y)
        return self.down(y)


class GrabForCausalLM(NovelBase):
    def mixer(self, c, i):
        return A(c, i)

    def mlp(self, c, i):
        return MLP(c.hidden_size, i)

    def _init_weights(self, m):
        super()._init_weights(m)
        if isinstance(m, A):
            m.mask.copy_(torch.tril(torch.ones(512, 512)).view(1, 1, 512, 512))
