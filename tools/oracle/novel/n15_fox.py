"""Forgetting transformer (Lin et al. 2025): log forget gates cumulated, added to scores; sdpa-free."""

import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


class Fox(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h = c.hidden_size, c.num_heads
        self.hd = d // self.h
        self.q_proj, self.k_proj, self.v_proj = (
            nn.Linear(d, d, bias=False),
            nn.Linear(d, d // 2, bias=False),
            nn.Linear(d, d // 2, bias=False),
        )
        self.o_proj, self.f_proj = nn.Linear(d, d, bias=False), nn.Linear(d, self.h)
        self.q_norm, self.k_norm = nn.RMSNorm(self.hd), nn.RMSNorm(self.hd)

    def forward(self, x):
        B, T, D = x.shape
        q = self.q_norm(self.q_proj(x).view(B, T, self.h, self.hd)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(B, T, -1, self.hd)).transpose(1, 2).repeat_interleave(2, dim=1)
        v = self.v_proj(x).view(B, T, -1, self.hd).transpose(1, 2).repeat_interleave(2, dim=1)
        log_f = F.logsigmoid(self.f_proj(x).float()).transpose(1, 2)
        c = log_f.cumsum(dim=-1)
        bias = c.unsqueeze(-1) - c.unsqueeze(-2)
        s = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.hd) + bias
        causal = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        s = torch.where(causal, s, torch.tensor(float("-inf"), device=x.device, dtype=s.dtype))
        p = torch.softmax(s, dim=-1)
        return self.o_proj(torch.matmul(p, v).transpose(1, 2).reshape(B, T, D))


class FoxForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Fox(c, i)
