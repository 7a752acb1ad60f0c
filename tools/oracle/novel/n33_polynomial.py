"""Squared attention (ReLA / PolySketch): relu(s)^2 / n, gMLP-free; plus cosine polynomial s**2 normalised, per
layer."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class A(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.h, -1).permute(2, 0, 3, 1, 4).unbind(0)
        s = q @ k.mT / (D // self.h) ** 0.5
        m = torch.ones(T, T, device=x.device).tril()
        if self.i == 0:
            w = F.relu(s) ** 2 * m / torch.arange(1, T + 1, device=x.device)[:, None]
        elif self.i == 1:
            w = F.relu(s) * m
            w = w / (w.sum(-1, keepdim=True) + 1e-3)
        else:
            w = s.tanh() * m
        return self.o((w @ v).transpose(1, 2).reshape(B, T, D))


class PolyForCausalLM(NovelBase):
    def mixer(self, c, i):
        return A(c, i)
