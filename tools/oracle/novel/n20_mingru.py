"""minGRU with the log-space parallel scan of the paper (Feng et al. 2024), prompt in parallel."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def heinsen_associative_scan_log(log_coeffs, log_values):
    a_star = log_coeffs.cumsum(dim=1)
    log_h0_plus_b_star = (log_values - a_star).logcumsumexp(dim=1)
    return (a_star + log_h0_plus_b_star).exp()


def g(x):
    return torch.where(x >= 0, x + 0.5, x.sigmoid())


def log_g(x):
    return torch.where(x >= 0, (F.relu(x) + 0.5).log(), -F.softplus(-x))


class MinGRU(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.to_hidden_and_gate = nn.Linear(d, 3 * d, bias=False)
        self.to_out = nn.Linear(3 * d // 2, d, bias=False)

    def forward(self, x):
        hidden, gate = self.to_hidden_and_gate(x).chunk(2, dim=-1)
        log_coeffs = -F.softplus(gate)
        log_z = -F.softplus(-gate)
        out = heinsen_associative_scan_log(log_coeffs, log_z + log_g(hidden))
        return self.to_out(out)


class MinGRUForCausalLM(NovelBase):
    def mixer(self, c, i):
        return MinGRU(c, i)
