"""Rotations in other writings: complex numbers of a buffer, on a part of the head; pairs of neighbours stacked; by
two axes; none in every third layer, whose queries are scaled by position; logits divided by a multiplier."""

import torch
from torch import nn
from .hf_parts import FooAttention, FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel


class TurnsConfig(FooConfig):
    model_type = "turns_lm"

    def __init__(self, partial=0.5, logits_scaling=4.0, embedding_multiplier=3.0, **kw):
        self.partial, self.logits_scaling, self.embedding_multiplier = partial, logits_scaling, embedding_multiplier
        super().__init__(num_hidden_layers=4, **kw) if "num_hidden_layers" not in kw else super().__init__(**kw)


def complex_rope(x, freqs_cis):
    x_ = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(x_ * freqs_cis[:, None]).flatten(-2).type_as(x)


def rotate_every_two(x):
    x1, x2 = x[..., ::2], x[..., 1::2]
    return torch.stack((-x2, x1), dim=-1).flatten(-2)


def pairs_rope(x, angles):
    cos, sin = angles.cos().repeat_interleave(2, dim=-1)[:, None], angles.sin().repeat_interleave(2, dim=-1)[:, None]
    return x * cos + rotate_every_two(x) * sin


def unbound_rope(x, angles):
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)


class TurnsAttention(FooAttention):
    def forward(self, hidden_states, position_embeddings=None, attention_mask=None, position_ids=None, **kwargs):
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        freqs_cis, angles = position_embeddings
        n = int(self.head_dim * self.config.partial)
        turn = [
            lambda x: torch.cat([complex_rope(x[..., :n], freqs_cis), x[..., n:]], -1),
            lambda x: torch.cat([x[..., n:], pairs_rope(x[..., :n], angles)], -1),
            lambda x: torch.cat([unbound_rope(x[..., :n], angles), unbound_rope(x[..., n:], angles * 0.25)], -1),
            None,
        ][self.layer_idx % 4]
        if turn is not None:
            q, k = turn(q), turn(k)
        else:
            q = q * (torch.log(torch.floor((position_ids.float() + 1) / 8) + 1) * 0.1 + 1)[:, None, :, None]
        o, w = self.interface()(self, q, k, v, attention_mask, dropout=0.0, scaling=self.scaling)
        return self.o_proj(o.reshape(*hidden_states.shape[:-1], -1)), w


class TurnsLayer(FooDecoderLayer):
    attention = TurnsAttention


class TurnsRotary(nn.Module):
    def __init__(self, config):
        super().__init__()
        n = int(config.head_dim * config.partial)
        self.register_buffer(
            "inv_freq", 1.0 / config.rope_theta ** (torch.arange(0, n, 2).float() / n), persistent=False
        )

    def forward(self, x, position_ids):
        freqs = (self.inv_freq[None, :, None] @ position_ids[:, None, :].float()).transpose(1, 2)
        return torch.polar(torch.ones_like(freqs), freqs), freqs


def turns_init(config, m):
    if isinstance(m, TurnsRotary):
        n = int(config.head_dim * config.partial)
        m.inv_freq.copy_(1.0 / config.rope_theta ** (torch.arange(0, n, 2).float() / n))


class TurnsModel(FooModel):
    config_class = TurnsConfig
    layer_class = TurnsLayer

    def __init__(self, config):
        super().__init__(config)
        self.rotary_emb = TurnsRotary(config)

    def _init_weights(self, m):
        super()._init_weights(m)
        turns_init(self.config, m)

    def run(self, hidden_states, *args, **kwargs):
        return super().run(hidden_states * self.config.embedding_multiplier, *args, **kwargs)


class TurnsForCausalLM(FooForCausalLMBase):
    config_class, model_class = TurnsConfig, TurnsModel

    def _init_weights(self, m):
        super()._init_weights(m)
        turns_init(self.config, m)

    def head(self, x):
        return self.lm_head(x) / self.config.logits_scaling
