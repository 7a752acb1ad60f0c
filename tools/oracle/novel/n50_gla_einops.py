"""Gated linear attention, chunkwise as in papers' listings with einops; sandwich norms and a shared embedding head."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from .common_parts import NovelBase, RMSNorm

CHUNK = 8


def gla_chunk(q, k, v, log_f):
    b, h, t, d = q.shape
    n = -(-t // CHUNK)
    q, k, v, log_f = (
        rearrange(F.pad(x, (0, 0, 0, n * CHUNK - t)), "b h (n c) d -> b h n c d", c=CHUNK) for x in (q, k, v, log_f)
    )
    cum = log_f.cumsum(3)
    total = cum[:, :, :, -1]
    k_left = k * (total.unsqueeze(3) - cum).exp()
    kv = torch.einsum("bhncd,bhnce->bhnde", k_left, v)
    states, s = [], torch.zeros_like(kv[:, :, 0])
    for i in range(n):
        states.append(s)
        s = s * total[:, :, i, :, None].exp() + kv[:, :, i]
    states = torch.stack(states, 2)
    inter = torch.einsum("bhncd,bhnde->bhnce", q * cum.exp(), states)
    intra = torch.einsum("bhncd,bhnsd->bhncs", q * cum.exp(), k * (-cum).exp())
    intra = intra.masked_fill(torch.triu(torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device), 1), 0)
    return rearrange(inter + intra @ v, "b h n c d -> b h (n c) d")[:, :, :t]


class Gla(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkvg, self.o = nn.Linear(d, 4 * d, bias=False), nn.Linear(d, d, bias=False)
        self.f1, self.f2 = nn.Linear(d, 8, bias=False), nn.Linear(8, d)
        self.norm, self.out_norm = RMSNorm(d // self.h), RMSNorm(d)

    def forward(self, x):
        q, k, v, g = rearrange(self.qkvg(x), "b t (s h d) -> s b h t d", s=4, h=self.h)
        f = rearrange(F.logsigmoid(self.f2(self.f1(x))) / 8, "b t (h d) -> b h t d", h=self.h)
        y = self.norm(gla_chunk(q * q.shape[-1] ** -0.5, k, v, f)) * F.silu(g)
        return self.out_norm(self.o(rearrange(y, "b h t d -> b t (h d)")))


class GlaForCausalLM(NovelBase):
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}

    def __init__(self, config):
        config.tie_word_embeddings = True
        super().__init__(config)

    def mixer(self, c, i):
        return Gla(c, i)
