"""softmax-off-by-one in even layers, learned sinks by cat in odd ones, tanh capped scores, sliding window by
triu/tril."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def softmax_one(x, dim=-1):
    x = x - x.max(dim=dim, keepdim=True).values.detach()
    e = torch.exp(x)
    return e / (1 + e.sum(dim=dim, keepdim=True))


def softmax_one_exact(x, dim=-1):
    m = x.max(dim=dim, keepdim=True)[0]
    e = torch.exp(x - m)
    return e / (torch.exp(-m) + e.sum(dim=dim, keepdim=True))


class A(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.sinks = nn.Parameter(torch.zeros(self.h))
        self.window = 6 if i == 1 else None

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.h, D // self.h).permute(2, 0, 3, 1, 4)
        s = torch.einsum("bhid,bhjd->bhij", q, k) * (D // self.h) ** -0.5
        s = 8.0 * torch.tanh(s / 8.0)
        m = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        if self.window:
            m = m & torch.ones(T, T, dtype=torch.bool, device=x.device).triu(-self.window + 1)
        s = s.masked_fill(m.logical_not(), torch.finfo(s.dtype).min)
        if self.i == 0:
            p = softmax_one_exact(s)
        elif self.i == 1:
            sink = self.sinks.reshape(1, -1, 1, 1).expand(B, -1, T, -1)
            c = torch.cat([s, sink], dim=-1)
            c = c - c.max(dim=-1, keepdim=True).values
            p = F.softmax(c, dim=-1, dtype=c.dtype)[..., :-1]
        else:
            p = s.softmax(-1)
        return self.o((p @ v).transpose(1, 2).flatten(2))


class OneForCausalLM(NovelBase):
    def mixer(self, c, i):
        return A(c, i)
