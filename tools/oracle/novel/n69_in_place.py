"""Rows and tokens written in place (smeared embeddings, hashes of earlier tokens), a list of heads of several sizes
with a window masked after the future, a bias of forget gates given to torch's attention beside linear attention, a
product of two heads by logaddexp."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast
from .common_parts import NovelBase


class Head(nn.Module):
    def __init__(self, d, size, window):
        super().__init__()
        self.key, self.query, self.value = (nn.Linear(d, size, bias=False) for _ in range(3))
        self.window = window
        self.register_buffer("tril", None, persistent=False)

    def forward(self, x):
        T = x.shape[1]
        if self.tril is None or self.tril.size(0) < T:
            self.tril = torch.tril(torch.ones(T, T, dtype=torch.bool, device=x.device))
        k, q, v = self.key(x), self.query(x), self.value(x)
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        if self.window:
            i = torch.arange(T)
            wei = wei.masked_fill((i.view(-1, 1) - i.view(1, -1)).ge(self.window), float("-inf"))
        return F.softmax(wei, dim=-1) @ v


class Heads(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.heads = nn.ModuleList([Head(d, 8 * (j + 1), 6 if j == 1 else 0) for j in range(3)])
        self.proj = nn.Linear(48, d)

    def forward(self, x):
        return self.proj(torch.cat([h(x) for h in self.heads], dim=-1))


class Beside(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h = h
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.f, self.alpha = nn.Linear(d, h), nn.Parameter(torch.zeros(h, 1, 1))
        self.phi = nn.Parameter(torch.randn(h, d // h, 8) * 0.3)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (w(x).view(B, T, self.h, -1).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        lf = -F.softplus(-self.f(x)).cumsum(1).transpose(1, 2)
        mask = torch.triu(torch.full((T, T), float("-inf")), diagonal=1)
        bias = lf.unsqueeze(-1) - lf.unsqueeze(-2) + mask
        soft = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        fq, fk = (torch.softmax(torch.einsum("bhtd,hdf->bhtf", z, self.phi), -1) for z in (q, k))
        a = torch.einsum("bhtf,bhsf->bhts", fq, fk).tril()
        lin = torch.einsum("bhts,bhsd->bhtd", a / a.sum(-1, keepdim=True).clamp_min(1e-4), v)
        y = soft.lerp(lin, torch.sigmoid(self.alpha))
        return self.wo(y.transpose(1, 2).reshape(B, T, D))


class InPlaceForCausalLM(NovelBase):
    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.tables = nn.ModuleList([nn.Embedding(m, d) for m in (101, 103)])
        self.key, self.val, self.head2 = nn.Linear(2 * d, d), nn.Linear(2 * d, d), nn.Linear(d, config.vocab_size)
        self.smear = nn.Parameter(torch.tensor(0.2))
        self.post_init()

    def mixer(self, c, i):
        return Beside(c.hidden_size, c.num_heads) if i == 1 else Heads(c.hidden_size)

    def hashes(self, ids):
        prev = torch.zeros_like(ids)
        prev[:, 1:] = ids[:, :-1]
        prev2 = torch.full_like(ids, 0)
        prev2[:, 2:] = ids[:, :-2]
        return [(ids * 31 + prev * 17) % 101, (ids * 31 + prev * 17 + prev2 * 7919) % 103]

    def forward(self, input_ids, **kw):
        x = self.embed_tokens(input_ids)
        y = x.clone()
        y[:, 1:] += self.smear * x[:, :-1]
        x, mem = y, torch.cat([t(h) for t, h in zip(self.tables, self.hashes(input_ids))], -1)
        for i, layer in enumerate(self.layers):
            if i != 1:
                g = (x * self.key(mem)).sum(-1, keepdim=True) / math.sqrt(x.shape[-1])
                x = x + torch.sigmoid(g.abs().clamp_min(1e-6).sqrt() * g.sign()) * self.val(mem)
            x = layer(x)
        x = self.norm(x)
        both = torch.logaddexp(self.lm_head(x).log_softmax(-1), self.head2(x).log_softmax(-1))
        return CausalLMOutputWithPast(logits=both - math.log(2))
