"""nn.MultiheadAttention modules, post norm, sinusoidal positions computed in forward, weight_norm MLP, spectral
out."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm
from .common_parts import NovelConfig
from transformers import PreTrainedModel


class B(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.attn = nn.MultiheadAttention(d, h, batch_first=True, bias=True, kdim=d, vdim=d)
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.fc1, self.fc2 = weight_norm(nn.Linear(d, 2 * d)), weight_norm(nn.Linear(2 * d, d))
        self.gamma = nn.Parameter(torch.full((d,), 0.3))

    def forward(self, x, mask):
        a, _ = self.attn(x, x, x, attn_mask=mask, need_weights=False)
        x = self.ln1(x + self.gamma * a)
        return self.ln2(x + self.fc2(F.hardswish(self.fc1(x))))


class MHAForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.tok = nn.Embedding(config.vocab_size, d)
        self.blocks = nn.Sequential(*[B(d, 4) for _ in range(3)])
        self.out = nn.Linear(d, config.vocab_size)
        self.post_init()

    def positions(self, n, d, dev):
        pos = torch.arange(n, device=dev).unsqueeze(1)
        div = torch.exp(torch.arange(0, d, 2, device=dev) * (-math.log(10000.0) / d))
        pe = torch.zeros(n, d, device=dev)
        pe[:, 0::2] = torch.sin(pos * div)
        pe[:, 1::2] = torch.cos(pos * div)
        return pe

    def forward(self, input_ids, attention_mask=None):
        b, t = input_ids.size()
        x = self.tok(input_ids) * math.sqrt(self.config.hidden_size) + self.positions(
            t, self.config.hidden_size, input_ids.device
        )
        mask = torch.triu(torch.ones(t, t, device=x.device, dtype=torch.bool), diagonal=1)
        for bl in self.blocks:
            x = bl(x, mask)
        return {"logits": self.out(x)}
