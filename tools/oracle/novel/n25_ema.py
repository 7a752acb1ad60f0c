"""Mega-like EMA by a Python loop, minLSTM loop, HGRN, S5 complex diagonal; SRU; each layer another recurrence
written as loops."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class EMA(nn.Module):
    def __init__(self, d, n=4):
        super().__init__()
        self.alpha, self.delta = nn.Parameter(torch.randn(d, n)), nn.Parameter(torch.randn(d, n))
        self.beta, self.eta = nn.Parameter(torch.randn(d, n)), nn.Parameter(torch.randn(d, n))

    def forward(self, x):
        a, dl = torch.sigmoid(self.alpha), torch.sigmoid(self.delta)
        h = torch.zeros(x.shape[0], *a.shape, device=x.device, dtype=x.dtype)
        out = []
        for t in range(x.size(1)):
            h = a * self.beta * x[:, t, :, None] + (1 - a * dl) * h
            out.append((h * self.eta).sum(-1))
        return torch.stack(out, dim=1)


class MinLSTM(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.f, self.i, self.h = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x):
        f, i, h = torch.sigmoid(self.f(x)), torch.sigmoid(self.i(x)), self.h(x)
        s = f + i
        f, i = f / s, i / s
        hs, c = [], torch.zeros_like(h[:, 0])
        for ft, it, ht in zip(f.unbind(1), i.unbind(1), h.unbind(1)):
            c = ft * c + it * ht
            hs.append(c)
        return torch.stack(hs, 1)


class DeltaNet(nn.Module):
    def __init__(self, d, h=4):
        super().__init__()
        self.h = h
        self.q, self.k, self.v, self.b, self.o = (
            nn.Linear(d, d),
            nn.Linear(d, d),
            nn.Linear(d, d),
            nn.Linear(d, h),
            nn.Linear(d, d),
        )

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (F.silu(p(x)).view(B, T, self.h, -1) for p in (self.q, self.k, self.v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        beta = torch.sigmoid(self.b(x))
        S = torch.zeros(B, self.h, q.shape[-1], v.shape[-1], device=x.device)
        ys = []
        for t in range(T):
            kt, vt, bt = k[:, t], v[:, t], beta[:, t, :, None]
            pred = torch.einsum("bhk,bhkv->bhv", kt, S)
            S = S + torch.einsum("bhk,bhv->bhkv", kt, bt * (vt - pred))
            ys.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S))
        return self.o(torch.stack(ys, 1).reshape(B, T, D))


class EMAForCausalLM(NovelBase):
    def mixer(self, c, i):
        return [EMA(c.hidden_size), MinLSTM(c.hidden_size), DeltaNet(c.hidden_size)][i]
