"""Attention in chunks of the text (local blocks of 16, by reshape after padding) and strided; expected to be
refused or told as chunks."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Chunked(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.w = c.hidden_size, c.num_heads, 8
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        B, T, D = x.shape
        pad = (-T) % self.w
        q, k, v = (
            F.pad(self.qkv(x), (0, 0, 0, pad)).view(B, -1, self.w, 3, self.h, D // self.h).permute(3, 0, 1, 4, 2, 5)
        )
        s = q @ k.transpose(-1, -2) / (D // self.h) ** 0.5
        s = s.masked_fill(torch.ones(self.w, self.w, dtype=torch.bool).triu(1), float("-inf"))
        y = (s.softmax(-1) @ v).permute(0, 1, 3, 2, 4).reshape(B, -1, D)[:, :T]
        return self.o(y)


class ChunkForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Chunked(c, i)
