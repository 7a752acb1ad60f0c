"""Lightning attention as MiniMax's own file has it: blocks of 256 with decays; softmax attention every third layer."""

import math
import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel, FooRMSNorm

BLOCK = 256


class LightningConfig(FooConfig):
    model_type = "lightning_lm"

    def __init__(self, **kw):
        kw.setdefault("layer_types", ["linear_attention", "linear_attention", "full_attention"])
        super().__init__(**kw)


def build_slopes(n):
    start = 2 ** (-(2 ** -(math.log2(n) - 3)))
    return torch.tensor([start * start**i for i in range(n)]).reshape(n, 1, 1)


class LightningAttention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.h, self.d, self.layer_idx, self.n_layers = (
            config.num_attention_heads,
            config.head_dim,
            layer_idx,
            config.num_hidden_layers,
        )
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * self.h * self.d, bias=False)
        self.output_gate = nn.Linear(config.hidden_size, self.h * self.d, bias=False)
        self.out_proj = nn.Linear(self.h * self.d, config.hidden_size, bias=False)
        self.norm = FooRMSNorm(self.h * self.d)

    def forward(self, hidden_states, **kwargs):
        b, n, _ = hidden_states.shape
        slope_rate = build_slopes(self.h).to(hidden_states.device) * (1 - self.layer_idx / (self.n_layers - 1) + 1e-5)
        qkv = F.silu(self.qkv_proj(hidden_states)).view(b, n, self.h, -1)
        q, k, v = torch.split(qkv, [self.d] * 3, dim=3)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        num_block = (n + BLOCK - 1) // BLOCK
        e = v.shape[-1]
        array = torch.arange(BLOCK).to(q) + 1
        q_decay = torch.exp(-slope_rate * array.reshape(-1, 1))
        k_decay = torch.exp(-slope_rate * (BLOCK - array.reshape(-1, 1)))
        index = array[:, None] - array[None, :]
        s_index = slope_rate * index[None, None]
        s_index = torch.where(index >= 0, -s_index, float("-inf"))
        diag_decay = torch.exp(s_index)
        kv = torch.zeros(b, self.h, self.d, e).to(torch.float32).to(q.device)
        output = torch.empty((b, self.h, n, e), dtype=q.dtype, device=q.device)
        for i in range(num_block):
            si, ei = i * BLOCK, min(i * BLOCK + BLOCK, n)
            m = ei - si
            qi, ki, vi = q[:, :, si:ei].contiguous(), k[:, :, si:ei].contiguous(), v[:, :, si:ei].contiguous()
            qkv_none_diag = torch.matmul(qi * q_decay[:, :m], kv).to(torch.float32)
            qk = torch.matmul(qi, ki.transpose(-1, -2)).to(torch.float32) * diag_decay[:, :, :m, :m]
            qkv_diag = torch.matmul(qk, vi.to(torch.float32))
            block_decay = torch.exp(-slope_rate * m)
            output[:, :, si:ei] = qkv_none_diag + qkv_diag
            kv = block_decay * kv + torch.matmul((ki * k_decay[:, -m:]).transpose(-1, -2).to(vi.dtype), vi)
        output = output.transpose(1, 2).reshape(b, n, -1)
        return self.out_proj(F.sigmoid(self.output_gate(hidden_states)) * self.norm(output)), None


class LightningLayer(FooDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        if self.attention_type == "linear_attention":
            self.self_attn = LightningAttention(config, layer_idx)
        self.alpha, self.beta = 3.56, 1.2

    def forward(self, hidden_states, attention_mask=None, position_embeddings=None, **kwargs):
        h = self.input_layernorm(hidden_states)
        a, _ = self.self_attn(hidden_states=h, attention_mask=attention_mask, position_embeddings=position_embeddings)
        hidden_states = h * self.alpha + a * self.beta
        h = self.post_attention_layernorm(hidden_states)
        return h * self.alpha + self.mlp(h) * self.beta


class LightningModel(FooModel):
    layer_class = LightningLayer


class LightningForCausalLM(FooForCausalLMBase):
    config_class, model_class = LightningConfig, LightningModel
