"""Norms of each kind (p-norms, of a part, batch norm as trained, DyT in groups); gates by arctangent, mish, erfc;
hypotenuses as logits."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast
from .common_parts import NovelBase, PlainAttn


class PNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.p, self.weight = nn.Parameter(torch.tensor(2.5)), nn.Parameter(torch.ones(d))

    def forward(self, x):
        p = 1 + F.softplus(self.p)
        return self.weight * x / (x.abs().clamp_min(1e-6).pow(p).mean(-1, keepdim=True) + 1e-6).pow(1 / p)


class PartRms(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.n, self.scale, self.offset = d // 4, nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        rms = x[..., : self.n].norm(2, dim=-1, keepdim=True) * self.n**-0.5
        return self.scale * (x / (rms + 1e-8)) + self.offset


class GroupedDyT(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.a, self.w, self.b = (
            nn.Parameter(torch.ones(4, 1)),
            nn.Parameter(torch.ones(d)),
            nn.Parameter(torch.zeros(d)),
        )

    def forward(self, x):
        y = torch.tanh(self.a * x.unflatten(-1, (4, -1))).flatten(-2)
        return torch.addcmul(self.b, y, self.w)


class SeqBatchNorm(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class PerHead(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.g = nn.GroupNorm(6, d, eps=1e-4)

    def forward(self, x):
        b, t, d = x.shape
        return self.g(x.reshape(-1, d)).reshape(b, t, d)


class MaxNorm(nn.Module):
    def forward(self, x):
        return x / x.abs().amax(-1, keepdim=True).clamp_min(1e-5) - x.median(dim=-1, keepdim=True)[0] * 0


class Glu(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.i = c.hidden_size, i
        self.u, self.d, self.alpha = nn.Linear(d, 128), nn.Linear(64, d), nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        a, b = self.u(x).chunk(2, dim=-1)
        gate = (torch.arctan(a) + math.pi / 2) / math.pi
        gates = [
            lambda: (gate * (1 + 2 * self.alpha) - self.alpha) * a,
            lambda: F.mish(a),
            lambda: F.softshrink(a, 0.2),
            lambda: F.hardtanh(a, -1, 2),
            lambda: torch.special.erfc(-a) * a / 2,
            lambda: a * torch.erf(F.softplus(a)),
        ]
        return self.d(gates[self.i]() * b)


class NormsForCausalLM(NovelBase):
    def __init__(self, config):
        config.num_hidden_layers = 6
        super().__init__(config)
        d = config.hidden_size
        for layer, kind in zip(self.layers, (PNorm, PartRms, GroupedDyT, SeqBatchNorm, PerHead, nn.LayerNorm)):
            layer.norm1, layer.norm2 = kind(d), kind(d)
        self.mix = nn.Parameter(torch.zeros(6, d))
        self.post_init()

    def mixer(self, c, i):
        return PlainAttn(c, i)

    def mlp(self, c, i):
        return Glu(c, i)

    def forward(self, input_ids, **kw):
        x = self.embed_tokens(input_ids)
        x = x * math.sqrt(x.shape[-1]) / x.norm(p=1, dim=-1, keepdim=True)
        for layer, m in zip(self.layers, self.mix):
            x = torch.lerp(x, layer(x), torch.sigmoid(m))
        return CausalLMOutputWithPast(logits=torch.hypot(self.lm_head(self.norm(x)), torch.tensor(0.1)))
