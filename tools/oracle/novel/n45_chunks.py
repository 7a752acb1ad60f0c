"""Mamba-2 with the chunked pass that state-space files have, under names of its own; gated norm by groups."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel


class ChunkSsmConfig(FooConfig):
    model_type = "chunk_ssm"

    def __init__(self, state_size=16, n_groups=2, mamba_heads=6, mamba_head_dim=16, conv_kernel=4, chunk_size=16, **kw):
        self.state_size, self.n_groups, self.mamba_heads, self.mamba_head_dim = (
            state_size,
            n_groups,
            mamba_heads,
            mamba_head_dim,
        )
        self.conv_kernel, self.chunk_size = conv_kernel, chunk_size
        kw.setdefault("layer_types", ["linear_attention", "full_attention", "linear_attention"])
        super().__init__(**kw)


def pad_by(x, pad_size):
    return F.pad(x, (0, 0, 0, 0, 0, pad_size, 0, 0) if x.dim() == 4 else (0, 0, 0, pad_size, 0, 0))


def into_chunks(x, pad_size, chunk_size):
    x = pad_by(x, pad_size)
    return x.reshape(x.shape[0], -1, chunk_size, *x.shape[2:])


def segment_sum(x):
    n = x.size(-1)
    x = x[..., None].expand(*x.size(), n)
    mask = torch.tril(torch.ones(n, n, device=x.device, dtype=torch.bool), diagonal=-1)
    x = x.masked_fill(~mask, 0)
    out = torch.cumsum(x, dim=-2)
    mask = torch.tril(torch.ones(n, n, device=x.device, dtype=torch.bool), diagonal=0)
    return out.masked_fill(~mask, -torch.inf)


class ChunkMixer(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.c, self.h, self.p, self.g, self.n = (
            config,
            config.mamba_heads,
            config.mamba_head_dim,
            config.n_groups,
            config.state_size,
        )
        self.inner, self.chunk_size = self.h * self.p, config.chunk_size
        conv_dim = self.inner + 2 * self.g * self.n
        self.in_proj = nn.Linear(config.hidden_size, self.inner + conv_dim + self.h, bias=False)
        self.conv1d = nn.Conv1d(conv_dim, conv_dim, config.conv_kernel, groups=conv_dim, padding=config.conv_kernel - 1)
        self.dt_bias, self.A_log, self.D = (
            nn.Parameter(torch.ones(self.h)),
            nn.Parameter(torch.log(torch.arange(1, self.h + 1.0))),
            nn.Parameter(torch.ones(self.h)),
        )
        self.norm_weight = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, config.hidden_size, bias=False)

    def forward(self, hidden_states, **kwargs):
        batch, seq_len, _ = hidden_states.shape
        gate, xbc, dt = self.in_proj(hidden_states).split(
            [self.inner, self.inner + 2 * self.g * self.n, self.h], dim=-1
        )
        xbc = F.silu(self.conv1d(xbc.transpose(1, 2))[..., :seq_len].transpose(1, 2))
        x, B, C = torch.split(xbc, [self.inner, self.g * self.n, self.g * self.n], dim=-1)
        A = -torch.exp(self.A_log.float())
        dt = torch.clamp(F.softplus(dt + self.dt_bias), 0.0, float("inf"))
        x = x.reshape(batch, seq_len, -1, self.p).float()
        B = B.reshape(batch, seq_len, -1, self.n).float().repeat_interleave(self.h // self.g, dim=2)
        C = C.reshape(batch, seq_len, -1, self.n).float().repeat_interleave(self.h // self.g, dim=2)
        pad = (self.chunk_size - seq_len % self.chunk_size) % self.chunk_size
        D_residual = self.D[..., None] * pad_by(x, pad)
        x = x * dt[..., None]
        A = A.to(x.dtype) * dt
        x, A, B, C = [into_chunks(t, pad, self.chunk_size) for t in (x, A, B, C)]
        A = A.permute(0, 3, 1, 2)
        A_cumsum = torch.cumsum(A, dim=-1)
        L = torch.exp(segment_sum(A))
        G = (C[:, :, :, None, :, :] * B[:, :, None, :, :, :]).sum(dim=-1)
        M = (G[..., None] * L.permute(0, 2, 3, 4, 1)[..., None]).sum(dim=-1)
        Y_diag = (M[..., None] * x[:, :, None]).sum(dim=3)
        decay_states = torch.exp(A_cumsum[:, :, :, -1:] - A_cumsum)
        B_decay = B * decay_states.permute(0, -2, -1, 1)[..., None]
        states = (B_decay[..., None, :] * x[..., None]).sum(dim=2)
        states = torch.cat([torch.zeros_like(states[:, :1]), states], dim=1)
        decay_chunk = torch.exp(segment_sum(F.pad(A_cumsum[:, :, :, -1], (1, 0)))).transpose(1, 3)
        states = (decay_chunk[..., None, None] * states[:, :, None, ...]).sum(dim=1)[:, :-1]
        Y_off = (C[..., None, :] * states[:, :, None, ...]).sum(-1) * torch.exp(A_cumsum).permute(0, 2, 3, 1)[..., None]
        y = (Y_diag + Y_off).reshape(batch, -1, self.h, self.p) + D_residual
        if pad > 0:
            y = y[:, :seq_len]
        y = y.reshape(batch, seq_len, -1) * F.silu(gate)
        y = y.view(batch, seq_len, self.g, -1)
        y = (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-5)).view(batch, seq_len, -1) * self.norm_weight
        return self.out_proj(y), None


class ChunkSsmLayer(FooDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        if self.attention_type == "linear_attention":
            self.self_attn = ChunkMixer(config, layer_idx)


class ChunkSsmModel(FooModel):
    layer_class = ChunkSsmLayer


class ChunkSsmForCausalLM(FooForCausalLMBase):
    config_class, model_class = ChunkSsmConfig, ChunkSsmModel
