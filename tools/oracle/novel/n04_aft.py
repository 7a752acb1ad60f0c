"""AFT-simple (Zhai et al. 2021) with cumsum, squared relu MLP, token shift."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class AFT(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.mix = nn.Parameter(torch.full((1, 1, d), 0.5))
        self.shift = nn.ZeroPad2d((0, 0, 1, -1))

    def forward(self, x):
        xx = self.shift(x)
        x = x * self.mix + xx * (1 - self.mix)
        k = torch.exp(self.k(x).clamp(-15, 15))
        num, den = torch.cumsum(k * self.v(x), dim=1), k.cumsum(1)
        return self.o(torch.sigmoid(self.q(x)) * num / (den + 1e-6))


class MLP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.a, self.b = nn.Linear(d, 3 * d), nn.Linear(3 * d, d)

    def forward(self, x):
        return self.b(torch.square(F.relu(self.a(x))))


class AFTForCausalLM(NovelBase):
    def mixer(self, c, i):
        return AFT(c, i)

    def mlp(self, c, i):
        return MLP(c.hidden_size)
