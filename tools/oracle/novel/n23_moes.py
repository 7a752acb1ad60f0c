"""MoE variants: switch top-1 argmax, hash routing by token, dense over one-hot, expert choice-free soft top-p...
each layer another."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel
from .common_parts import NovelConfig, RMSNorm, SwiGLU
from .n07_hyper import Attn


class Switch(nn.Module):
    """top-1 by argmax, loop over experts with boolean masks"""

    def __init__(self, d, n=4):
        super().__init__()
        self.router, self.experts = nn.Linear(d, n, bias=False), nn.ModuleList(SwiGLU(d, 40) for _ in range(n))

    def forward(self, x, ids):
        shape = x.shape
        x = x.reshape(-1, shape[-1])
        p = F.softmax(self.router(x), dim=-1)
        best, idx = torch.max(p, dim=-1)
        out = torch.zeros_like(x)
        for i, e in enumerate(self.experts):
            m = idx == i
            if m.any():
                out[m] = e(x[m])
        return (out * best[:, None]).view(shape)


class Hash(nn.Module):
    """hash layer: token id picks the expert"""

    def __init__(self, d, vocab, n=4):
        super().__init__()
        self.experts = nn.ModuleList(SwiGLU(d, 40) for _ in range(n))
        self.n = n

    def forward(self, x, ids):
        out = torch.zeros_like(x)
        which = ids % self.n
        for i, e in enumerate(self.experts):
            out = out + e(x) * (which == i).unsqueeze(-1).to(x.dtype)
        return out


class OneHot(nn.Module):
    """Mixtral's older code: one_hot, permute, where; normalised top-2"""

    def __init__(self, d, n=5, k=2):
        super().__init__()
        self.gate, self.n, self.k = nn.Linear(d, n, bias=False), n, k
        self.experts = nn.ModuleList(SwiGLU(d, 40) for _ in range(n))

    def forward(self, x, ids):
        b, s, d = x.shape
        x = x.view(-1, d)
        w = F.softmax(self.gate(x), dim=1, dtype=torch.float)
        w, sel = torch.topk(w, self.k, dim=-1)
        w /= w.sum(dim=-1, keepdim=True)
        w = w.to(x.dtype)
        final = torch.zeros((b * s, d), dtype=x.dtype, device=x.device)
        mask = F.one_hot(sel, num_classes=self.n).permute(2, 1, 0)
        for e in range(self.n):
            idx, top_x = torch.where(mask[e])
            cur = x[None, top_x].reshape(-1, d)
            final.index_add_(0, top_x, (self.experts[e](cur) * w[top_x, idx, None]).to(x.dtype))
        return final.reshape(b, s, d)


class Threshold(nn.Module):
    """dense gates: relu routing (ReMoE), scattered stack by einsum"""

    def __init__(self, d, n=4, f=24):
        super().__init__()
        self.g = nn.Linear(d, n)
        self.w1, self.w2 = nn.Parameter(torch.randn(n, d, f) * 0.1), nn.Parameter(torch.randn(n, f, d) * 0.1)

    def forward(self, x, ids):
        g = F.relu(self.g(x))
        h = F.silu(torch.einsum("...d,ndf->...nf", x, self.w1)) * g.unsqueeze(-1)
        return torch.einsum("...nf,nfd->...d", h, self.w2)


class Zero(nn.Module):
    """MoE++ like: zero, copy and constant experts beside FFNs; argsort stable routing by bincount"""

    def __init__(self, d, n=3, k=2):
        super().__init__()
        self.n, self.k = n, k
        self.gate = nn.Linear(d, n + 2, bias=False)
        self.experts = nn.ModuleList(SwiGLU(d, 40) for _ in range(n))

    def forward(self, x, ids):
        b, t, d = x.shape
        flat = x.reshape(-1, d)
        p = self.gate(flat).softmax(-1)
        w, i = p.topk(self.k, -1)
        full = torch.zeros_like(p).scatter_(1, i, w)
        y = torch.stack([e(flat) for e in self.experts], 1)
        y = (y * full[:, : self.n, None]).sum(1) + full[:, self.n, None] * flat
        return y.view(b, t, d)


class MoesForCausalLM(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        d = config.hidden_size
        self.wte = nn.Embedding(config.vocab_size, d)
        self.attn = nn.ModuleList(Attn(config) for _ in range(5))
        self.moe = nn.ModuleList([Switch(d), Hash(d, config.vocab_size), OneHot(d), Threshold(d), Zero(d)])
        self.n1, self.n2 = nn.ModuleList(RMSNorm(d) for _ in range(5)), nn.ModuleList(RMSNorm(d) for _ in range(5))
        self.norm, self.head = RMSNorm(d), nn.Linear(d, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kw):
        x = self.wte(input_ids)
        for a, m, n1, n2 in zip(self.attn, self.moe, self.n1, self.n2):
            x = x + a(n1(x))
            x = x + m(n2(x), input_ids)
        return (self.head(self.norm(x)),)
