"""n-gram hash embeddings by roll (over-encoding), token shift, per-layer embeddings, value embeds."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelConfig, SwiGLU
from transformers import PreTrainedModel


class Attn(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.q, self.kv, self.o = nn.Linear(d, d), nn.Linear(d, 2 * (d // self.h)), nn.Linear(d, d)
        self.temp = nn.Parameter(torch.zeros(self.h, 1, 1))

    def forward(self, x):
        B, T, D = x.shape
        q = self.q(x).view(B, T, self.h, -1).transpose(1, 2)
        k, v = self.kv(x)[:, None].chunk(2, -1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        s = (q @ k.mT) * torch.exp(self.temp + 2.0)
        s = s.masked_fill(torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1), torch.finfo(s.dtype).min)
        return self.o((s.softmax(-1) @ v).transpose(1, 2).reshape(B, T, D))


class L(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.hidden_size
        self.n1, self.n2, self.a, self.m = (
            nn.LayerNorm(d, bias=False),
            nn.LayerNorm(d, bias=False),
            Attn(c),
            SwiGLU(d, 64),
        )
        self.mix = nn.Parameter(torch.rand(d))

    def forward(self, x):
        y = self.n1(x)
        prev = F.pad(y, (0, 0, 1, -1))
        x = x + self.a(torch.lerp(y, prev, self.mix))
        return x + self.m(self.n2(x))


class NgramForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.tok = nn.Embedding(config.vocab_size, d)
        self.bi, self.tri = nn.Embedding(509, d), nn.Embedding(1021, d)
        self.per_layer = nn.Embedding(config.vocab_size, 3 * d)
        self.layers = nn.ModuleList([L(config) for _ in range(3)])
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids):
        prev = torch.roll(input_ids, 1, dims=1)
        prev[:, 0] = 0
        prev2 = torch.roll(prev, 1, dims=1)
        prev2[:, 0] = 0
        bi = (input_ids + prev * 97) % 509
        tri = (input_ids + prev * 97 + prev2 * 97 * 97) % 1021
        x = self.tok(input_ids) + self.bi(bi) + self.tri(tri)
        pl = self.per_layer(input_ids).unflatten(-1, (3, -1)).unbind(-2)
        for l, p in zip(self.layers, pl):
            x = l(x) + p * x.sigmoid()
        return self.head(self.norm(x))
