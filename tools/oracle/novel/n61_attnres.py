"""Attention residuals (softmax over what earlier layers gave, by a learned query), nGPT-like unit vectors, softcapped
scores, mixture of recursions: a shared block twice with a gate."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast


class ArConfig(PretrainedConfig):
    model_type = "attn_res"

    def __init__(self, vocab_size=97, hidden_size=48, num_hidden_layers=4, num_heads=4, window=9, **kw):
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_heads, self.window = num_heads, window
        super().__init__(**kw)


def unit(x):
    return F.normalize(x, dim=-1)


class ArAttention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.h, self.window = c.num_heads, c.window if i % 2 else None
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.sqk = nn.Parameter(torch.ones(self.h, d // self.h))
        self.register_buffer("freq", 10000.0 ** (-torch.arange(0, d // self.h, 2) / (d // self.h)), persistent=False)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (w(x).view(b, t, self.h, -1) for w in (self.wq, self.wk, self.wv))
        ang = torch.outer(torch.arange(t, device=x.device, dtype=torch.float32), self.freq)
        cos, sin = ang.cos()[None, :, None], ang.sin()[None, :, None]

        def turn(y):
            y0, y1 = y[..., 0::2], y[..., 1::2]
            return torch.stack([y0 * cos - y1 * sin, y0 * sin + y1 * cos], -1).flatten(-2)

        q, k = unit(turn(q)) * self.sqk, unit(turn(k)) * self.sqk
        s = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** 0.5
        s = 20 * torch.tanh(s / 20)
        i = torch.arange(t, device=x.device)
        dist = i[:, None] - i[None]
        ok = dist >= 0
        if self.window is not None:
            ok = ok & (dist < self.window)
        s = torch.where(ok, s, torch.finfo(s.dtype).min)
        return self.wo(torch.einsum("bhqk,bkhd->bqhd", s.softmax(-1), v).reshape(b, t, d))


class ArBlock(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.attn, self.wu, self.wd = ArAttention(c, i), nn.Linear(d, 128, bias=False), nn.Linear(64, d, bias=False)
        self.alpha = nn.Parameter(torch.full((2, d), 0.3))
        self.query = nn.Parameter(torch.randn(d))

    def forward(self, past):
        stack = torch.stack(past, dim=2)
        w = (F.rms_norm(stack, (stack.shape[-1],)) @ self.query).softmax(-1)
        x = unit((stack * w[..., None]).sum(2))
        x = unit(x + self.alpha[0] * (unit(self.attn(x)) - x))
        u, g = self.wu(x).chunk(2, -1)
        return unit(x + self.alpha[1] * (unit(self.wd(u * F.silu(g))) - x))


class ArForCausalLM(PreTrainedModel):
    config_class = ArConfig

    def __init__(self, config):
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList([ArBlock(config, i) for i in range(config.num_hidden_layers)])
        self.again = nn.Linear(config.hidden_size, 1)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.sz = nn.Parameter(torch.ones(config.vocab_size))
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **kw):
        past = [unit(self.wte(input_ids))]
        for n, block in enumerate(self.blocks):
            y = block(past)
            if n == 2:
                y = y + torch.sigmoid(self.again(y)) * block(past + [y])
            past.append(y)
        return CausalLMOutputWithPast(logits=self.lm_head(past[-1]) * self.sz * 4)
