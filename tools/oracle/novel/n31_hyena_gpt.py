"""Two heads (multi-token prediction), mixture of depths by a sigmoid gate without dropping, xLSTM-free gMLP tiny
attention, attention over pooled prefix mean, embedding norm, tied and scaled."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from dataclasses import dataclass
from typing import Optional, Tuple
from transformers import PreTrainedModel
from transformers.utils import ModelOutput
from .common_parts import NovelConfig, RMSNorm, SwiGLU
from .n07_hyper import Attn


@dataclass
class Out(ModelOutput):
    loss: Optional[torch.FloatTensor] = None
    logits: torch.FloatTensor = None
    mtp_logits: Optional[Tuple[torch.FloatTensor]] = None


class PrefixMean(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w, self.g = nn.Linear(d, d), nn.Linear(2 * d, d)

    def forward(self, x):
        n = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype).view(1, -1, 1)
        mean = torch.cumsum(self.w(x), 1) / n
        return mean * torch.sigmoid(self.g(torch.cat((x, mean), -1)))


class Block(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.norms = nn.ModuleDict({k: RMSNorm(d) for k in ("a", "b")})
        self.mix = Attn(c) if i % 2 else PrefixMean(d)
        self.mlp, self.router = SwiGLU(d, 64), nn.Linear(d, 1)

    def forward(self, x):
        x = x + self.mix(self.norms["a"](x))
        return x + torch.sigmoid(self.router(x)) * self.mlp(self.norms["b"](x))


class MTPForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.x = nn.Embedding(config.vocab_size, d)
        self.w1 = nn.Parameter(torch.ones(d))
        self.blocks = nn.ModuleList(Block(config, i) for i in range(4))
        self.heads = nn.ModuleList(nn.Sequential(RMSNorm(d), nn.Linear(d, config.vocab_size)) for _ in range(3))
        self.post_init()

    def forward(self, input_ids, labels=None, return_dict=True, **kw):
        h = F.layer_norm(self.x(input_ids), (self.config.hidden_size,)) * self.w1
        for b in self.blocks:
            h = b(h)
        l = tuple(x(h) for x in self.heads)
        return Out(logits=l[0], mtp_logits=l[1:])
