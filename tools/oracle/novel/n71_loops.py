"""Loops over the text that are not linear in their states: sLSTM, TTT-Linear (Sun et al. 2024) with a learned first
state, a leaky RNN with a norm in its loop."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class SLSTM(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.hidden_size
        self.h, self.hd = 4, d // 4
        self.W = nn.Linear(d, 4 * d)
        self.R = nn.Parameter(torch.randn(4, self.h, self.hd, self.hd) / self.hd ** 0.5)
        self.norm = nn.GroupNorm(self.h, d)

    def forward(self, x):
        b, t, d = x.shape
        wx = self.W(x).view(b, t, 4, self.h, self.hd)
        c = n = h = torch.zeros(b, self.h, self.hd)
        m = torch.zeros(b, self.h, self.hd)
        out = []
        for i in range(t):
            g = wx[:, i] + torch.einsum("bhd,ghde->bghe", h, self.R)
            zt, it, ft, ot = g.unbind(1)
            logf = F.logsigmoid(ft)
            m_new = torch.maximum(logf + m, it)
            i_, f_ = torch.exp(it - m_new), torch.exp(logf + m - m_new)
            c = f_ * c + i_ * torch.tanh(zt)
            n = f_ * n + i_
            m = m_new
            h = torch.sigmoid(ot) * c / n
            out.append(h)
        y = torch.stack(out, 1).reshape(b * t, d)
        return self.norm(y).view(b, t, d)


def ln_fwd(x, gamma, beta, eps=1e-6):
    mu, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return gamma * ((x - mu) / torch.sqrt(var + eps)) + beta


def ln_fused_l2_bwd(x, target, gamma, beta, eps=1e-6):
    D = x.shape[-1]
    mu, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    std = torch.sqrt(var + eps)
    x_hat = (x - mu) / std
    grad = (gamma * x_hat + beta - target) * gamma
    return (1.0 / D) * (D * grad - grad.sum(-1, keepdim=True) - x_hat * (grad * x_hat).sum(-1, keepdim=True)) / std


class TTTLinear(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.hidden_size
        self.h, self.hd = 4, d // 4
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.lr = nn.Linear(d, self.h)
        self.W1 = nn.Parameter(torch.randn(self.h, self.hd, self.hd) * 0.02)
        self.b1 = nn.Parameter(torch.zeros(self.h, 1, self.hd))
        self.gamma = nn.Parameter(torch.ones(self.h, 1, self.hd))
        self.beta = nn.Parameter(torch.zeros(self.h, 1, self.hd))
        self.post = nn.LayerNorm(d)

    def forward(self, x):
        B, L, D = x.shape
        XQ, XK, XV = (p(x).reshape(B, L, self.h, self.hd).transpose(1, 2) for p in (self.q, self.k, self.v))
        eta = torch.sigmoid(self.lr(x)).transpose(1, 2)[..., None, None] / self.hd
        W, b = self.W1.expand(B, -1, -1, -1), self.b1.expand(B, -1, -1, -1)
        out = []
        for t in range(L):
            xk, xv, xq = XK[:, :, t : t + 1], XV[:, :, t : t + 1], XQ[:, :, t : t + 1]
            z = xk @ W + b
            g = ln_fused_l2_bwd(z, xv - xk, self.gamma, self.beta)
            W = W - eta[:, :, t] * (xk.transpose(-1, -2) @ g)
            b = b - eta[:, :, t] * g
            zq = ln_fwd(xq @ W + b, self.gamma, self.beta)
            out.append(xq + zq)
        y = torch.cat(out, 2).transpose(1, 2).reshape(B, L, D)
        return self.o(self.post(y))


class Leaky(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.i, self.r, self.norm = nn.Linear(48, 64), nn.Linear(64, 64, bias=False), nn.RMSNorm(64)
        self.a, self.h0, self.o = nn.Parameter(torch.zeros(64)), nn.Parameter(torch.randn(64)), nn.Linear(64, 48)

    def forward(self, x):
        u = self.i(x)
        h = self.h0.expand(x.shape[0], -1)
        out = torch.empty_like(u)
        a = torch.sigmoid(self.a)
        for t in range(x.shape[1]):
            h = (1 - a) * h + a * torch.tanh(u[:, t] + self.r(self.norm(h)))
            out[:, t] = h
        return self.o(out)


class LoopsForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers = 3
        super().__init__(config)

    def mixer(self, c, i):
        return (SLSTM, TTTLinear, Leaky)[i](c)
