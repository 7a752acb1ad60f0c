"""Scalar-gated linear attention, quadratic form (Mamba-2 SSD dual / Lightning-like), normalised by group RMS."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


class SSD(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.in_proj = nn.Linear(d, 4 * d + self.h, bias=False)
        self.A_log, self.dt_bias, self.D = (
            nn.Parameter(torch.zeros(self.h)),
            nn.Parameter(torch.zeros(self.h)),
            nn.Parameter(torch.ones(self.h)),
        )
        self.norm, self.out_proj = RMSNorm(d), nn.Linear(d, d, bias=False)

    def forward(self, x):
        B, T, d = x.shape
        z, v, k, q, dt = torch.split(self.in_proj(x), [d, d, d, d, self.h], dim=-1)
        q, k, v = (y.reshape(B, T, self.h, -1).permute(0, 2, 1, 3) for y in (q, k, v))
        dt = F.softplus(dt + self.dt_bias).transpose(1, 2)
        a = (-torch.exp(self.A_log)).view(1, -1, 1) * dt
        cs = torch.cumsum(a, dim=-1)
        L = cs[..., :, None] - cs[..., None, :]
        L = torch.exp(L.masked_fill(~torch.ones(T, T, device=x.device, dtype=torch.bool).tril(), float("-inf")))
        w = torch.einsum("bhqd,bhkd->bhqk", q, k) * L
        y = torch.einsum("bhqk,bhkd->bhqd", w, v * dt[..., None]) + self.D[:, None, None] * v
        y = y.permute(0, 2, 1, 3).flatten(2)
        return self.out_proj(self.norm(y * F.silu(z)))


class SSDForCausalLM(NovelBase):
    def mixer(self, c, i):
        return SSD(c, i)
