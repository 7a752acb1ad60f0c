"""Hymba-like: meta tokens none; attention and mamba-1 style selective scan in parallel heads by a loop; mean of
normed outputs; cross-layer KV sharing of pairs; sliding windows by sdpa masks (hand-made bool)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm, SwiGLU


class Mamba(nn.Module):
    def __init__(self, d, n=4, r=6):
        super().__init__()
        self.d, self.n, self.r = d, n, r
        self.inp = nn.Linear(d, 2 * d, bias=False)
        self.conv = nn.Conv1d(d, d, 4, groups=d, padding=3)
        self.xp, self.dtp, self.out = nn.Linear(d, r + 2 * n, bias=False), nn.Linear(r, d), nn.Linear(d, d, bias=False)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1, dtype=torch.float32).repeat(d, 1)))
        self.D = nn.Parameter(torch.ones(d))

    def forward(self, x):
        T = x.shape[1]
        u, z = self.inp(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[:, :, :T]).transpose(1, 2)
        dt, B, C = self.xp(u).split([self.r, self.n, self.n], -1)
        dt = F.softplus(self.dtp(dt))
        A = -torch.exp(self.A_log.float())
        dA = torch.exp(torch.einsum("btd,dn->btdn", dt, A))
        dBu = torch.einsum("btd,btn,btd->btdn", dt, B, u)
        h, ys = torch.zeros(x.shape[0], self.d, self.n, device=x.device), []
        for t in range(T):
            h = dA[:, t] * h + dBu[:, t]
            ys.append(torch.einsum("bdn,bn->bd", h, C[:, t]))
        y = torch.stack(ys, 1) + u * self.D
        return self.out(y * F.silu(z))


class Attn(nn.Module):
    def __init__(self, d, h, share, window):
        super().__init__()
        self.h, self.window = h, window
        self.q, self.o = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.kv = None if share else nn.Linear(d, d, bias=False)

    def forward(self, x, kv):
        B, T, D = x.shape
        q = self.q(x).view(B, T, self.h, -1).transpose(1, 2)
        if self.kv is not None:
            k, v = self.kv(x).view(B, T, 2, self.h // 2, -1).unbind(2)
            kv = k.transpose(1, 2), v.transpose(1, 2)
        i = torch.arange(T, device=x.device)
        m = i[:, None] >= i[None, :]
        if self.window:
            m = m & (i[:, None] - i[None, :] < self.window)
        y = F.scaled_dot_product_attention(q, kv[0], kv[1], attn_mask=m, enable_gqa=True)
        return self.o(y.transpose(1, 2).flatten(2)), kv


class Hy(nn.Module):
    def __init__(self, d, h, share, window):
        super().__init__()
        self.n, self.n2, self.na, self.nm = (RMSNorm(d) for _ in range(4))
        self.attn, self.mamba, self.mlp = Attn(d, h, share, window), Mamba(d), SwiGLU(d, 64)
        self.beta = nn.Parameter(torch.ones(2, d))

    def forward(self, x, kv):
        y = self.n(x)
        a, kv = self.attn(y, kv)
        x = x + (self.na(a) * self.beta[0] + self.nm(self.mamba(y)) * self.beta[1]) / 2
        return x + self.mlp(self.n2(x)), kv


class HymbaForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.wte = nn.Embedding(config.vocab_size, d)
        self.layers = nn.ModuleList([Hy(d, 4, i % 2 == 1, 5 if i < 2 else None) for i in range(4)])
        self.norm, self.head = RMSNorm(d), nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, past_key_values=None, **kw):
        x, kv = self.wte(input_ids), None
        for l in self.layers:
            x, kv = l(x, kv)
        return self.head(self.norm(x))
