"""Memory layers: product keys of several heads pick rows of a large table (EmbeddingBag), gated by silu."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooConfig, FooDecoderLayer, FooForCausalLMBase, FooMLP, FooModel


class MemoryConfig(FooConfig):
    model_type = "memory_lm"

    def __init__(self, mem_n_keys=12, mem_heads=2, mem_knn=4, mem_k_dim=16, mem_layers=(1,), **kw):
        self.mem_n_keys, self.mem_heads, self.mem_knn, self.mem_k_dim, self.mem_layers = (
            mem_n_keys,
            mem_heads,
            mem_knn,
            mem_k_dim,
            list(mem_layers),
        )
        super().__init__(**kw)


class ProductKeyMemory(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.knn, self.n_keys, self.k_dim = (
            config.mem_heads,
            config.mem_knn,
            config.mem_n_keys,
            config.mem_k_dim,
        )
        self.keys = nn.Parameter(torch.randn(2 * self.heads * self.n_keys, self.k_dim // 2) * 0.1)
        self.values = nn.EmbeddingBag(self.n_keys**2, config.hidden_size, mode="sum")
        self.query_proj = nn.Linear(config.hidden_size, self.heads * self.k_dim)
        self.value_proj, self.swilu_projection = nn.Linear(config.hidden_size, config.hidden_size), nn.Linear(
            config.hidden_size, config.hidden_size
        )

    def get_indices(self, query):
        half, n = self.k_dim // 2, self.n_keys
        query = query.view(-1, self.heads, self.k_dim)
        keys = self.keys.view(self.heads, 2, -1, half)
        q1, q2 = query[..., :half], query[..., half:]
        scores1, scores2 = torch.einsum("blh, lkh->blk", q1, keys[:, 0]), torch.einsum("blh, lkh->blk", q2, keys[:, 1])
        scores1, indices1 = scores1.topk(self.knn, dim=2, largest=True)
        scores2, indices2 = scores2.topk(self.knn, dim=2, largest=True)
        bs = query.shape[0]
        all_scores = (
            scores1.view(bs, self.heads, self.knn, 1).expand(bs, self.heads, self.knn, self.knn)
            + scores2.view(bs, self.heads, 1, self.knn).expand(bs, self.heads, self.knn, self.knn)
        ).reshape(bs, self.heads, -1)
        all_indices = (
            indices1.view(bs, self.heads, self.knn, 1).expand(bs, self.heads, self.knn, self.knn) * n
            + indices2.view(bs, self.heads, 1, self.knn).expand(bs, self.heads, self.knn, self.knn)
        ).reshape(bs, self.heads, -1)
        scores, best = torch.topk(all_scores, k=self.knn, dim=2, largest=True, sorted=True)
        return scores, all_indices.gather(2, best)

    def forward(self, x):
        B, T, C = x.shape
        scores, indices = self.get_indices(self.query_proj(x.reshape(-1, C)))
        scores = F.softmax(scores.float(), dim=-1).type_as(scores)
        indices, scores = indices.view(B * T, -1), scores.view(B * T, -1)
        out = self.values(indices, per_sample_weights=scores)
        return self.value_proj(out.view(B, T, C) * F.silu(self.swilu_projection(x)))


class MemoryLayer(FooDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.mlp = ProductKeyMemory(config) if layer_idx in config.mem_layers else FooMLP(config)


class MemoryModel(FooModel):
    layer_class = MemoryLayer


class MemoryForCausalLM(FooForCausalLMBase):
    config_class, model_class = MemoryConfig, MemoryModel
