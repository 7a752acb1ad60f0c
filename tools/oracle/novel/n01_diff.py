"""Differential transformer (Ye et al. 2024), own attention, tuples, no cache."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import CausalLMOutput


class DiffConfig(PretrainedConfig):
    model_type = "difft"

    def __init__(self, vocab_size=97, d_model=48, n_layers=3, n_heads=3, max_seq_len=512, **kw):
        self.vocab_size, self.d_model, self.n_layers, self.n_heads, self.max_seq_len = (
            vocab_size,
            d_model,
            n_layers,
            n_heads,
            max_seq_len,
        )
        super().__init__(**kw)


def lambda_init_fn(depth):
    return 0.8 - 0.6 * math.exp(-0.3 * depth)


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-5, affine=True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d)) if affine else None

    def forward(self, x):
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return y if self.weight is None else y * self.weight


def rotate(x, cos, sin):
    x1, x2 = x[..., ::2], x[..., 1::2]
    return torch.stack([x1 * cos - x2 * sin, x1 * sin + x2 * cos], -1).flatten(-2)


class DiffAttn(nn.Module):
    def __init__(self, c, depth):
        super().__init__()
        self.h, self.hd = c.n_heads, c.d_model // c.n_heads // 2
        self.q_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.k_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.v_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.out_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.lambda_init = lambda_init_fn(depth)
        for n in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
            setattr(self, n, nn.Parameter(torch.zeros(self.hd).normal_(0, 0.1)))
        self.subln = RMSNorm(2 * self.hd)

    def forward(self, x, cos, sin, mask):
        b, t, d = x.shape
        q = self.q_proj(x).view(b, t, 2 * self.h, self.hd)
        k = self.k_proj(x).view(b, t, 2 * self.h, self.hd)
        v = self.v_proj(x).view(b, t, self.h, 2 * self.hd).transpose(1, 2)
        q, k = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2)
        w = torch.matmul(q * self.hd**-0.5, k.transpose(-1, -2))
        w = torch.nan_to_num(w)
        w = w + mask
        w = F.softmax(w, dim=-1, dtype=torch.float32).type_as(w)
        l1 = torch.exp(torch.sum(self.lambda_q1 * self.lambda_k1, dim=-1).float())
        l2 = torch.exp(torch.sum(self.lambda_q2 * self.lambda_k2, dim=-1).float())
        lam = l1 - l2 + self.lambda_init
        w = w.view(b, self.h, 2, t, t)
        w = w[:, :, 0] - lam * w[:, :, 1]
        y = torch.matmul(w, v)
        y = self.subln(y) * (1 - self.lambda_init)
        return self.out_proj(y.transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.n1, self.n2 = RMSNorm(c.d_model), RMSNorm(c.d_model)
        self.attn = DiffAttn(c, i)
        self.w1, self.w2, self.w3 = (
            nn.Linear(c.d_model, 80, bias=False),
            nn.Linear(80, c.d_model, bias=False),
            nn.Linear(c.d_model, 80, bias=False),
        )

    def forward(self, x, *a):
        x = x + self.attn(self.n1(x), *a)
        y = self.n2(x)
        return x + self.w2(F.silu(self.w1(y)) * self.w3(y))


class DiffForCausalLM(PreTrainedModel):
    config_class = DiffConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList([Block(config, i) for i in range(config.n_layers)])
        self.norm = RMSNorm(config.d_model)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, labels=None, **kw):
        b, t = input_ids.shape
        x = self.embed(input_ids)
        hd = self.config.d_model // self.config.n_heads // 2
        inv = 1.0 / (10000 ** (torch.arange(0, hd, 2, device=x.device).float() / hd))
        ang = torch.outer(torch.arange(t, device=x.device).float(), inv)
        cos, sin = ang.cos()[None, :, None], ang.sin()[None, :, None]
        mask = torch.triu(torch.zeros(t, t, device=x.device).float().fill_(float("-inf")).type_as(x), 1)
        for l in self.layers:
            x = l(x, cos, sin, mask)
        logits = self.lm_head(self.norm(x))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))
        return CausalLMOutput(loss=loss, logits=logits)
