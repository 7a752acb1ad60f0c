"""Spline activations (KAN), Chebyshev and Fourier features, radial bases, piecewise-linear tables in the MLPs."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, PlainAttn


class KanLinear(nn.Module):
    def __init__(self, i, o, grid=5, order=3):
        super().__init__()
        self.order = order
        h = 2 / grid
        g = (torch.arange(-order, grid + order + 1) * h - 1).expand(i, -1).contiguous()
        self.register_buffer("grid", g)
        self.base = nn.Parameter(torch.randn(o, i) * 0.2)
        self.spline = nn.Parameter(torch.randn(o, i, grid + order) * 0.2)

    def bases(self, x):
        x, g = x.unsqueeze(-1), self.grid
        b = ((x >= g[:, :-1]) & (x < g[:, 1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            left = (x - g[:, : -(k + 1)]) / (g[:, k:-1] - g[:, : -(k + 1)]) * b[:, :, :-1]
            right = (g[:, k + 1 :] - x) / (g[:, k + 1 :] - g[:, 1:(-k)]) * b[:, :, 1:]
            b = left + right
        return b

    def forward(self, x):
        shape = x.shape
        x = torch.tanh(x.reshape(-1, shape[-1]))
        y = F.linear(F.silu(x), self.base) + F.linear(
            self.bases(x).view(x.size(0), -1), self.spline.view(self.spline.size(0), -1)
        )
        return y.view(*shape[:-1], -1)


class Cheby(nn.Module):
    def __init__(self, i, o, degree=4):
        super().__init__()
        self.c = nn.Parameter(torch.randn(i, o, degree + 1) * 0.1)
        self.register_buffer("arange", torch.arange(0, degree + 1, 1))

    def forward(self, x):
        x = torch.tanh(x).unsqueeze(-1).expand(*x.shape, self.c.shape[2])
        x = torch.cos(torch.acos(x.clamp(-0.999, 0.999)) * self.arange)
        return torch.einsum("btid,iod->bto", x, self.c)


class Fourier(nn.Module):
    def __init__(self, d, m=24):
        super().__init__()
        self.register_buffer("B", torch.randn(d, m, generator=torch.Generator().manual_seed(1)))
        self.out = nn.Linear(2 * m, d)

    def forward(self, x):
        p = 2 * math.pi * (x @ self.B) * 0.1
        return self.out(torch.cat([p.sin(), p.cos()], -1))


class Rbf(nn.Module):
    def __init__(self, d, n=6):
        super().__init__()
        self.grid = nn.Parameter(torch.linspace(-2, 2, n), requires_grad=False)
        self.w, self.ln = nn.Linear(d * n, d, bias=False), nn.LayerNorm(d)

    def forward(self, x):
        b = torch.exp(-(((self.ln(x)[..., None] - self.grid) / 0.8) ** 2))
        return self.w(b.view(*b.shape[:-2], -1))


class Table(nn.Module):
    """A piecewise-linear function of each channel, read of a table by its cell."""

    def __init__(self, d, n=8):
        super().__init__()
        self.n, self.values, self.up = n, nn.Parameter(torch.randn(n + 1) * 0.5), nn.Linear(d, d)
        self.slope = nn.Parameter(torch.randn(d, 4) * 0.3)
        self.knots = nn.Parameter(torch.randn(d, 4))

    def forward(self, x):
        x = self.up(x)
        y = torch.relu(x.unsqueeze(-1) - self.knots).mul(self.slope).sum(-1)
        u = (torch.sigmoid(x) * self.n).unsqueeze(-1)
        hat = (1 - (u - torch.arange(self.n + 1, device=x.device)).abs()).clamp_min(0)
        return y + hat @ self.values


class KanForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers = 5
        super().__init__(config)

    def mixer(self, c, i):
        return PlainAttn(c, i)

    def mlp(self, c, i):
        d = c.hidden_size
        return [
            lambda: nn.Sequential(KanLinear(d, 16), KanLinear(16, d)),
            lambda: Cheby(d, d),
            lambda: Fourier(d),
            lambda: Rbf(d),
            lambda: Table(d),
        ][i]()
