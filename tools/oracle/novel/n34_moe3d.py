"""Experts of 3 dimensions, groups with a bias, a gated shared expert, first layer dense; sliding and full layers."""

import torch
from torch import nn
from transformers.integrations import use_experts_implementation
from .hf_parts import FooAttention, FooConfig, FooDecoderLayer, FooForCausalLMBase, FooMLP, FooModel


class GroupMoeConfig(FooConfig):
    model_type = "group_moe"

    def __init__(
        self,
        num_experts=12,
        num_experts_per_tok=3,
        n_group=4,
        topk_group=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
        routed_scaling_factor=2.5,
        norm_topk_prob=True,
        **kw
    ):
        kw.setdefault("layer_types", ["sliding_attention", "full_attention", "sliding_attention"])
        self.num_experts, self.num_experts_per_tok, self.n_group = num_experts, num_experts_per_tok, n_group
        self.topk_group, self.moe_intermediate_size = topk_group, moe_intermediate_size
        self.first_k_dense_replace, self.routed_scaling_factor = first_k_dense_replace, routed_scaling_factor
        self.norm_topk_prob = norm_topk_prob
        super().__init__(**kw)


class GroupMoeRouter(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.zeros(config.num_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.randn(config.num_experts) * 0.1)

    def forward(self, hidden_states):
        c = self.config
        logits = nn.functional.linear(hidden_states.float(), self.weight.float())
        scores = logits.sigmoid()
        choice = scores + self.e_score_correction_bias.unsqueeze(0)
        groups = choice.view(-1, c.n_group, c.num_experts // c.n_group).topk(2, dim=-1)[0].sum(dim=-1)
        group_idx = torch.topk(groups, k=c.topk_group, dim=-1, sorted=False)[1]
        group_mask = torch.zeros_like(groups)
        group_mask.scatter_(1, group_idx, 1)
        score_mask = (
            group_mask.unsqueeze(-1).expand(-1, c.n_group, c.num_experts // c.n_group).reshape(-1, c.num_experts)
        )
        choice = choice.masked_fill(~score_mask.bool(), float("-inf"))
        topk_indices = torch.topk(choice, k=c.num_experts_per_tok, dim=-1, sorted=False)[1]
        topk_weights = scores.gather(1, topk_indices)
        if c.norm_topk_prob:
            topk_weights /= topk_weights.sum(dim=-1, keepdim=True) + 1e-20
        return logits, topk_weights * c.routed_scaling_factor, topk_indices


class GroupMoeExperts(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.num_experts = config.num_experts
        n, d = config.moe_intermediate_size, config.hidden_size
        self.w13 = nn.Parameter(torch.zeros(config.num_experts, d, 2 * n))
        self.w2 = nn.Parameter(torch.zeros(config.num_experts, n, d))
        self.limit = 7.0

    def forward(self, hidden_states, top_k_index, top_k_weights):
        final = torch.zeros_like(hidden_states)
        with torch.no_grad():
            expert_mask = nn.functional.one_hot(top_k_index, num_classes=self.num_experts)
            expert_mask = expert_mask.permute(2, 1, 0)
            expert_hit = torch.greater(expert_mask.sum(dim=(-1, -2)), 0).nonzero()
        for expert_idx in expert_hit:
            expert_idx = expert_idx[0]
            with torch.no_grad():
                top_k_pos, token_idx = torch.where(expert_mask[expert_idx])
            current = hidden_states[token_idx]
            gate, up = (current @ self.w13[expert_idx]).chunk(2, dim=-1)
            gate, up = gate.clamp(max=self.limit), up.clamp(min=-self.limit, max=self.limit)
            out = (up + 1) * gate * torch.sigmoid(gate * 1.702) @ self.w2[expert_idx]
            out = out * top_k_weights[token_idx, top_k_pos, None]
            final.index_add_(0, token_idx, out.to(final.dtype))
        return final


class GroupMoeBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate, self.experts = GroupMoeRouter(config), GroupMoeExperts(config)
        self.shared_expert = FooMLP(config, config.moe_intermediate_size)
        self.shared_expert_gate = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(self, hidden_states):
        shape = hidden_states.shape
        x = hidden_states.view(-1, shape[-1])
        _, weights, indices = self.gate(x)
        y = self.experts(x, indices, weights)
        y = y + torch.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)
        return y.reshape(shape)


class GroupMoeDecoderLayer(FooDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.mlp = FooMLP(config) if layer_idx < config.first_k_dense_replace else GroupMoeBlock(config)


class GroupMoeModel(FooModel):
    layer_class = GroupMoeDecoderLayer


class GroupMoeForCausalLM(FooForCausalLMBase):
    config_class, model_class = GroupMoeConfig, GroupMoeModel
