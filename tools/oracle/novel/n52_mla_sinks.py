"""MLA by modular inheritance from DeepSeek-V3 of Transformers with learned sinks in an own eager function, a head-
wise output gate, relu routing and experts in a ModuleList with the one_hot loop; multipliers as muP has."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.deepseek_v3.configuration_deepseek_v3 import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3DecoderLayer,
    DeepseekV3ForCausalLM,
    DeepseekV3MLP,
    DeepseekV3Model,
    DeepseekV3PreTrainedModel,
    apply_rotary_pos_emb_interleave,
    repeat_kv,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class MlaSinksConfig(DeepseekV3Config):
    model_type = "mla_sinks"

    def __init__(self, **kw):
        mine = dict(
            vocab_size=110,
            hidden_size=64,
            intermediate_size=80,
            moe_intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            n_routed_experts=6,
            num_experts_per_tok=2,
            kv_lora_rank=16,
            q_lora_rank=24,
            qk_rope_head_dim=8,
            qk_nope_head_dim=12,
            v_head_dim=10,
            first_k_dense_replace=1,
            n_shared_experts=1,
            n_group=1,
            topk_group=1,
            max_position_embeddings=256,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
        super().__init__(**(mine | kw))
        self.logit_multiplier = kw.get("logit_multiplier", 0.25)


def eager_with_sinks(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    k, v = repeat_kv(key, module.num_key_value_groups), repeat_kv(value, module.num_key_value_groups)
    w = torch.matmul(query, k.transpose(2, 3)) * scaling
    if attention_mask is not None:
        w = w + attention_mask[:, :, :, : k.shape[-2]]
    sinks = module.sinks.reshape(1, -1, 1, 1).expand(query.shape[0], -1, query.shape[-2], -1)
    w = torch.cat([w, sinks], dim=-1)
    w = w - w.max(dim=-1, keepdim=True).values
    p = F.softmax(w, dim=-1, dtype=w.dtype)[..., :-1]
    return torch.matmul(p, v).transpose(1, 2).contiguous(), p


class MlaSinksAttention(DeepseekV3Attention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.sinks = nn.Parameter(torch.zeros(config.num_attention_heads))
        self.head_gate = nn.Linear(config.hidden_size, config.num_attention_heads, bias=False)

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, position_embeddings=None, **kwargs):
        b, t = hidden_states.shape[:-1]
        q = (
            self.q_b_proj(self.q_a_layernorm(self.q_a_proj(hidden_states)))
            .view(b, t, -1, self.qk_head_dim)
            .transpose(1, 2)
        )
        q_pass, q_rot = torch.split(q, [self.qk_nope_head_dim, self.qk_rope_head_dim], dim=-1)
        kv = self.kv_a_proj_with_mqa(hidden_states)
        k_pass, k_rot = torch.split(kv, [self.kv_lora_rank, self.qk_rope_head_dim], dim=-1)
        k_pass = (
            self.kv_b_proj(self.kv_a_layernorm(k_pass))
            .view(b, t, -1, self.qk_nope_head_dim + self.v_head_dim)
            .transpose(1, 2)
        )
        k_pass, v = torch.split(k_pass, [self.qk_nope_head_dim, self.v_head_dim], dim=-1)
        k_rot = k_rot.view(b, 1, t, self.qk_rope_head_dim)
        q_rot, k_rot = apply_rotary_pos_emb_interleave(q_rot, k_rot, *position_embeddings)
        k_rot = k_rot.expand(*k_pass.shape[:-1], -1)
        q, k = torch.cat((q_pass, q_rot), dim=-1), torch.cat((k_pass, k_rot), dim=-1)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, self.layer_idx)
        f = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_with_sinks)
        y, w = f(self, q, k, v, attention_mask, dropout=0.0, scaling=self.scaling, s_aux=self.sinks, **kwargs)
        y = y * 2 * torch.sigmoid(self.head_gate(hidden_states)).unsqueeze(-1)
        return self.o_proj(y.reshape(b, t, -1)), w


class ReluMoE(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.top_k, self.num_experts = config.num_experts_per_tok, config.n_routed_experts
        self.gate = nn.Linear(config.hidden_size, self.num_experts, bias=False)
        self.experts = nn.ModuleList(
            [DeepseekV3MLP(config, intermediate_size=config.moe_intermediate_size) for _ in range(self.num_experts)]
        )
        self.shared_experts = DeepseekV3MLP(config, intermediate_size=config.moe_intermediate_size)

    def forward(self, hidden_states):
        b, t, d = hidden_states.shape
        x = hidden_states.view(-1, d)
        weights, chosen = torch.topk(F.relu(self.gate(x)) ** 2, self.top_k, dim=-1)
        weights = weights / (1 + weights.sum(-1, keepdim=True))
        out = torch.zeros((b * t, d), dtype=x.dtype, device=x.device)
        mask = F.one_hot(chosen, num_classes=self.num_experts).permute(2, 1, 0)
        for i in range(self.num_experts):
            idx, top_x = torch.where(mask[i])
            y = self.experts[i](x[None, top_x].reshape(-1, d)) * weights[top_x, idx, None]
            out.index_add_(0, top_x, y.to(x.dtype))
        return out.view(b, t, d) + self.shared_experts(hidden_states)


class MlaSinksLayer(DeepseekV3DecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.self_attn = MlaSinksAttention(config, layer_idx)
        self.mlp = ReluMoE(config) if layer_idx >= config.first_k_dense_replace else DeepseekV3MLP(config)


class MlaSinksModel(DeepseekV3Model):
    config_class = MlaSinksConfig

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([MlaSinksLayer(config, i) for i in range(config.num_hidden_layers)])
        self.post_init()


class MlaSinksForCausalLM(DeepseekV3ForCausalLM):
    config_class = MlaSinksConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = MlaSinksModel(config)
        self.post_init()

    def forward(self, input_ids=None, **kwargs):
        out = super().forward(input_ids=input_ids, **kwargs)
        out.logits = out.logits * self.config.logit_multiplier
        return out
