"""Mixture of block attention: each query sees the blocks whose mean key scores most, and its own."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import (
    FooAttention,
    FooConfig,
    FooDecoderLayer,
    FooForCausalLMBase,
    FooModel,
    apply_rotary_pos_emb,
    repeat_kv,
)


class MobaConfig(FooConfig):
    model_type = "moba_lm"

    def __init__(self, moba_block_size=4, moba_topk=3, **kw):
        self.moba_block_size, self.moba_topk = moba_block_size, moba_topk
        super().__init__(**kw)


class MobaAttention(FooAttention):
    def forward(self, hidden_states, position_embeddings, attention_mask=None, **kwargs):
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
        b, h, t, d = q.shape
        size = self.config.moba_block_size
        n = (t + size - 1) // size
        padded = F.pad(k, (0, 0, 0, n * size - t))
        means = padded.view(b, h, n, size, d).mean(dim=3)
        gate = torch.einsum("bhtd,bhnd->bhtn", q, means)
        block = torch.arange(t, device=q.device) // size
        blocks = torch.arange(n, device=q.device)
        gate = gate.masked_fill(blocks[None, :] > block[:, None], float("-inf"))
        gate = gate.masked_fill(blocks[None, :] == block[:, None], float("inf"))
        _, top = gate.topk(min(self.config.moba_topk, n), dim=-1)
        chosen = torch.zeros_like(gate, dtype=torch.bool).scatter_(-1, top, True)
        seen = chosen.repeat_interleave(size, dim=-1)[..., :t]
        seen = seen & torch.ones(t, t, dtype=torch.bool, device=q.device).tril()
        scores = (q @ k.transpose(-1, -2) * self.scaling).masked_fill(~seen, float("-inf"))
        o = scores.softmax(-1) @ v
        return self.o_proj(o.transpose(1, 2).reshape(*hidden_states.shape[:-1], -1)), None


class MobaLayer(FooDecoderLayer):
    attention = MobaAttention


class MobaModel(FooModel):
    layer_class = MobaLayer


class MobaForCausalLM(FooForCausalLMBase):
    config_class, model_class = MobaConfig, MobaModel
