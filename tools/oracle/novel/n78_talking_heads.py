"""Talking heads: linear layers over the heads of permuted scores as image models have them, einsums (Shazeer et al.
2020); one key projection that heads weigh each in their way (Cordonnier et al. 2020), a temperature by entropy."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Attn(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.proj_l, self.proj_w = nn.Linear(self.h, self.h, bias=False), nn.Linear(self.h, self.h, bias=False)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4)
        attn = (q * (d // self.h) ** -0.5) @ k.transpose(-2, -1)
        attn = self.proj_l(attn.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        attn = attn + torch.full((t, t), float("-inf")).triu(1)
        attn = attn.softmax(dim=-1)
        attn = self.proj_w(attn.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.o((attn @ v).transpose(1, 2).reshape(b, t, d))


class Talking(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.pre, self.post = nn.Parameter(torch.eye(self.h) + 0.1 * torch.randn(self.h, self.h)), nn.Parameter(
            torch.eye(self.h)
        )

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        s = q @ k.transpose(-1, -2) * (d // self.h) ** -0.5
        s = torch.einsum("gh,bhij->bgij", self.pre, s)
        s = s.masked_fill(torch.triu(torch.ones(t, t, dtype=torch.bool), 1), float("-inf")).softmax(-1)
        s = torch.einsum("gh,bhij->bgij", self.post, s)
        return self.o((s @ v).transpose(1, 2).reshape(b, t, d))


class Collab(nn.Module):
    """All heads share one key projection and weigh its dimensions each in their way (Cordonnier et al. 2020)."""

    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.s = c.hidden_size, c.num_heads, 20
        self.q, self.k, self.v, self.o = (
            nn.Linear(d, self.s),
            nn.Linear(d, self.s, bias=False),
            nn.Linear(d, d),
            nn.Linear(d, d),
        )
        self.mix, self.content = nn.Parameter(torch.randn(self.h, self.s)), nn.Linear(d, self.h, bias=False)
        self.temp = nn.Linear(d, self.h)

    def forward(self, x):
        b, t, d = x.shape
        q, k = self.q(x), self.k(x)
        v = self.v(x).view(b, t, self.h, -1).transpose(1, 2)
        mixed = q[:, None] * self.mix[:, None]  # b h t s
        s = torch.matmul(mixed, k[:, None].transpose(-1, -2)) + self.content(x).transpose(1, 2).unsqueeze(-2)
        p = x.softmax(-1)
        entropy = -(p * p.log()).sum(-1, keepdim=True)
        tau = F.softplus(self.temp(x) + entropy).transpose(1, 2).unsqueeze(-1)
        s = s * tau / self.s**0.5
        i = torch.arange(t)
        s = torch.where(i[:, None] >= i[None], s, -1e9)
        return self.o((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))


class TalkForCausalLM(NovelBase):
    def mixer(self, c, i):
        return (Attn, Talking, Collab)[i](c, i)
