"""Gated DeltaNet by chunks (rows of the inverse in a Python loop) with gated attention and a value residual."""

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
)


class GdnConfig(FooConfig):
    model_type = "gdn_valres"

    def __init__(self, linear_heads=4, linear_key_dim=8, linear_value_dim=12, chunk_size=16, **kw):
        self.linear_heads, self.linear_key_dim, self.linear_value_dim = linear_heads, linear_key_dim, linear_value_dim
        self.chunk_size = chunk_size
        kw.setdefault("layer_types", ["linear_attention", "linear_attention", "full_attention", "linear_attention"])
        kw.setdefault("num_hidden_layers", 4)
        super().__init__(**kw)


def unit(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def delta_by_chunks(q, k, v, g, beta, chunk_size=64):
    q, k = unit(q), unit(k)
    q, k, v, beta, g = [x.transpose(1, 2).contiguous().float() for x in (q, k, v, beta, g)]
    b, h, t, dk = k.shape
    pad = (chunk_size - t % chunk_size) % chunk_size
    q, k, v = (F.pad(x, (0, 0, 0, pad)) for x in (q, k, v))
    beta, g = F.pad(beta, (0, pad)), F.pad(g, (0, pad))
    q = q * dk**-0.5
    v_beta, k_beta = v * beta.unsqueeze(-1), k * beta.unsqueeze(-1)
    q, k, v, k_beta, v_beta = [x.reshape(b, h, -1, chunk_size, x.shape[-1]) for x in (q, k, v, k_beta, v_beta)]
    g = g.reshape(b, h, -1, chunk_size)
    mask = torch.triu(torch.ones(chunk_size, chunk_size, dtype=torch.bool, device=q.device), diagonal=0)
    g = g.cumsum(dim=-1)
    decay = ((g.unsqueeze(-1) - g.unsqueeze(-2)).tril().exp().float()).tril()
    attn = -((k_beta @ k.transpose(-1, -2)) * decay).masked_fill(mask, 0)
    for i in range(1, chunk_size):
        row = attn[..., i, :i].clone()
        sub = attn[..., :i, :i].clone()
        attn[..., i, :i] = row + (row.unsqueeze(-1) * sub).sum(-2)
    attn = attn + torch.eye(chunk_size, dtype=attn.dtype, device=attn.device)
    v = attn @ v_beta
    k_cumdecay = attn @ (k_beta * g.exp().unsqueeze(-1))
    state = torch.zeros(b, h, dk, v.shape[-1]).to(v)
    out = torch.zeros_like(v)
    mask = torch.triu(torch.ones(chunk_size, chunk_size, dtype=torch.bool, device=q.device), diagonal=1)
    for i in range(0, (t + pad) // chunk_size):
        q_i, k_i, v_i = q[:, :, i], k[:, :, i], v[:, :, i]
        a = (q_i @ k_i.transpose(-1, -2) * decay[:, :, i]).masked_fill_(mask, 0)
        v_prime = (k_cumdecay[:, :, i]) @ state
        v_new = v_i - v_prime
        inter = (q_i * g[:, :, i, :, None].exp()) @ state
        out[:, :, i] = inter + a @ v_new
        state = (
            state * g[:, :, i, -1, None, None].exp()
            + (k_i * (g[:, :, i, -1, None] - g[:, :, i]).exp()[..., None]).transpose(-1, -2) @ v_new
        )
    out = out.reshape(b, h, -1, out.shape[-1])[:, :, :t]
    return out.transpose(1, 2).contiguous()


class GdnMixer(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.h, self.dk, self.dv = config.linear_heads, config.linear_key_dim, config.linear_value_dim
        self.chunk_size = config.chunk_size
        d, n = config.hidden_size, self.h * (2 * self.dk + self.dv)
        self.in_proj_qkv = nn.Linear(d, n, bias=False)
        self.in_proj_z = nn.Linear(d, self.h * self.dv, bias=False)
        self.in_proj_ba = nn.Linear(d, 2 * self.h, bias=False)
        self.conv1d = nn.Conv1d(n, n, 4, groups=n, padding=3, bias=False)
        self.dt_bias, self.A_log = nn.Parameter(torch.ones(self.h)), nn.Parameter(torch.zeros(self.h))
        self.norm = FooRMSNorm(self.dv)
        self.out_proj = nn.Linear(self.h * self.dv, d, bias=False)

    def forward(self, hidden_states, **kwargs):
        b, t, _ = hidden_states.shape
        qkv = F.silu(self.conv1d(self.in_proj_qkv(hidden_states).transpose(1, 2))[..., :t]).transpose(1, 2)
        n = self.h * self.dk
        q, k, v = qkv.split([n, n, self.h * self.dv], dim=-1)
        q, k = (x.reshape(b, t, self.h, self.dk) for x in (q, k))
        v = v.reshape(b, t, self.h, self.dv)
        z = self.in_proj_z(hidden_states).reshape(b, t, self.h, self.dv)
        beta, a = self.in_proj_ba(hidden_states).chunk(2, dim=-1)
        g = -self.A_log.float().exp() * F.softplus(a.float() + self.dt_bias)
        y = delta_by_chunks(q, k, v, g, 2 * beta.sigmoid(), chunk_size=self.chunk_size)
        y = self.norm(y) * torch.sigmoid(z)
        return self.out_proj(y.reshape(b, t, -1)), None


class GdnAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.q_norm, self.k_norm = FooRMSNorm(self.head_dim), FooRMSNorm(self.head_dim)
        self.gate = nn.Linear(config.hidden_size, config.num_attention_heads, bias=True)
        self.lamb = nn.Parameter(torch.tensor([0.5, 0.5]))

    def forward(self, hidden_states, position_embeddings=None, attention_mask=None, v0=None, **kwargs):
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        q = self.q_norm(self.q_proj(hidden_states).view(shape)).transpose(1, 2)
        k = self.k_norm(self.k_proj(hidden_states).view(shape)).transpose(1, 2)
        v = self.v_proj(hidden_states).view(shape)
        v = self.lamb[0] * v + self.lamb[1] * v0.view(shape)
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        y, w = self.interface()(self, q, k, v.transpose(1, 2), attention_mask, dropout=0.0, scaling=self.scaling)
        y = y * torch.sigmoid(self.gate(hidden_states))[..., None]
        return self.o_proj(y.reshape(*hidden_states.shape[:-1], -1)), w


class GdnLayer(FooDecoderLayer):
    attention = GdnAttention

    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        if self.attention_type == "linear_attention":
            self.self_attn = GdnMixer(config, layer_idx)


class GdnModel(FooModel):
    layer_class = GdnLayer

    def __init__(self, config):
        super().__init__(config)
        self.first_values = nn.Linear(config.hidden_size, config.num_key_value_heads * config.head_dim, bias=False)

    def run(self, hidden_states, masks, position_ids, past_key_values, input_ids=None):
        v0 = self.first_values(hidden_states)
        position_embeddings = self.rotary_emb(hidden_states, position_ids)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                attention_mask=masks.get(layer.attention_type),
                position_embeddings=position_embeddings,
                v0=v0,
            )
        return hidden_states


class GdnForCausalLM(FooForCausalLMBase):
    config_class, model_class = GdnConfig, GdnModel
