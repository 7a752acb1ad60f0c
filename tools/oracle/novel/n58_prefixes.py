"""Learned keys and values before the text, three writings: a padded mask, an einsum with sinks, a cat of masks."""

import torch
from torch import nn
import torch.nn.functional as F
from .hf_parts import (
    FooAttention,
    FooConfig,
    FooDecoderLayer,
    FooForCausalLMBase,
    FooModel,
    apply_rotary_pos_emb,
    repeat_kv,
)


class PrefixConfig(FooConfig):
    model_type = "prefix_lm"

    def __init__(self, n_prefix=4, **kw):
        self.n_prefix = n_prefix
        kw.setdefault("num_hidden_layers", 4)
        kw.setdefault("layer_types", ["full_attention", "sliding_attention"] * 2)
        super().__init__(**kw)


class PrefixAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        n = 1 if layer_idx == 3 else config.n_prefix
        self.prefix_k, self.prefix_v = (
            nn.Parameter(torch.randn(n, config.num_key_value_heads, self.head_dim)) for _ in range(2)
        )
        self.sinks = nn.Parameter(torch.randn(config.num_attention_heads))

    def forward(self, hidden_states, position_embeddings=None, attention_mask=None, past_key_values=None, **kwargs):
        shape, n = hidden_states.shape[:-1], self.prefix_k.shape[0]
        q, k, v = (
            p(hidden_states).view(*shape, -1, self.head_dim).transpose(1, 2)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        pk, pv = (p.transpose(0, 1)[None].expand(shape[0], -1, -1, -1) for p in (self.prefix_k, self.prefix_v))
        k, v = torch.cat([pk, k], dim=2), torch.cat([pv, v], dim=2)
        if self.layer_idx == 1:
            if attention_mask is None:
                attention_mask = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()[
                    None, None
                ]
            mask = F.pad(attention_mask, (n, 0), value=0.0 if attention_mask.dtype.is_floating_point else True)
            o, _ = self.interface()(self, q, k, v, mask, scaling=self.scaling, **kwargs)
        elif self.layer_idx == 2:
            k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
            s = torch.einsum("bhid,bhjd->bhij", q, k) * self.scaling
            i, j = (
                torch.arange(s.shape[2], device=s.device)[:, None],
                torch.arange(s.shape[3], device=s.device)[None] - n,
            )
            s = s.masked_fill(j > i, torch.finfo(s.dtype).min)
            s = torch.cat([s, self.sinks.view(1, -1, 1, 1).expand(shape[0], -1, s.shape[2], 1)], -1)
            o = torch.einsum("bhij,bhjd->bihd", s.softmax(-1)[..., :-1], v)
        else:
            k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
            s = q @ k.transpose(-1, -2) * self.scaling
            mask = torch.full((s.shape[2], s.shape[2]), float("-inf"), device=s.device).triu(1)
            mask = torch.cat([torch.zeros(s.shape[2], n, device=s.device), mask], dim=1)
            o = ((s + mask).softmax(-1) @ v).transpose(1, 2)
        return self.o_proj(o.reshape(*shape, -1)), None


class PrefixLayer(FooDecoderLayer):
    attention = PrefixAttention


class PrefixModel(FooModel):
    layer_class = PrefixLayer


class PrefixForCausalLM(FooForCausalLMBase):
    config_class, model_class = PrefixConfig, PrefixModel
