"""MLA of one's own: latent kv, decoupled rope in two score terms, own cache class kept as list of tensors,
optional position_ids."""

import torch
import torch.nn as nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from .common_parts import NovelConfig, RMSNorm, SwiGLU

STEPWISE = True


class LatentCache:
    def __init__(self):
        self.c, self.r = {}, {}

    def update(self, i, c, r):
        self.c[i] = c if i not in self.c else torch.cat([self.c[i], c], 1)
        self.r[i] = r if i not in self.r else torch.cat([self.r[i], r], 1)
        return self.c[i], self.r[i]

    def __len__(self):
        return self.c[0].shape[1] if self.c else 0


class MLA(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.nope, self.rope, self.lat, self.vd, self.i = c.hidden_size, c.num_heads, 12, 8, 20, 10, i
        self.dq, self.qn, self.uq = (
            nn.Linear(d, 24, bias=False),
            RMSNorm(24),
            nn.Linear(24, self.h * (self.nope + self.rope), bias=False),
        )
        self.dkv, self.kvn = nn.Linear(d, self.lat + self.rope, bias=False), RMSNorm(self.lat)
        self.uk, self.uv = nn.Parameter(torch.randn(self.h, self.nope, self.lat) * 0.1), nn.Parameter(
            torch.randn(self.h, self.lat, self.vd) * 0.1
        )
        self.o = nn.Linear(self.h * self.vd, d, bias=False)

    def forward(self, x, pos, cache):
        B, T, _ = x.shape
        f = pos[..., None].float() / (1e4 ** (torch.arange(0, self.rope, 2, device=x.device) / self.rope))
        cos, sin = f.cos(), f.sin()
        rot = lambda y, c, s: torch.cat([y[..., ::2] * c - y[..., 1::2] * s, y[..., 1::2] * c + y[..., ::2] * s], -1)
        q = self.uq(self.qn(self.dq(x))).view(B, T, self.h, -1)
        qn, qr = q.split([self.nope, self.rope], -1)
        qr = rot(qr, cos[:, :, None], sin[:, :, None])
        c, r = self.dkv(x).split([self.lat, self.rope], -1)
        c, r = self.kvn(c), rot(r, cos, sin)
        if cache is not None:
            c, r = cache.update(self.i, c, r)
        absorbed = torch.einsum("bthn,hnl->bthl", qn, self.uk)
        s = (torch.einsum("bthl,bsl->bths", absorbed, c) + torch.einsum("bthr,bsr->bths", qr, r)) * (
            self.nope + self.rope
        ) ** -0.5
        S = c.shape[1]
        mask = torch.full((T, S), float("-inf"), device=x.device).triu(S - T + 1)
        s = s + mask.unsqueeze(1)
        p = s.softmax(dim=-1, dtype=torch.float32).type_as(x)
        y = torch.einsum("bths,bsl->bthl", p, c)
        return self.o(torch.einsum("bthl,hlv->bthv", y, self.uv).flatten(2))


class MLAForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.emb = nn.Embedding(config.vocab_size, d)
        self.attn = nn.ModuleList([MLA(config, i) for i in range(3)])
        self.mlp = nn.ModuleList([SwiGLU(d, 80) for _ in range(3)])
        self.n1, self.n2 = nn.ModuleList([RMSNorm(d) for _ in range(3)]), nn.ModuleList([RMSNorm(d) for _ in range(3)])
        self.norm, self.head = RMSNorm(d), nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, past_key_values=None, use_cache=False, position_ids=None, **kw):
        if use_cache and past_key_values is None:
            past_key_values = LatentCache()
        start = len(past_key_values) if past_key_values is not None else 0
        if position_ids is None:
            position_ids = torch.arange(start, start + input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        h = self.emb(input_ids)
        for a, m, n1, n2 in zip(self.attn, self.mlp, self.n1, self.n2):
            h = h + a(n1(h), position_ids, past_key_values)
            h = h + m(n2(h))
        return CausalLMOutputWithPast(logits=self.head(self.norm(h)), past_key_values=past_key_values)
