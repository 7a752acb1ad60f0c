"""Experts by nucleus (sort, sums), a cosine router; a gated attention unit with relu squared scores."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, RMSNorm


class Gau(nn.Module):
    def __init__(self, c, i, s=24):
        super().__init__()
        d, e = c.hidden_size, 2 * c.hidden_size
        self.uv, self.z, self.o = nn.Linear(d, 2 * e), nn.Linear(d, s), nn.Linear(e, d)
        self.gamma, self.beta = nn.Parameter(torch.rand(2, s)), nn.Parameter(torch.rand(2, s))
        self.e, self.s = e, s

    def forward(self, x):
        T = x.shape[1]
        u, v = F.silu(self.uv(x)).split(self.e, -1)
        z = F.silu(self.z(x))
        q, k = (z[..., None, :] * self.gamma + self.beta).unbind(-2)
        s = torch.einsum("btd,bsd->bts", q, k) / self.s**0.5
        a = F.relu(s).square() / torch.arange(1, T + 1, device=x.device)[:, None]
        a = torch.tril(a)
        return self.o(u * (a @ v))


class Nucleus(nn.Module):
    def __init__(self, c, n=6, p=0.6, f=24):
        super().__init__()
        self.p, self.n = p, n
        self.r, self.temp = nn.Parameter(torch.randn(n, c.hidden_size)), nn.Parameter(torch.tensor(0.3))
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(c.hidden_size, f), nn.SiLU(), nn.Linear(f, c.hidden_size)) for _ in range(n)]
        )

    def forward(self, x):
        logits = F.normalize(x, dim=-1) @ F.normalize(self.r, dim=-1).t() / self.temp.clamp(min=0.01)
        probs = logits.softmax(-1)
        s, idx = probs.sort(dim=-1, descending=True)
        keep = s.cumsum(-1) - s < self.p
        w = torch.zeros_like(probs).scatter(-1, idx, s * keep)
        w = w / w.sum(-1, keepdim=True)
        out = torch.stack([e(x) for e in self.experts], dim=-2)
        return (w[..., None] * out).sum(-2)


class NucleusForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Gau(c, i)

    def mlp(self, c, i):
        return Nucleus(c)
