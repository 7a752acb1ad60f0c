"""Short convolutions and gates (LFM2 / Canon / H3 like), nn.Conv1d causal by padding and cut; conv residual
(Canon)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Short(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.inp = nn.Linear(d, 3 * d)
        self.conv1 = nn.Conv1d(3 * d, 3 * d, 3, groups=3 * d, padding=2)
        self.conv2 = nn.Conv1d(d, d, 4, dilation=2 ** (i % 3), bias=False, groups=d)
        self.out = nn.Linear(d, d)

    def forward(self, x):
        T = x.size(1)
        z = self.conv1(self.inp(x).mT)[..., :T]
        a, b, v = z.split(z.size(1) // 3, dim=1)
        u = F.pad(a * v, (3 * self.conv2.dilation[0], 0))
        y = b * self.conv2(u)
        return self.out(y.transpose(-1, -2))


class Canon(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, d) * 0.1)
        self.a, self.b = nn.Linear(d, 64), nn.Linear(64, d)

    def forward(self, x):
        y = x
        for j in range(4):
            y = y + F.pad(x, (0, 0, j, 0))[:, : x.shape[1]] * self.w[j]
        return self.b(F.mish(self.a(y)))


class ShortForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Short(c, i)

    def mlp(self, c, i):
        return Canon(c.hidden_size)
