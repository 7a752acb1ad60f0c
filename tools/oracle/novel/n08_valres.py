"""nanoGPT speedrun style: value residual, x0 mix, U-net skips, relu^2, half rope, QK norm by F.rms_norm,
softcapped logits."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


class Rotary(nn.Module):
    def __init__(self, dim, max_len):
        super().__init__()
        self.dim, self.max_len = dim, max_len
        self.cos, self.sin = nn.Buffer(torch.empty(0), persistent=False), nn.Buffer(torch.empty(0), persistent=False)
        self.reset()

    def reset(self):
        dim, max_len = self.dim, self.max_len
        freq = torch.exp(-6.93147 * torch.linspace(0, 1, steps=dim // 4, dtype=torch.float32))
        freq = torch.cat([freq, freq.new_zeros(dim // 4)])
        theta = torch.arange(max_len, dtype=torch.float32, device=freq.device)[:, None] * freq[None]
        self.cos = theta.cos()
        self.sin = theta.sin()

    def forward(self, x):
        assert self.cos.size(0) >= x.size(-3)
        cos, sin = self.cos[None, : x.size(-3), None, :], self.sin[None, : x.size(-3), None, :]
        x1, x2 = x.to(dtype=torch.float32).chunk(2, dim=-1)
        return torch.cat((x1 * cos + x2 * sin, x1 * (-sin) + x2 * cos), 3).type_as(x)


class Attn(nn.Module):
    def __init__(self, d, h, n):
        super().__init__()
        self.h, self.hd = h, d // h
        self.qkv_w = nn.Parameter(torch.empty(3, d, d).uniform_(-0.1, 0.1))
        self.lambdas = nn.Parameter(torch.tensor([0.5, 0.5]))
        self.rotary = Rotary(self.hd, n)
        self.c_proj = nn.Linear(d, d, bias=False)

    def forward(self, x, ve):
        B, T = x.size(0), x.size(1)
        q, k, v = F.linear(x, self.qkv_w.flatten(end_dim=1).type_as(x)).view(B, T, 3 * self.h, self.hd).chunk(3, dim=-2)
        q, k = self.rotary(norm(q)), self.rotary(norm(k))
        v = self.lambdas[0] * v if ve is None else self.lambdas[0] * v + self.lambdas[1] * ve.view_as(v)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True, scale=0.12
        )
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, self.h * self.hd))


class Block(nn.Module):
    def __init__(self, d, h, n, i):
        super().__init__()
        self.attn = Attn(d, h, n) if i != 2 else None
        self.fc, self.pr = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)
        self.lambdas = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, x, ve, x0):
        x = self.lambdas[0] * x + self.lambdas[1] * x0
        if self.attn is not None:
            x = x + self.attn(norm(x), ve)
        return x + self.pr(F.relu(self.fc(norm(x))).square())


class ModdedLMHeadModel(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d, V = config.hidden_size, config.vocab_size
        self.embed = nn.Embedding(V, d)
        self.value_embeds = nn.ModuleList([nn.Embedding(V, d) for _ in range(2)])
        self.blocks = nn.ModuleList([Block(d, 4, 256, i) for i in range(6)])
        self.skip_weights = nn.Parameter(torch.ones(3))
        self.lm_head = nn.Linear(d, V, bias=False)
        self.post_init()

    def _init_weights(self, m):
        if isinstance(m, Rotary):
            m.reset()

    def forward(self, input_ids, **kw):
        ve = [e(input_ids) for e in self.value_embeds]
        ve = [ve[0], ve[1], None, None, ve[0], ve[1]]
        x = x0 = norm(self.embed(input_ids))
        skips = []
        for i, b in enumerate(self.blocks):
            if i >= 3:
                x = x + self.skip_weights[i - 3] * skips.pop()
            x = b(x, ve[i], x0)
            if i < 3:
                skips.append(x)
        logits = self.lm_head(norm(x)).float()
        return {"logits": 30 * torch.sigmoid(logits / (7.5 * x.size(-1) ** 0.5))}
