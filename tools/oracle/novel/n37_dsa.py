"""Sparse attention: an indexer of few heads chooses positions (own writing, einsum), latent-free GQA; MTP head
unused."""

import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import (
    FooAttention,
    FooConfig,
    FooDecoderLayer,
    FooForCausalLMBase,
    FooModel,
    apply_rotary_pos_emb,
    repeat_kv,
)


class SparseConfig(FooConfig):
    model_type = "sparse_lm"

    def __init__(self, index_n_heads=6, index_head_dim=16, index_topk=8, num_nextn_predict_layers=1, **kw):
        self.index_n_heads, self.index_head_dim, self.index_topk = index_n_heads, index_head_dim, index_topk
        self.num_nextn_predict_layers = num_nextn_predict_layers
        super().__init__(**kw)


class Indexer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.h, self.d, self.topk = config.index_n_heads, config.index_head_dim, config.index_topk
        self.wq, self.wk = nn.Linear(config.hidden_size, self.h * self.d, bias=False), nn.Linear(
            config.hidden_size, self.d, bias=False
        )
        self.k_norm, self.weights_proj = nn.LayerNorm(self.d), nn.Linear(config.hidden_size, self.h, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        q = self.wq(x).view(b, t, self.h, self.d)
        k = self.k_norm(self.wk(x)).view(b, t, 1, self.d)
        q, k = apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
        w = self.weights_proj(x) * self.h**-0.5
        scores = torch.einsum("bshd,btd->bsht", q, k.squeeze(2)) * self.d**-0.5
        index_scores = torch.einsum("bsht,bsh->bst", F.relu(scores), w)
        causal = torch.full((t, t), float("-inf"), device=x.device).triu(1)
        index_scores = index_scores + causal
        topk_indices = index_scores.topk(min(self.topk, t), dim=-1)[1]
        mask = torch.full((b, t, t), float("-inf"), device=x.device).scatter_(-1, topk_indices, 0)
        return mask + causal


class SparseAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.indexer = Indexer(config)

    def forward(self, hidden_states, position_embeddings, attention_mask=None, **kwargs):
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        cos, sin = position_embeddings
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        index_mask = self.indexer(hidden_states, cos, sin)
        k, v = repeat_kv(k, self.num_key_value_groups), repeat_kv(v, self.num_key_value_groups)
        scores = torch.matmul(q, k.transpose(-1, -2)) * self.scaling + index_mask.unsqueeze(1)
        probs = F.softmax(scores, dim=-1, dtype=torch.float32)
        o = torch.matmul(probs, v).transpose(1, 2).reshape(*hidden_states.shape[:-1], -1)
        return self.o_proj(o), None


class SparseLayer(FooDecoderLayer):
    attention = SparseAttention


class MTPModule(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.enorm, self.hnorm = nn.RMSNorm(config.hidden_size), nn.RMSNorm(config.hidden_size)
        self.eh_proj = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.block = SparseLayer(config, 0)


class SparseModel(FooModel):
    layer_class = SparseLayer


class SparseForCausalLM(FooForCausalLMBase):
    config_class, model_class = SparseConfig, SparseModel

    def __init__(self, config):
        super().__init__(config)
        self.mtp = nn.ModuleList([MTPModule(config) for _ in range(config.num_nextn_predict_layers)])
        self.post_init()

    def forward(self, input_ids=None, **kwargs):
        out = super().forward(input_ids, **kwargs)
        if self.training:
            h = out.logits
            for m in self.mtp:
                h = m.eh_proj(torch.cat([m.enorm(h), m.hnorm(h)], -1))
        return out
