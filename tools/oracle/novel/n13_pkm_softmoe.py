"""Product key memory (Lample et al. 2019) / PEER; dense mixture by softmax gates with stacked einsum experts;
looped depth."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase
from .n07_hyper import Attn


class PKM(nn.Module):
    def __init__(self, d, n=8, k=3, heads=2, kd=16):
        super().__init__()
        self.n, self.k, self.h, self.kd = n, k, heads, kd
        self.q = nn.Linear(d, heads * kd)
        self.keys = nn.Parameter(torch.randn(heads, 2, n, kd // 2))
        self.values = nn.Embedding(n * n, d)

    def forward(self, x):
        B, T, D = x.shape
        q = self.q(x).view(B * T, self.h, 2, -1)
        s = torch.einsum("bhpd,hpnd->bhpn", q, self.keys)
        top, idx = s.topk(self.k, dim=-1)
        all_s = (top[:, :, 0, :, None] + top[:, :, 1, None, :]).view(B * T, self.h, -1)
        all_i = (idx[:, :, 0, :, None] * self.n + idx[:, :, 1, None, :]).view(B * T, self.h, -1)
        best, pos = all_s.topk(self.k, dim=-1)
        i = all_i.gather(-1, pos)
        w = F.softmax(best, -1)
        return (self.values(i) * w[..., None]).sum((1, 2)).view(B, T, D)


class DenseMix(nn.Module):
    def __init__(self, d, n=4, f=24):
        super().__init__()
        self.gate = nn.Linear(d, n)
        self.w1, self.w2 = nn.Parameter(torch.randn(n, d, f) * 0.1), nn.Parameter(torch.randn(n, f, d) * 0.1)

    def forward(self, x):
        g = self.gate(x).softmax(-1)
        h = F.gelu(torch.einsum("btd,ndf->btnf", x, self.w1), approximate="tanh")
        return torch.einsum("btnf,nfd,btn->btd", h, self.w2, g)


class PKMForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Attn(c)

    def mlp(self, c, i):
        return PKM(c.hidden_size) if i == 1 else DenseMix(c.hidden_size)
