"""minLSTM by the paper's scan in logarithms (Feng et al. 2024), which begins with a row of its own."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase


def g(x):
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def log_g(x):
    return torch.where(x >= 0, (F.relu(x) + 0.5).log(), -F.softplus(-x))


def parallel_scan_log(log_coeffs, log_values):
    a_star = F.pad(torch.cumsum(log_coeffs, dim=1), (0, 0, 1, 0))
    log_h0_plus_b_star = torch.logcumsumexp(log_values - a_star, dim=1)
    log_h = a_star + log_h0_plus_b_star
    return torch.exp(log_h)[:, 1:]


class MinLSTM(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size * 3 // 2
        self.conv = nn.Conv1d(c.hidden_size, c.hidden_size, 4, groups=c.hidden_size, padding=3)
        self.f, self.i, self.hh = (nn.Linear(c.hidden_size, d) for _ in range(3))
        self.down = nn.Linear(d, c.hidden_size)

    def forward(self, x):
        n = x.shape[1]
        x = F.silu(self.conv(x.transpose(1, 2))[..., :n].transpose(1, 2))
        diff = F.softplus(-self.f(x)) - F.softplus(-self.i(x))
        log_f, log_i = -F.softplus(diff), -F.softplus(-diff)
        log_h0 = log_g(torch.zeros_like(log_f[:, :1]))
        h = parallel_scan_log(log_f, torch.cat([log_h0, log_i + log_g(self.hh(x))], dim=1))
        return self.down(h)


class MinLstmForCausalLM(NovelBase):
    def mixer(self, c, i):
        return MinLSTM(c, i)
