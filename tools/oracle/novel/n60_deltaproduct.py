"""DeltaProduct (Siems et al. 2025): two Householder steps a row, with a gate of forgetting, beside GTA attention (keys
are half of the values and one rotated head) every third layer."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


class Product(nn.Module):
    def __init__(self, c, n=2):
        super().__init__()
        d, self.h, self.n = c.hidden_size, c.num_heads, n
        self.q, self.k, self.v = (
            nn.Linear(d, d, bias=False),
            nn.Linear(d, n * d, bias=False),
            nn.Linear(d, n * d, bias=False),
        )
        self.b, self.g = nn.Linear(d, n * self.h), nn.Linear(d, self.h)
        self.norm, self.o = RMSNorm(d // self.h), nn.Linear(d, d, bias=False)

    def forward(self, x):
        B, T, D = x.shape
        hd = D // self.h
        q = F.silu(self.q(x)).view(B, T, self.h, hd)
        k = F.normalize(F.silu(self.k(x)).view(B, T, self.n, self.h, hd), dim=-1)
        v = self.v(x).view(B, T, self.n, self.h, hd)
        beta = 2 * torch.sigmoid(self.b(x)).view(B, T, self.n, self.h)
        g = torch.sigmoid(self.g(x) + 3)
        S, out = torch.zeros(B, self.h, hd, hd, device=x.device), []
        for t in range(T):
            S = S * g[:, t, :, None, None]
            for j in range(self.n):
                kj, vj, bj = k[:, t, j], v[:, t, j], beta[:, t, j, :, None]
                S = S + torch.einsum("bhk,bhv->bhkv", kj * bj, vj - torch.einsum("bhkv,bhk->bhv", S, kj))
            out.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]))
        return self.o(self.norm(torch.stack(out, 1)).reshape(B, T, D))


class Gta(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        hd = d // self.h
        self.q, self.kv, self.kr, self.o = nn.Linear(d, d), nn.Linear(d, 2 * hd), nn.Linear(d, hd // 2), nn.Linear(d, d)

    def forward(self, x):
        B, T, D = x.shape
        hd = D // self.h
        q = self.q(x).view(B, T, self.h, hd).transpose(1, 2)
        v = self.kv(x).view(B, T, 2, hd).transpose(1, 2)
        kr = self.kr(x)[:, None]
        f = 1e4 ** (-torch.arange(hd // 4, device=x.device) / (hd // 4))
        a = torch.arange(T, device=x.device)[:, None] * f
        turn = lambda y: torch.cat(
            [
                y[..., : hd // 4] * a.cos() - y[..., hd // 4 :] * a.sin(),
                y[..., : hd // 4] * a.sin() + y[..., hd // 4 :] * a.cos(),
            ],
            -1,
        )
        q = torch.cat([q[..., : hd // 2], turn(q[..., hd // 2 :])], -1)
        k = torch.cat([v[..., : hd // 2], turn(kr).expand(-1, 2, -1, -1)], -1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o(y.transpose(1, 2).reshape(B, T, D))


class ProductForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Gta(c) if i % 3 == 1 else Product(c)
