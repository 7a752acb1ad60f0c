"""A core that runs three times with low-rank weights of its own each time, which begins with zeros and the input beside
them; hashes that begin with zeros; buckets of distances added to the mask; arctangents as gates, a batch norm."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast
from .common_parts import NovelBase


class Bucketed(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, self.d = c.num_heads, c.hidden_size // c.num_heads
        self.qkv, self.o = nn.Linear(c.hidden_size, 3 * c.hidden_size), nn.Linear(c.hidden_size, c.hidden_size)
        self.a, self.b = nn.Parameter(torch.zeros(3, 4, c.hidden_size)), nn.Parameter(torch.zeros(3, c.hidden_size, 4))
        self.buckets, self.step = nn.Embedding(16, self.h), 0

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (z.view(b, t, self.h, self.d).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
        places = torch.arange(t)
        far = (places[:, None] - places[None]).clamp(min=0)
        large = 8 + (torch.log(far.clamp(min=1) / 8) / math.log(8) * 8).long()
        bias = self.buckets(torch.where(far < 8, far, large.clamp(max=15))).permute(2, 0, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias + torch.full((t, t), -1e9).triu(1))
        y = self.o(y.transpose(1, 2).reshape(b, t, -1))
        return y + F.linear(F.linear(y, self.a[self.step]), self.b[self.step])


class Arctangent(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(c.hidden_size, 64), nn.Linear(64, c.hidden_size), nn.BatchNorm1d(64)
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        up = self.up(x)
        gate = (torch.arctan(up) + math.pi / 2) / math.pi * (1 + 2 * self.alpha) - self.alpha
        return self.down(self.norm((up * gate).transpose(1, 2)).transpose(1, 2))


class LoopedForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers = 2
        super().__init__(config)
        d = config.hidden_size
        self.adapter, self.begin = nn.Linear(2 * d, d), nn.Parameter(torch.zeros(3, d))
        self.triples = nn.Embedding(127, d)
        self.post_init()

    def mixer(self, c, i):
        return Bucketed(c, i)

    def mlp(self, c, i):
        return Arctangent(c)

    def forward(self, input_ids, **kw):
        hashed = torch.zeros_like(input_ids)
        for n, by in enumerate((31, 1009, 77773)):
            hashed = torch.bitwise_xor(hashed, F.pad(input_ids, (n, 0))[:, :input_ids.shape[1]] * by)
        given = self.embed_tokens(input_ids) + self.triples(hashed % 127)
        x = torch.zeros_like(given)
        for step in range(3):
            x = self.adapter(torch.cat([x + self.begin[step], given], dim=-1))
            for layer in self.layers:
                layer.mixer.step = step
                x = layer(x)
        return CausalLMOutputWithPast(logits=self.lm_head(self.norm(x)))
