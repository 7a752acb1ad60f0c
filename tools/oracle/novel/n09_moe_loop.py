"""MoE with python loop and index_add, sigmoid gate with bias, shared expert with gate, noaux groups; transformers
DynamicCache + attention_interface."""

from typing import Callable, Optional
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import CausalLMOutputWithPast, BaseModelOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

STEPWISE = True


class ZetaConfig(PretrainedConfig):
    model_type = "zeta_moe"
    attribute_map = {"hidden_size": "dim", "num_hidden_layers": "depth", "num_attention_heads": "heads"}
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(
        self,
        vocab_size=97,
        dim=48,
        depth=3,
        heads=4,
        num_key_value_heads=2,
        head_dim=16,
        n_experts=6,
        topk=2,
        rope_base=5000.0,
        max_position_embeddings=512,
        **kw
    ):
        self.vocab_size, self.dim, self.depth, self.heads, self.num_key_value_heads, self.head_dim = (
            vocab_size,
            dim,
            depth,
            heads,
            num_key_value_heads,
            head_dim,
        )
        self.n_experts, self.topk, self.rope_base, self.max_position_embeddings = (
            n_experts,
            topk,
            rope_base,
            max_position_embeddings,
        )
        super().__init__(**kw)


def repeat_kv(h, n):
    b, k, s, d = h.shape
    return h if n == 1 else h[:, :, None].expand(b, k, n, s, d).reshape(b, k * n, s, d)


def eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    key, value = repeat_kv(key, module.groups), repeat_kv(value, module.groups)
    w = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        w = w + attention_mask
    w = F.softmax(w, dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.matmul(w, value).transpose(1, 2).contiguous(), w


def rotate_half(x):
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


class ZetaAttention(nn.Module):
    def __init__(self, c, layer_idx):
        super().__init__()
        self.config, self.layer_idx, self.hd = c, layer_idx, c.head_dim
        self.groups, self.num_key_value_groups, self.scaling, self.is_causal = (
            c.heads // c.num_key_value_heads,
            c.heads // c.num_key_value_heads,
            c.head_dim**-0.5,
            True,
        )
        self.q_proj = nn.Linear(c.dim, c.heads * c.head_dim * 2, bias=False)
        self.k_proj = nn.Linear(c.dim, c.num_key_value_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(c.dim, c.num_key_value_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.dim, bias=False)

    def forward(self, x, cos_sin, mask, past_key_values=None, **kw):
        shape = (*x.shape[:-1], -1, self.hd)
        q, gate = self.q_proj(x).view(*x.shape[:-1], -1, 2 * self.hd).chunk(2, -1)
        q, k, v = (
            q.transpose(1, 2),
            self.k_proj(x).view(shape).transpose(1, 2),
            self.v_proj(x).view(shape).transpose(1, 2),
        )
        cos, sin = (y.unsqueeze(1) for y in cos_sin)
        n = cos.shape[-1]
        rope = lambda y: torch.cat([y[..., :n] * cos + rotate_half(y[..., :n]) * sin, y[..., n:]], -1)
        q, k = rope(q), rope(k)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, self.layer_idx)
        f: Callable = eager_attention_forward
        if self.config._attn_implementation != "eager":
            f = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        y, _ = f(self, q, k, v, mask, dropout=0.0, scaling=self.scaling, **kw)
        y = y * torch.sigmoid(gate)
        return self.o_proj(y.reshape(*x.shape[:-1], -1).contiguous())


class Expert(nn.Module):
    def __init__(self, d, f):
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(d, f, bias=False),
            nn.Linear(f, d, bias=False),
            nn.Linear(d, f, bias=False),
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class ZetaMoE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.n, self.k = c.n_experts, c.topk
        self.gate = nn.Linear(c.dim, c.n_experts, bias=False)
        self.register_buffer("bias_corr", torch.zeros(c.n_experts))
        self.experts = nn.ModuleList([Expert(c.dim, 32) for _ in range(c.n_experts)])
        self.shared, self.shared_gate = Expert(c.dim, 40), nn.Linear(c.dim, 1, bias=False)

    def forward(self, x):
        B, T, D = x.shape
        flat = x.view(-1, D)
        scores = torch.sigmoid(self.gate(flat).float())
        _, idx = torch.topk(scores + self.bias_corr, self.k, dim=-1, sorted=False)
        w = scores.gather(1, idx)
        w = (w / (w.sum(-1, keepdim=True) + 1e-20) * 2.5).to(x.dtype)
        out = torch.zeros_like(flat)
        for e in range(self.n):
            tok, slot = torch.where(idx == e)
            if tok.numel() == 0:
                continue
            out.index_add_(0, tok, self.experts[e](flat[tok]) * w[tok, slot].unsqueeze(-1))
        return (out + torch.sigmoid(self.shared_gate(flat)) * self.shared(flat)).view(B, T, D)


class ZetaLayer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.self_attn = ZetaAttention(c, i)
        self.mlp = ZetaMoE(c) if i > 0 else Expert(c.dim, 64)
        self.pre, self.post, self.pre2, self.post2 = (nn.RMSNorm(c.dim, eps=1e-6) for _ in range(4))

    def forward(self, x, **kw):
        x = x + self.post(self.self_attn(self.pre(x), **kw))
        return x + self.post2(self.mlp(self.pre2(x)))


class ZetaPreTrainedModel(PreTrainedModel):
    config_class = ZetaConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["ZetaLayer"]

    def _init_weights(self, m):
        super()._init_weights(m)


class ZetaModel(ZetaPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList([ZetaLayer(config, i) for i in range(config.depth)])
        self.norm = nn.RMSNorm(config.dim, eps=1e-6)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values: Optional[Cache] = None,
        inputs_embeds=None,
        use_cache=None,
        cache_position=None,
        **kw
    ):
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        if position_ids is None:
            position_ids = torch.arange(seen, seen + inputs_embeds.shape[1], device=inputs_embeds.device)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        inv = 1.0 / (self.config.rope_base ** (torch.arange(0, 8, 2, device=inputs_embeds.device).float() / 8))
        f = position_ids[..., None].float() * inv
        emb = torch.cat([f, f], -1)
        h = inputs_embeds
        for layer in self.layers:
            h = layer(h, cos_sin=(emb.cos(), emb.sin()), mask=mask, past_key_values=past_key_values)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(h), past_key_values=past_key_values)


class ZetaForCausalLM(ZetaPreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = ZetaModel(config)
        self.lm_head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        labels=None,
        use_cache=None,
        logits_to_keep=0,
        **kw
    ):
        o = self.model(input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache, **kw)
        s = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(o.last_hidden_state[:, s, :])
        logits = torch.tanh(logits / 20.0) * 20.0
        loss = self.loss_function(logits, labels, self.config.vocab_size, **kw) if labels is not None else None
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=o.past_key_values)
