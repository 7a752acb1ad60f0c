"""n-gram embeddings: xor of primes, cat-shifted and padded ids, roll of hidden rows zeroed at the start (token
shift)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm, SwiGLU
from .n07_hyper import Attn


class HashForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.tok, self.prev = nn.Embedding(config.vocab_size, d), nn.Embedding(config.vocab_size, d)
        self.table = nn.Embedding(211 + 307, d)
        self.attn, self.mlp = nn.ModuleList([Attn(config) for _ in range(2)]), nn.ModuleList(
            [SwiGLU(2 * d, 64) for _ in range(2)]
        )
        self.down = nn.ModuleList([nn.Linear(2 * d, d) for _ in range(2)])
        self.norm, self.head = RMSNorm(d), nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kw):
        B, T = input_ids.shape
        p1 = F.pad(input_ids, (1, 0), value=1)[:, :T]
        p2 = torch.cat([torch.ones_like(input_ids[:, :2]), input_ids[:, :-2]], dim=1)
        h2 = ((input_ids * 1000003) ^ (p1 * 998244353)) % 211
        h3 = (input_ids * 7919 + p1 * 104729 + p2 * 1299709 + 5) % 307 + 211
        x = self.tok(input_ids) + self.prev(p1) + self.table(h2) * 0.5 + self.table(h3)
        for a, m, w in zip(self.attn, self.mlp, self.down):
            x = x + a(x)
            y = torch.roll(x, shifts=1, dims=1)
            y[:, 0] = 0
            x = x + w(m(torch.cat([x, y], -1)))
        return {"logits": self.head(self.norm(x))}
