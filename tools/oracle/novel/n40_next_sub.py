"""Qwen3-Next's classes modified, as a modular file does: full, sliding and linear layers, values' residual, MoE dense
first."""

import torch
from torch import nn
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import (
    Qwen3NextAttention,
    Qwen3NextDecoderLayer,
    Qwen3NextForCausalLM,
    Qwen3NextGatedDeltaNet,
    Qwen3NextMLP,
    Qwen3NextModel,
    Qwen3NextRMSNorm,
)
from transformers.modeling_outputs import MoeModelOutputWithPast


class AfterConfig(Qwen3NextConfig):
    model_type = "after_next"

    def __init__(self, **kw):
        own = dict(
            vocab_size=101,
            hidden_size=48,
            intermediate_size=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=256,
            linear_num_value_heads=4,
            linear_num_key_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=16,
            num_experts=8,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
            decoder_sparse_step=1,
            mlp_only_layers=[0],
            sliding_window=12,
            layer_types=["linear_attention", "sliding_attention", "linear_attention", "full_attention"],
            pad_token_id=None,
        )
        super().__init__(**(own | kw))
        self.sliding_window = (own | kw)["sliding_window"]


class AfterDeltaNet(Qwen3NextGatedDeltaNet):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.out_gate = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden_states, cache=None, attention_mask=None, **kwargs):
        y = super().forward(hidden_states, cache, attention_mask, **kwargs)
        return y * torch.sigmoid(self.out_gate(hidden_states))


class AfterAttention(Qwen3NextAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.sliding_window = config.sliding_window if config.layer_types[layer_idx] == "sliding_attention" else None
        self.post_norm = Qwen3NextRMSNorm(config.hidden_size)

    def forward(self, hidden_states, *args, **kwargs):
        out, w = super().forward(hidden_states, *args, sliding_window=self.sliding_window, **kwargs)
        return self.post_norm(out), w


class AfterDecoderLayer(Qwen3NextDecoderLayer):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        if config.layer_types[layer_idx] == "linear_attention":
            self.linear_attn = AfterDeltaNet(config, layer_idx)
        else:
            self.self_attn = AfterAttention(config, layer_idx)


class AfterModel(Qwen3NextModel):
    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([AfterDecoderLayer(config, i) for i in range(config.num_hidden_layers)])
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        cache=None,
        inputs_embeds=None,
        use_cache=None,
        **kwargs
    ):
        h = self.embed_tokens(input_ids)
        if position_ids is None:
            position_ids = torch.arange(h.shape[1], device=h.device).unsqueeze(0)
        given = dict(
            config=self.config, inputs_embeds=h, attention_mask=attention_mask, cache=cache, position_ids=position_ids
        )
        masks = {
            "full_attention": create_causal_mask(**given),
            "sliding_attention": create_sliding_window_causal_mask(**given),
            "linear_attention": None,
        }
        pe = self.rotary_emb(h, position_ids)
        for i, layer in enumerate(self.layers):
            h = layer(
                h,
                position_embeddings=pe,
                attention_mask=masks[self.config.layer_types[i]],
                position_ids=position_ids,
                cache=cache,
                use_cache=use_cache,
            )
        return MoeModelOutputWithPast(last_hidden_state=self.norm(h), past_key_values=cache)


class AfterForCausalLM(Qwen3NextForCausalLM):
    config_class = AfterConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = AfterModel(config)
        self.post_init()
