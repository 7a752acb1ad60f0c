"""Mamba-2 by ssd_minimal_discrete of the paper (einops, einsum of 4 tensors), with attention every third layer."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange, repeat
from .common_parts import NovelBase, RMSNorm


def segsum(x):
    T = x.size(-1)
    x = repeat(x, "... d -> ... d e", e=T)
    mask = torch.tril(torch.ones(T, T, device=x.device, dtype=bool), diagonal=-1)
    x = x.masked_fill(~mask, 0)
    x_segsum = torch.cumsum(x, dim=-2)
    mask = torch.tril(torch.ones(T, T, device=x.device, dtype=bool), diagonal=0)
    return x_segsum.masked_fill(~mask, -torch.inf)


def ssd(X, A, B, C, block_len=16):
    t = X.shape[1]
    pad = -t % block_len
    X, B, C = (F.pad(x, (0, 0, 0, 0, 0, pad)) for x in (X, B, C))
    A = F.pad(A, (0, 0, 0, pad))
    X, A, B, C = [rearrange(x, "b (c l) ... -> b c l ...", l=block_len) for x in (X, A, B, C)]
    A = rearrange(A, "b c l h -> b h c l")
    A_cumsum = torch.cumsum(A, dim=-1)
    L = torch.exp(segsum(A))
    Y_diag = torch.einsum("bclhn,bcshn,bhcls,bcshp->bclhp", C, B, L, X)
    decay_states = torch.exp((A_cumsum[:, :, :, -1:] - A_cumsum))
    states = torch.einsum("bclhn,bhcl,bclhp->bchpn", B, decay_states, X)
    initial_states = torch.zeros_like(states[:, :1])
    states = torch.cat([initial_states, states], dim=1)
    decay_chunk = torch.exp(segsum(F.pad(A_cumsum[:, :, :, -1], (1, 0))))
    new_states = torch.einsum("bhzc,bchpn->bzhpn", decay_chunk, states)
    states, final_state = new_states[:, :-1], new_states[:, -1]
    state_decay_out = torch.exp(A_cumsum)
    Y_off = torch.einsum("bclhn,bchpn,bhcl->bclhp", C, states, state_decay_out)
    return rearrange(Y_diag + Y_off, "b c l h p -> b (c l) h p")[:, :t]


class Ssd(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.n = c.hidden_size, 6, 8
        self.inner = 2 * d
        self.in_proj = nn.Linear(d, 2 * self.inner + 2 * self.n + self.h, bias=False)
        self.conv = nn.Conv1d(
            self.inner + 2 * self.n, self.inner + 2 * self.n, 4, padding=3, groups=self.inner + 2 * self.n
        )
        self.A_log, self.D, self.dt_bias = (
            nn.Parameter(torch.zeros(self.h)),
            nn.Parameter(torch.ones(self.h)),
            nn.Parameter(torch.zeros(self.h)),
        )
        self.norm, self.out = RMSNorm(self.inner), nn.Linear(self.inner, d, bias=False)

    def forward(self, u):
        t = u.shape[1]
        z, xbc, dt = self.in_proj(u).split([self.inner, self.inner + 2 * self.n, self.h], -1)
        dt = F.softplus(dt + self.dt_bias)
        xbc = F.silu(self.conv(xbc.transpose(1, 2)).transpose(1, 2)[:, :t])
        x, B, C = xbc.split([self.inner, self.n, self.n], -1)
        x = rearrange(x, "b l (h p) -> b l h p", h=self.h)
        B, C = (repeat(y, "b l n -> b l h n", h=self.h) for y in (B, C))
        y = ssd(x * dt.unsqueeze(-1), -self.A_log.exp() * dt, B, C)
        y = y + x * self.D.unsqueeze(-1)
        return self.out(self.norm(rearrange(y, "b l h p -> b l (h p)") * F.silu(z)))


class SsdForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Ssd(c, i)
