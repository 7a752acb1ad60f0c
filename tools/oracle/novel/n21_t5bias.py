"""Own T5-like relative bias (shared), sandwich norms, GeGLU, ReZero, logits scaled (muP), tied head."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm


class RelBias(nn.Module):
    def __init__(self, h, n=16, far=64):
        super().__init__()
        self.emb, self.n, self.far = nn.Embedding(n, h), n, far

    def forward(self, T, dev):
        p = torch.arange(T, device=dev)
        d = (p[:, None] - p[None, :]).clamp(min=0)
        exact = self.n // 2
        big = exact + (torch.log(d.float().clamp(min=1) / exact) / math.log(self.far / exact) * (self.n - exact)).long()
        b = torch.where(d < exact, d, big.clamp(max=self.n - 1))
        return self.emb(b).permute(2, 0, 1).unsqueeze(0)


class L(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.n = nn.ModuleList([RMSNorm(d) for _ in range(4)])
        self.wi, self.wo = nn.Linear(d, 2 * 72, bias=False), nn.Linear(72, d, bias=False)
        self.alpha = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, x, bias):
        B, T, D = x.shape
        y = self.n[0](x)
        q, k, v = (p(y).view(B, T, self.h, -1).transpose(1, 2) for p in (self.q, self.k, self.v))
        s = q @ k.mT + bias + torch.triu(torch.full((T, T), -1e9, device=x.device), 1)
        y = (torch.softmax(s, -1) @ v).transpose(1, 2).reshape(B, T, D)
        x = x + self.alpha[0] * self.n[1](self.o(y))
        a, b = self.wi(self.n[2](x)).chunk(2, -1)
        return x + self.alpha[1] * self.n[3](self.wo(F.gelu(a) * b))


class T5LikeForCausalLM(PreTrainedModel):
    config_class = NovelConfig
    _tied_weights_keys = {"lm_head.weight": "embed.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.bias = RelBias(config.num_heads)
        self.layers = nn.ModuleList([L(config) for _ in range(3)])
        self.norm = RMSNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids=None, attention_mask=None, **kw):
        x = self.embed(input_ids)
        b = self.bias(input_ids.shape[1], input_ids.device)
        for l in self.layers:
            x = l(x, b)
        return {"logits": self.lm_head(self.norm(x) * self.config.hidden_size**-0.5)}
