"""Delta attention with a decay for each channel, by chunks, the inverse by solve_triangular; no-position attention."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


def kda_chunkwise(q, k, v, g, beta, C: int = 32):
    """all [b, h, t, .]"""
    b, h, t, d = k.shape
    pad = -t % C
    if pad:
        q, k, v, g = (F.pad(x, (0, 0, 0, pad)) for x in (q, k, v, g))
        beta = F.pad(beta, (0, pad))
    n = (t + pad) // C
    q, k, v, g = (x.view(b, h, n, C, -1) for x in (q, k, v, g))
    beta = beta.view(b, h, n, C)
    g = g.cumsum(-2)
    qg, kg, kn = q * g.exp(), k * g.exp(), k * (-g).exp()
    A = torch.einsum("bhncd,bhnsd->bhncs", kg, kn) * beta[..., None]
    A = A.tril(-1)
    eye = torch.eye(C, device=A.device, dtype=A.dtype)
    T = torch.linalg.solve_triangular(eye + A, eye.expand_as(A), upper=False, unitriangular=True)
    u = T @ (v * beta[..., None])
    w = T @ (kg * beta[..., None])
    S = q.new_zeros(b, h, d, v.shape[-1])
    outs = []
    for i in range(n):
        u_i = u[:, :, i] - w[:, :, i] @ S
        a = (qg[:, :, i] @ kn[:, :, i].transpose(-1, -2)).tril()
        outs.append(qg[:, :, i] @ S + a @ u_i)
        last = g[:, :, i, -1:]
        S = S * last.exp().transpose(-1, -2) + (k[:, :, i] * (last - g[:, :, i]).exp()).transpose(-1, -2) @ u_i
    return torch.cat(outs, 2)[:, :, :t]


class Kda(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.d = c.hidden_size, c.num_heads, 12
        self.q, self.k, self.v = (nn.Linear(d, self.h * self.d, bias=False) for _ in range(3))
        self.f = nn.Sequential(nn.Linear(d, 8, bias=False), nn.Linear(8, self.h * self.d, bias=False))
        self.b = nn.Linear(d, self.h, bias=False)
        self.A = nn.Parameter(torch.zeros(self.h))
        self.dt_bias = nn.Parameter(torch.zeros(self.h * self.d))
        self.norm = RMSNorm(self.d)
        self.gate = nn.Linear(d, self.h * self.d, bias=False)
        self.o = nn.Linear(self.h * self.d, d, bias=False)

    def forward(self, x):
        B, T, _ = x.shape
        heads = lambda y: y.view(B, T, self.h, -1).transpose(1, 2)
        q, k, v = (heads(F.silu(p(x))) for p in (self.q, self.k, self.v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        g = -self.A.exp()[:, None, None] * F.softplus(heads(self.f(x) + self.dt_bias))
        beta = self.b(x).sigmoid().transpose(1, 2)
        y = kda_chunkwise(q * self.d**-0.5, k, v, g * 0.3, beta)
        y = self.norm(y.transpose(1, 2)).reshape(B, T, -1)
        return self.o(y * self.gate(x).sigmoid())


class Nope(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.o = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.temperature = nn.Parameter(torch.ones(self.h, 1, 1))

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            F.normalize(q, dim=-1) * self.temperature * 4, F.normalize(k, dim=-1), v, is_causal=True, scale=1.0
        )
        return self.o(y.transpose(1, 2).reshape(B, T, D))


class KdaForCausalLM(NovelBase):
    def mixer(self, c, i):
        return (Nope if i % 2 else Kda)(c, i)
