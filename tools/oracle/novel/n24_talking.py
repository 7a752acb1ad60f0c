"""Per-head gates on shares, attention temperature log n, talking heads none; xPos; YaRN none; 2-D rope over (t //
8, t % 8)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def rot(x):
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((-b, a), -1).flatten(-2)


class A(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.hd = d // self.h
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate = nn.Linear(d, self.h)
        self.scale = nn.Parameter(torch.ones(1, self.h, 1, 1) * 5)

    def angles(self, p):
        n = self.hd // 2
        f = 1.0 / 100 ** (torch.arange(0, n, 2).float() / n)
        return torch.cat([p[:, None] * f], -1).repeat_interleave(2, -1)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (w(x).reshape(B, T, self.h, self.hd).movedim(2, 1) for w in (self.wq, self.wk, self.wv))
        pos = torch.arange(T, device=x.device)
        row, col = (pos // 8).float(), (pos % 8).float()
        th = torch.cat([self.angles(row), self.angles(col)], -1)
        q, k = q * th.cos() + rot(q) * th.sin(), k * th.cos() + rot(k) * th.sin()
        if self.i == 1:
            z = (torch.arange(0, self.hd, 2) / self.hd + 0.4) / 1.4
            z = (z[None] ** ((pos[:, None].float()) / 512)).repeat_interleave(2, -1)
            q, k = q * z, k / z
        q, k = q / q.norm(dim=-1, keepdim=True), F.normalize(k, p=2, dim=-1, eps=1e-12)
        s = torch.matmul(q, k.transpose(2, 3)) * self.scale
        s = s * torch.log(pos.float() + 2.0)[None, None, :, None]
        i, j = torch.meshgrid(pos, pos, indexing="ij")
        s = s.masked_fill((j > i)[None, None], -10000.0)
        w = torch.softmax(s, -1)
        w = w * torch.sigmoid(self.gate(x)).transpose(1, 2)[..., None]
        return self.wo(torch.matmul(w, v).movedim(1, 2).reshape(B, T, D))


class TalkForCausalLM(NovelBase):
    def mixer(self, c, i):
        return A(c, i)
