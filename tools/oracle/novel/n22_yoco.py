"""YOCO-like: the second half of the layers attends to keys and values of the middle; learned ALiBi slopes;
parallel blocks."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm, SwiGLU


class P(nn.Module):
    def __init__(self, c, cross):
        super().__init__()
        d, self.h, self.cross = c.hidden_size, c.num_heads, cross
        self.norm, self.mlp = RMSNorm(d), SwiGLU(d, 64)
        self.q, self.o = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.kv = None if cross else nn.Linear(d, 2 * d, bias=False)
        self.slopes = nn.Parameter(torch.rand(self.h))
        self.res = nn.Parameter(torch.ones(3))

    def forward(self, x, kv):
        B, T, D = x.shape
        y = self.norm(x)
        q = self.q(y).view(B, T, self.h, -1).transpose(1, 2)
        k, v = kv if self.cross else (z.view(B, T, self.h, -1).transpose(1, 2) for z in self.kv(y).chunk(2, -1))
        p = torch.arange(T, device=x.device)
        dist = (p[None, :] - p[:, None]).float()
        bias = dist[None] * F.softplus(self.slopes)[:, None, None]
        s = q @ k.mT * (D // self.h) ** -0.5 + bias
        s = s.masked_fill(dist > 0, float("-inf"))
        y2 = (s.softmax(-1) @ v).transpose(1, 2).reshape(B, T, D)
        return self.res[0] * x + self.res[1] * self.o(y2) + self.res[2] * self.mlp(y)


class YocoForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.wte = nn.Embedding(config.vocab_size, d)
        self.self_layers = nn.ModuleList([P(config, False) for _ in range(2)])
        self.kv_norm, self.kv = RMSNorm(d), nn.Linear(d, 2 * d)
        self.cross_layers = nn.ModuleList([P(config, True) for _ in range(2)])
        self.norm, self.head = RMSNorm(d), nn.Linear(d, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, use_cache=None, **kw):
        x = self.wte(input_ids)
        B, T, D = x.shape
        for l in self.self_layers:
            x = l(x, None)
        kv = [z.view(B, T, 4, -1).transpose(1, 2) for z in self.kv(self.kv_norm(x)).chunk(2, -1)]
        for l in self.cross_layers:
            x = l(x, kv)
        return self.head(self.norm(x))
