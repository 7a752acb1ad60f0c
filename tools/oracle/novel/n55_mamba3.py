"""A state-space mixer with rotations that depend on tokens (summed angles on B and C), a trapezoid of two inputs, and
a recurrent branch with a cache of its own; layers alternate with window attention with sinks by an own softmax."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


class Ssm3(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, self.p, self.n = 4, 12, 8
        inner = self.h * self.p
        self.inner = inner
        self.in_proj = nn.Linear(c.hidden_size, 2 * inner + 2 * self.n + 2 * self.h + self.h * self.n // 2, bias=False)
        self.A_log, self.D, self.dt_bias = (
            nn.Parameter(torch.zeros(self.h)),
            nn.Parameter(torch.ones(self.h)),
            nn.Parameter(torch.zeros(self.h)),
        )
        self.b_norm, self.c_norm, self.out = (
            RMSNorm(self.n),
            RMSNorm(self.n),
            nn.Linear(inner, c.hidden_size, bias=False),
        )

    def turn(self, x, angle):
        a, b = x.chunk(2, -1)
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def forward(self, u):
        Bt, T, _ = u.shape
        z, x, B, C, dt, lam, th = self.in_proj(u).split(
            [self.inner, self.inner, self.n, self.n, self.h, self.h, self.h * self.n // 2], -1
        )
        dt = F.softplus(dt + self.dt_bias)
        decay = torch.exp(-dt * self.A_log.exp())
        lam = torch.sigmoid(lam)
        angle = torch.cumsum(th.view(Bt, T, self.h, -1) * dt[..., None], dim=1)
        B = self.turn(self.b_norm(B)[:, :, None].expand(-1, -1, self.h, -1), angle)
        C = self.turn(self.c_norm(C)[:, :, None].expand(-1, -1, self.h, -1), angle)
        x = x.view(Bt, T, self.h, self.p)
        bx = B[..., None] * (x * dt[..., None])[..., None, :]
        S = torch.zeros(Bt, self.h, self.n, self.p, device=u.device)
        last = torch.zeros_like(S)
        ys = []
        for t in range(T):
            d, l = decay[:, t, :, None, None], lam[:, t, :, None, None]
            S = d * S + (1 - l) * d * last + l * bx[:, t]
            last = bx[:, t]
            ys.append(torch.einsum("bhn,bhnp->bhp", C[:, t], S))
        y = torch.stack(ys, 1) + self.D[:, None] * x
        return self.out(y.reshape(Bt, T, -1) * F.silu(z))


class SinkAttention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, d = c.num_heads, c.hidden_size
        self.qkv, self.o, self.sink = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Parameter(torch.zeros(self.h))

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        s = q @ k.mT / (D // self.h) ** 0.5
        i = torch.arange(T, device=x.device)
        ok = (i[:, None] >= i) & (i[:, None] - i < 7)
        s = torch.where(ok, s, -torch.inf)
        m = torch.maximum(s.amax(-1, keepdim=True), self.sink[:, None, None])
        e = torch.exp(s - m)
        p = e / (e.sum(-1, keepdim=True) + torch.exp(self.sink[:, None, None] - m))
        return self.o((p @ v).transpose(1, 2).reshape(B, T, D))


class Mamba3ForCausalLM(NovelBase):
    def mixer(self, c, i):
        return (Ssm3 if i % 2 == 0 else SinkAttention)(c, i)
