"""Mixture of heads: a router picks head outputs beside shared heads; scalable softmax by log of position."""

import torch
from torch import nn
from .hf_parts import FooAttention, FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel, apply_rotary_pos_emb


class MohConfig(FooConfig):
    model_type = "moh"

    def __init__(self, num_attention_heads=8, num_key_value_heads=4, shared_heads=2, routed_topk=3, head_dim=8, **kw):
        self.shared_heads, self.routed_topk = shared_heads, routed_topk
        super().__init__(
            num_attention_heads=num_attention_heads, num_key_value_heads=num_key_value_heads, head_dim=head_dim, **kw
        )


class MohAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.s, self.n = config.shared_heads, config.num_attention_heads
        self.wg = nn.Linear(config.hidden_size, self.n - self.s, bias=False)
        self.wg_shared, self.wg_mix = nn.Linear(config.hidden_size, self.s, bias=False), nn.Linear(
            config.hidden_size, 2, bias=False
        )
        self.scale_by_length = nn.Parameter(torch.ones(self.n))

    def forward(self, hidden_states, position_embeddings, attention_mask=None, position_ids=None, **kwargs):
        b, t, _ = hidden_states.shape
        shape = (b, t, -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        length = torch.log(position_ids[:, None, :, None].to(q.dtype) + 2.0)
        q = q * (self.scale_by_length.view(1, -1, 1, 1) * length)
        o, w = self.interface()(self, q, k, v, attention_mask, dropout=0.0, scaling=self.scaling, **kwargs)
        logits = self.wg(hidden_states)
        gates = nn.functional.softmax(logits, dim=-1)
        _, indices = torch.topk(gates, k=self.config.routed_topk, dim=-1)
        mask = nn.functional.one_hot(indices, num_classes=self.n - self.s).sum(dim=-2)
        routed = gates * mask
        routed = routed / torch.clamp(routed.sum(dim=-1, keepdim=True), min=torch.finfo(routed.dtype).eps)
        mix = self.wg_mix(hidden_states).softmax(-1) * 2
        shared = self.wg_shared(hidden_states).softmax(-1) * self.s * mix[..., :1]
        routed = routed * self.config.routed_topk * mix[..., 1:]
        o = o.reshape(b, t, self.n, -1) * torch.cat([shared, routed], dim=-1).unsqueeze(-1)
        return self.o_proj(o.reshape(b, t, -1)), w


class MohLayer(FooDecoderLayer):
    attention = MohAttention


class MohModel(FooModel):
    layer_class = MohLayer


class MohForCausalLM(FooForCausalLMBase):
    config_class, model_class = MohConfig, MohModel
