"""RetNet parallel form: decay mask, group norm, swish gate."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def rot(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)


class Retention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.wq, self.wk, self.wv, self.wg, self.wo = (nn.Linear(d, d, bias=False) for _ in range(5))
        self.gn = nn.GroupNorm(self.h, d, affine=False)
        self.register_buffer("gamma", 1 - 2.0 ** (-5 - torch.arange(self.h, dtype=torch.float)), persistent=False)
        hd = d // self.h
        self.register_buffer(
            "angle", (1.0 / 10000 ** torch.linspace(0, 1, hd // 2)).repeat_interleave(2), persistent=False
        )

    def forward(self, x):
        B, T, D = x.shape
        heads = lambda y: y.view(B, T, self.h, -1).transpose(1, 2)
        q, k, v = heads(self.wq(x)), heads(self.wk(x)), heads(self.wv(x))
        n = torch.arange(T, device=x.device)
        sin, cos = torch.sin(n[:, None] * self.angle), torch.cos(n[:, None] * self.angle)
        q, k = q * cos + rot(q) * sin, k * cos + rot(k) * sin
        k = k * k.shape[-1] ** -0.5
        D_ = torch.where(n[:, None] >= n[None], self.gamma[:, None, None] ** (n[:, None] - n[None]).clamp(min=0), 0.0)
        r = (q @ k.transpose(-1, -2)) * D_[None]
        y = (r @ v).transpose(1, 2).reshape(B * T, D)
        y = self.gn(y).view(B, T, D)
        return self.wo(F.silu(self.wg(x)) * y)


class RetForCausalLM(NovelBase):
    def _init_weights(self, m):
        if isinstance(m, Retention):
            m.gamma.copy_(1 - 2.0 ** (-5 - torch.arange(m.h, dtype=torch.float)))
            m.angle.copy_((1.0 / 10000 ** torch.linspace(0, 1, m.angle.numel() // 2)).repeat_interleave(2))
        else:
            super()._init_weights(m)

    def mixer(self, c, i):
        return Retention(c, i)
