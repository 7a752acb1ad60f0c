"""Rows sorted by their experts in three people's ways: DeepSeek's, MiniMind's, and one of grouped products, which
takes the rows back by an inverse order and, once more, adds them where they belong."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from .common_parts import NovelBase, SwiGLU
from .n07_hyper import Attn


class Experts(nn.Module):
    def __init__(self, d, n=6, k=2, f=16):
        super().__init__()
        self.n, self.k = n, k
        self.gate, self.bias = nn.Linear(d, n, bias=False), nn.Parameter(torch.zeros(n))
        self.experts = nn.ModuleList([SwiGLU(d, f) for _ in range(n)])

    def forward(self, x):
        h = x.view(-1, x.shape[-1])
        scores = self.gate(h).sigmoid()
        groups = (scores + self.bias).view(len(h), 2, -1)
        best = torch.topk(groups.topk(2, dim=-1)[0].sum(-1), k=1, dim=-1, sorted=False)[1]
        kept = torch.zeros_like(groups[..., 0]).scatter_(1, best, 1).unsqueeze(-1).expand_as(groups).reshape(len(h), -1)
        _, idx = torch.topk((scores + self.bias).masked_fill(~kept.bool(), float("-inf")), k=self.k, dim=-1)
        w = scores.gather(1, idx)
        return x + self.moe_infer(h, idx, w / w.sum(-1, keepdim=True)).view(x.shape)


class DeepSeek(Experts):
    @torch.no_grad()
    def moe_infer(self, x, topk_ids, topk_weight):
        cnts = topk_ids.new_zeros((topk_ids.shape[0], len(self.experts)))
        cnts.scatter_(1, topk_ids, 1)
        tokens_per_expert = cnts.sum(dim=0)
        idxs = topk_ids.view(-1).argsort()
        sorted_tokens = x[idxs // topk_ids.shape[1]]
        outputs, start_idx = [], 0
        for i, num_tokens in enumerate(tokens_per_expert.cpu().numpy()):
            end_idx = start_idx + num_tokens
            if num_tokens == 0:
                continue
            outputs.append(self.experts[i](sorted_tokens[start_idx:end_idx]))
            start_idx = end_idx
        outs = torch.cat(outputs, dim=0) if len(outputs) else sorted_tokens.new_empty(0)
        new_x = torch.empty_like(outs)
        new_x[idxs] = outs
        new_x = new_x.view(*topk_ids.shape, -1).type(topk_weight.dtype)
        return new_x.mul_(topk_weight.unsqueeze(dim=-1)).sum(dim=1).type(x.dtype)


class MiniMind(Experts):
    def moe_infer(self, x, flat_expert_indices, flat_expert_weights):
        flat_expert_indices, flat_expert_weights = flat_expert_indices.view(-1), flat_expert_weights.view(-1, 1)
        expert_cache = torch.zeros_like(x)
        idxs = flat_expert_indices.argsort()
        tokens_per_expert = flat_expert_indices.bincount().cpu().numpy().cumsum(0)
        token_idxs = idxs // self.k
        for i, end_idx in enumerate(tokens_per_expert):
            start_idx = 0 if i == 0 else tokens_per_expert[i - 1]
            if start_idx == end_idx:
                continue
            exp_token_idx = token_idxs[start_idx:end_idx]
            expert_out = self.experts[i](x[exp_token_idx]).to(expert_cache.dtype)
            expert_out.mul_(flat_expert_weights[idxs[start_idx:end_idx]])
            expert_cache.scatter_add_(0, exp_token_idx.view(-1, 1).repeat(1, x.shape[-1]), expert_out)
        return expert_cache


class Grouped(Experts):
    def __init__(self, d, n=6, k=2, f=16):
        super().__init__(d, n, k, f)
        self.w13, self.w2 = nn.Parameter(torch.randn(n, d, 2 * f) * 0.1), nn.Parameter(torch.randn(n, f, d) * 0.1)

    def products(self, x, counts):
        out = []
        for i, part in enumerate(torch.split(x, counts.tolist(), dim=0)):
            g, u = (part @ self.w13[i]).chunk(2, -1)
            out.append((F.silu(g) * u) @ self.w2[i])
        return torch.cat(out, 0)

    def moe_infer(self, x, idx, w):
        flat = idx.view(-1)
        counts = torch.histc(flat.float(), bins=self.n, min=0, max=self.n - 1).long()
        order = torch.argsort(flat, stable=True)
        rows = order // self.k
        y = self.products(x[rows], counts) * w.view(-1)[order].reshape(-1, 1)
        out = torch.zeros_like(x).index_add_(0, rows, y)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel(), device=order.device)
        return out + self.products(x[rows].tanh(), counts)[inverse].view(-1, self.k, x.shape[-1]).sum(dim=1)


class SortedForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Attn(c)

    def mlp(self, c, i):
        return [DeepSeek, MiniMind, Grouped][i](c.hidden_size)
