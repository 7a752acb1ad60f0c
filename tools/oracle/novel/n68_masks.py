"""Masks of three kinds: tokens that pass a layer by and whose keys nobody sees (mixture of depths), heads that see all
beside heads with a window, and chunks with scalable softmax by logsumexp; a bilinear gate, rows rolled within."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, SwiGLU


class Masked(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.qkv, self.o, self.router = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 1)
        self.s = nn.Parameter(torch.full((self.h,), 0.4))

    def mask(self, x):
        t = x.shape[1]
        far = torch.arange(t)[:, None] - torch.arange(t)[None]
        if self.i == 0:
            keep = self.router(x).squeeze(-1) > 0
            return (far >= 0) & keep[:, None, None, :] & (far < 20) & (x[..., 0] > -3)[:, None, None]
        if self.i == 1:
            return torch.stack([far >= 0, (far >= 0) & (far < 8)]).repeat_interleave(self.h // 2, 0)[None]
        return (far >= 0) & (torch.arange(t)[:, None] // 16 == torch.arange(t)[None] // 16)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.h, -1).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
        turn = torch.cat([-torch.ones(d // self.h // 2), torch.ones(d // self.h // 2)])
        a = torch.arange(t)[:, None] * 1e4 ** -(torch.arange(d // self.h // 2).repeat(2) / (d // self.h // 2))
        q, k = (z * a.cos() + torch.roll(z, z.shape[-1] // 2, -1) * turn * a.sin() for z in (q, k))
        if self.i == 1:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(x))
        else:
            q = q * (self.s[:, None, None] * torch.log(torch.arange(1, t + 1).float())[:, None] + 1)
            s = torch.where(self.mask(x), q @ k.mT / math.sqrt(q.shape[-1]), torch.finfo(q.dtype).min)
            y = torch.exp(s - s.logsumexp(-1, keepdim=True)) @ v
        y = self.o(y.transpose(1, 2).reshape(b, t, d))
        return torch.where(self.router(x) > 0, y, 0.0) if self.i == 0 else y


class Bilinear(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.down, self.mlp = nn.Linear(c.hidden_size, 6), SwiGLU(c.hidden_size, 64)
        self.pairs = nn.Bilinear(6, 6, c.hidden_size)

    def forward(self, x):
        best = torch.softmax(x[..., :6], -1).max(-1).indices
        z = self.down(x).masked_fill(F.one_hot(best, 6).bool(), 0.0)
        return self.mlp(x) + self.pairs(z, z.flip(-1))


class MasksForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Masked(c, i)

    def mlp(self, c, i):
        return Bilinear(c, i)
