"""Biases that are functions of a distance: Kerple, slopes learned in several writings, far buckets, Sandwich."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Kerple(nn.Module):
    """Chi et al. 2022, the logarithmic one."""

    def __init__(self, h, c):
        super().__init__()
        self.a, self.p = nn.Parameter(torch.rand(h, 1, 1) + 0.3), nn.Parameter(torch.rand(h, 1, 1) + 0.3)

    def forward(self, T, device):
        away = torch.tril(
            torch.arange(T, device=device).view(T, 1).repeat(1, T) + torch.arange(0, -T, -1, device=device)
        )
        return -self.p.clamp(min=1e-2) * torch.log(1 + self.a.clamp(min=1e-2) * away)


class Power(nn.Module):
    """With what follows kept out by the bias itself."""

    def __init__(self, h, c):
        super().__init__()
        self.scale, self.power = nn.Parameter(torch.rand(h)), nn.Parameter(torch.rand(h) * 0.3)

    def forward(self, T, device):
        i = torch.arange(T, device=device)
        d = (i[:, None] - i[None, :]).float()
        b = -F.softplus(self.scale)[:, None, None] * d.abs().clamp(min=1) ** torch.sigmoid(self.power)[:, None, None]
        return b.masked_fill(d < 0, float("-inf"))[None]


class Buckets(nn.Module):
    """T5's, the last of which begins far beyond what most texts have."""

    def __init__(self, h, c, n=24, far=400):
        super().__init__()
        self.emb, self.n, self.far = nn.Embedding(n, h), n, far

    def forward(self, T, device):
        p = torch.arange(T, device=device)
        d = (p[None, :] - p[:, None]).neg().clamp(min=0)
        half = self.n // 2
        big = half + (torch.log(d.float().clamp(min=1) / half) / math.log(self.far / half) * half).long()
        return self.emb(torch.where(d < half, d, big.clamp(max=self.n - 1))).permute(2, 0, 1)[None]


class Sandwich(nn.Module):
    """Chi et al. 2023: sums of cosines, one for all heads; nothing is learned."""

    def __init__(self, h, c):
        super().__init__()

    def forward(self, T, device):
        i = torch.arange(T, device=device).float()
        freq = 1e4 ** -(torch.arange(8, device=device) / 8)
        d = i.unsqueeze(-1) - i.unsqueeze(0)
        return 0.3 * torch.cos(d[..., None] * freq).sum(-1)


class Mlp(nn.Module):
    """A small network of the distance's logarithm."""

    def __init__(self, h, c):
        super().__init__()
        self.up, self.down = nn.Linear(1, 16), nn.Linear(16, h)

    def forward(self, T, device):
        i = torch.arange(T, device=device)
        d = (i[:, None] - i[None, :]).clamp(min=0)
        return self.down(F.relu(self.up(torch.log1p(d.float()).unsqueeze(-1)))).permute(2, 0, 1).unsqueeze(0)


KINDS = [Kerple, Power, Buckets, Sandwich, Mlp]


class Attention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.bias, self.fused = KINDS[i](self.h, c), i % 2 == 1

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.h, -1).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        b = self.bias(T, x.device)
        causal = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        if self.fused and isinstance(self.bias, Power):
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=b)
        else:
            s = (q @ k.mT) * (D // self.h) ** -0.5 + b
            y = torch.softmax(s.masked_fill(~causal, float("-inf")), -1) @ v
        return self.out(y.transpose(1, 2).reshape(B, T, D))


class DistancesForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers = len(KINDS)
        super().__init__(config)

    def mixer(self, c, i):
        return Attention(c, i)
