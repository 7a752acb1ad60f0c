"""Forgetting attention by a bias of summed log-sigmoids, canon layers (short causal convolutions beside the residual)
in three places, gated output norm, GLU of relu^2; MoE by top-p of the router."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import (
    FooAttention,
    FooConfig,
    FooDecoderLayer,
    FooForCausalLMBase,
    FooModel,
    FooRMSNorm,
    apply_rotary_pos_emb,
    repeat_kv,
)


class FoxConfig(FooConfig):
    model_type = "fox_canon"

    def __init__(self, num_experts=6, router_p=0.7, max_experts=4, **kw):
        self.num_experts, self.router_p, self.max_experts = num_experts, router_p, max_experts
        super().__init__(**kw)


class Canon(nn.Module):
    def __init__(self, d, k=4):
        super().__init__()
        self.conv = nn.Conv1d(d, d, k, groups=d, padding=k - 1, bias=False)

    def forward(self, x):
        return x + self.conv(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)


class FoxAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.f_proj = nn.Linear(config.hidden_size, config.num_attention_heads)
        self.g_proj = nn.Linear(config.hidden_size, config.num_attention_heads * self.head_dim, bias=False)
        self.canon_q, self.canon_k = Canon(config.num_attention_heads * self.head_dim), Canon(
            config.num_key_value_heads * self.head_dim
        )
        self.q_norm, self.k_norm, self.o_norm = (FooRMSNorm(self.head_dim) for _ in range(3))

    def forward(self, hidden_states, position_embeddings=None, attention_mask=None, **kwargs):
        b, t, _ = hidden_states.shape
        shape = (b, t, -1, self.head_dim)
        q = self.q_norm(self.canon_q(self.q_proj(hidden_states)).view(shape)).transpose(1, 2)
        k = self.k_norm(self.canon_k(self.k_proj(hidden_states)).view(shape)).transpose(1, 2)
        v = self.v_proj(hidden_states).view(shape).transpose(1, 2)
        k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
        log_f = F.logsigmoid(self.f_proj(hidden_states).float()).transpose(1, 2)
        cum = torch.cumsum(log_f, dim=-1)
        bias = cum[..., :, None] - cum[..., None, :]
        scores = q @ k.transpose(-1, -2) * self.scaling + bias
        scores = scores.masked_fill(
            torch.ones(t, t, dtype=torch.bool, device=q.device).triu(1), torch.finfo(scores.dtype).min
        )
        y = (scores.softmax(dim=-1) @ v).transpose(1, 2)
        y = self.o_norm(y) * F.silu(self.g_proj(hidden_states).view(shape))
        return self.o_proj(y.reshape(b, t, -1)), None


class TopPMoE(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c = config
        self.router = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.w_in = nn.Parameter(torch.randn(config.num_experts, config.hidden_size, 2 * 24) * 0.1)
        self.w_out = nn.Parameter(torch.randn(config.num_experts, 24, config.hidden_size) * 0.1)

    def forward(self, x):
        p = self.router(x).softmax(-1)
        top, idx = p.topk(self.c.max_experts, dim=-1)
        kept = (top.cumsum(-1) - top) < self.c.router_p
        top = top * kept
        top = top / top.sum(-1, keepdim=True)
        gates = torch.zeros_like(p).scatter(-1, idx, top)
        h = torch.einsum("btd,edf->btef", x, self.w_in)
        a, b = h.chunk(2, -1)
        return torch.einsum("btef,efd,bte->btd", F.relu(a).square() * b, self.w_out, gates)


class FoxLayer(FooDecoderLayer):
    attention, mlp_class = FoxAttention, TopPMoE

    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.canon = Canon(config.hidden_size)

    def forward(self, hidden_states, **kwargs):
        x = self.canon(self.input_layernorm(hidden_states))
        hidden_states = hidden_states + self.self_attn(x, **kwargs)[0]
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class FoxModel(FooModel):
    layer_class = FoxLayer


class FoxForCausalLM(FooForCausalLMBase):
    config_class, model_class = FoxConfig, FoxModel
