"""Hyena / S4 with implicit long filters through FFT: expected to be refused (a filter as long as the text)."""

import torch
import torch.nn as nn
from .common_parts import NovelBase


class H(nn.Module):
    def __init__(self, d, L=512):
        super().__init__()
        self.inp, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.k = nn.Parameter(torch.randn(d, L) * 0.02)
        self.D = nn.Parameter(torch.randn(d))

    def forward(self, x):
        T = x.shape[1]
        a, b, v = self.inp(x).transpose(1, 2).chunk(3, 1)
        u = a * v
        kf = torch.fft.rfft(self.k[:, :T], n=2 * T)
        uf = torch.fft.rfft(u, n=2 * T)
        y = torch.fft.irfft(uf * kf, n=2 * T)[..., :T] + u * self.D[:, None]
        return self.out((y * b).transpose(1, 2))


class HyenaForCausalLM(NovelBase):
    def mixer(self, c, i):
        return H(c.hidden_size)
