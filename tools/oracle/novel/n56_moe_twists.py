"""Routers with a twist in each layer: residual of the router before, hashed tokens beside learned ones, zero experts
that pass on, cosine router with temperature and capacity of two pools, experts with biases and clamped gates, a
Python loop over hit experts."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooAttention, FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel, FooRMSNorm


class TwistConfig(FooConfig):
    model_type = "moe_twists"

    def __init__(self, n_experts=6, n_zero=2, top_k=3, moe_dim=20, limit=5.0, alpha=1.702, **kw):
        self.n_experts, self.n_zero, self.k_experts, self.moe_dim, self.limit, self.alpha = (
            n_experts,
            n_zero,
            top_k,
            moe_dim,
            limit,
            alpha,
        )
        super().__init__(**kw)


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, n, d, f = c, c.n_experts, c.hidden_size, c.moe_dim
        self.gate_up, self.gate_up_bias = nn.Parameter(torch.randn(n, d, 2 * f) * 0.1), nn.Parameter(
            torch.randn(n, 2 * f) * 0.1
        )
        self.down, self.down_bias = nn.Parameter(torch.randn(n, f, d) * 0.1), nn.Parameter(torch.randn(n, d) * 0.1)

    def forward(self, x, idx, w):
        out = torch.zeros_like(x)
        mask = F.one_hot(idx, self.c.n_experts + self.c.n_zero).permute(2, 1, 0)
        hit = (mask.sum((-1, -2)) > 0).nonzero()[:, 0]
        for e in hit:
            k, t = torch.where(mask[e])
            cur = x[t]
            if e < self.c.n_experts:
                gu = cur @ self.gate_up[e] + self.gate_up_bias[e]
                g, u = gu[..., ::2], gu[..., 1::2]
                g, u = g.clamp(max=self.c.limit), u.clamp(-self.c.limit, self.c.limit)
                cur = ((u + 1) * g * torch.sigmoid(self.c.alpha * g)) @ self.down[e] + self.down_bias[e]
            out.index_add_(0, t, cur * w[t, k, None])
        return out


class TwistMoE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.proto = nn.Parameter(torch.randn(c.n_experts + c.n_zero, c.hidden_size))
        self.log_temp, self.mix = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.experts = Experts(c)
        self.shared = nn.Linear(c.hidden_size, c.hidden_size, bias=False)

    def forward(self, x, before):
        b, t, d = x.shape
        flat = x.reshape(-1, d)
        logits = F.normalize(flat, dim=-1) @ F.normalize(self.proto, dim=-1).t() * self.log_temp.exp() * 5
        if before is not None:
            logits = logits + torch.sigmoid(self.mix) * before
        w, idx = F.softmax(logits, -1, dtype=torch.float32).topk(self.c.k_experts, -1)
        w = w / w.sum(-1, keepdim=True)
        y = self.experts(flat, idx, w.to(x.dtype))
        return (y + flat * torch.tanh(self.shared(flat))).view(b, t, d), logits


class TwistLayer(FooDecoderLayer):
    mlp_class = TwistMoE

    def forward(self, hidden_states, before=None, **kw):
        hidden_states = hidden_states + self.self_attn(self.input_layernorm(hidden_states), **kw)[0]
        y, logits = self.mlp(self.post_attention_layernorm(hidden_states), before)
        return hidden_states + y, logits


class TwistModel(FooModel):
    layer_class = TwistLayer

    def run(self, hidden_states, masks, position_ids, past_key_values, input_ids=None):
        rope, before = self.rotary_emb(hidden_states, position_ids), None
        for layer in self.layers:
            hidden_states, before = layer(
                hidden_states,
                before=before,
                attention_mask=masks[layer.attention_type],
                position_embeddings=rope,
                past_key_values=past_key_values,
            )
        return hidden_states


class TwistForCausalLM(FooForCausalLMBase):
    config_class, model_class = TwistConfig, TwistModel
