"""Huginn-like recurrent depth: prelude, shared core looped with input injection, coda; complex rope;
torch.jit.script function; prints and asserts."""

import torch
import torch.nn as nn
from transformers import PreTrainedModel
from .common_parts import NovelConfig

try:
    from flash_attn import flash_attn_func
except ImportError:
    flash_attn_func = None


@torch.jit.script
def fused_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / 1.41421356))


def precompute(dim, end, theta=50000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
    f = torch.outer(torch.arange(end).float(), freqs)
    return torch.polar(torch.ones_like(f), f)


def apply(xq, fc):
    x = torch.view_as_complex(xq.float().reshape(*xq.shape[:-1], -1, 2))
    return torch.view_as_real(x * fc[None, :, None]).flatten(3).type_as(xq)


class Blk(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.qkv, self.proj = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.n1, self.n2, self.n3, self.n4 = (nn.RMSNorm(d, 1e-6) for _ in range(4))
        self.fc, self.fc2 = nn.Linear(d, 100, bias=False), nn.Linear(100, d, bias=False)
        self.qk_bias = nn.Parameter(torch.zeros(2, 1, self.h, d // self.h))

    def forward(self, x, fc):
        B, T, C = x.shape
        q, k, v = self.qkv(x).split(C, 2)
        q, k, v = (y.view(B, T, self.h, C // self.h) for y in (q, k, v))
        q_bias, k_bias = self.qk_bias.split(1, 0)
        q, k = (q + q_bias).to(q.dtype), (k + k_bias).to(q.dtype)
        q, k = apply(q[0][None] if q.dim() == 5 else q, fc), apply(k[0][None] if k.dim() == 5 else k, fc)
        if flash_attn_func is not None and x.is_cuda:
            y = flash_attn_func(q, k, v, causal=True)
        else:
            m = torch.full((T, T), float("-inf"), device=x.device).triu_(1)
            s = torch.einsum("bqhd,bkhd->bhqk", q, k) / (C // self.h) ** 0.5 + m[None, None]
            y = torch.einsum("bhqk,bkhd->bqhd", s.float().softmax(-1), v)
        x = self.n2(x + self.proj(y.reshape(B, T, C)))
        return self.n4(x + self.fc2(fused_gelu(self.fc(self.n3(x)))))


class RavenForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(config.vocab_size, d),
                prelude=nn.ModuleList(Blk(config) for _ in range(1)),
                adapter=nn.Linear(2 * d, d),
                core_block=nn.ModuleList(Blk(config) for _ in range(2)),
                coda=nn.ModuleList(Blk(config) for _ in range(1)),
                ln_f=nn.RMSNorm(d, 1e-6),
            )
        )
        self.lm_head = nn.Linear(d, config.vocab_size, bias=False)
        self.emb_scale = d**0.5
        self.post_init()

    def forward(self, input_ids, num_steps=4, **kw):
        T = input_ids.shape[1]
        if T > self.config.max_position_embeddings:
            raise ValueError(f"too long: {T}")
        assert input_ids.dtype == torch.long
        fc = precompute(self.config.hidden_size // self.config.num_heads, T).to(input_ids.device)
        x = self.transformer.wte(input_ids) * self.emb_scale
        for b in self.transformer.prelude:
            x = b(x, fc)
        state = torch.zeros_like(x)
        for _ in range(num_steps):
            state = self.transformer.adapter(torch.cat([state, x], dim=-1))
            for b in self.transformer.core_block:
                state = b(state, fc)
        for b in self.transformer.coda:
            state = b(state, fc)
        return {"loss": None, "logits": self.lm_head(self.transformer.ln_f(state)).float()}
