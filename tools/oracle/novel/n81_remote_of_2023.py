"""As remote code of 2023 has it: tables of RoPE that places pick from, masks expanded by hand, tuples of keys and
values, a causal buffer of the longest text; a window by a difference of triangles."""

import math
from typing import List, Optional, Tuple, Union
import torch
import torch.utils.checkpoint
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers import PretrainedConfig


class OldConfig(PretrainedConfig):
    model_type = "oldstyle"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(
        self,
        vocab_size=97,
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        hidden_act="silu",
        max_position_embeddings=256,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        rope_scaling_factor=1.0,
        use_cache=True,
        window=40,
        **kwargs,
    ):
        self.vocab_size, self.hidden_size, self.intermediate_size = vocab_size, hidden_size, intermediate_size
        self.num_hidden_layers, self.num_attention_heads, self.num_key_value_heads = (
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
        )
        self.hidden_act, self.max_position_embeddings, self.rms_norm_eps = (
            hidden_act,
            max_position_embeddings,
            rms_norm_eps,
        )
        self.rope_theta, self.rope_scaling_factor, self.use_cache, self.window = (
            rope_theta,
            rope_scaling_factor,
            use_cache,
            window,
        )
        super().__init__(**kwargs)


def _make_causal_mask(input_ids_shape, dtype, device, past_key_values_length: int = 0):
    bsz, tgt_len = input_ids_shape
    mask = torch.full((tgt_len, tgt_len), torch.finfo(dtype).min, device=device)
    mask_cond = torch.arange(mask.size(-1), device=device)
    mask.masked_fill_(mask_cond < (mask_cond + 1).view(mask.size(-1), 1), 0)
    mask = mask.to(dtype)
    if past_key_values_length > 0:
        mask = torch.cat([torch.zeros(tgt_len, past_key_values_length, dtype=dtype, device=device), mask], dim=-1)
    return mask[None, None, :, :].expand(bsz, 1, tgt_len, tgt_len + past_key_values_length)


def _expand_mask(mask, dtype, tgt_len=None):
    bsz, src_len = mask.size()
    expanded_mask = mask[:, None, None, :].expand(bsz, 1, tgt_len or src_len, src_len).to(dtype)
    inverted_mask = 1.0 - expanded_mask
    return inverted_mask.masked_fill(inverted_mask.to(torch.bool), torch.finfo(dtype).min)


class OldRMSNorm(nn.Module):
    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        if self.weight.dtype in [torch.float16, torch.bfloat16]:
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class OldRotary(nn.Module):
    def __init__(self, dim, max_position_embeddings=2048, base=10000, factor=1.0):
        super().__init__()
        self.dim, self.base, self.factor, self.max_position_embeddings = dim, base, factor, max_position_embeddings
        self.inv_freq = None
        self._set(max_position_embeddings, torch.float32)

    def _set(self, seq_len, dtype):
        self.max_seq_len_cached = seq_len
        base = self.base
        if seq_len > self.max_position_embeddings:
            base = self.base * ((self.factor * seq_len / self.max_position_embeddings) - (self.factor - 1)) ** (
                self.dim / (self.dim - 2)
            )
        inv_freq = 1.0 / (base ** (torch.arange(0, self.dim, 2).float() / self.dim))
        t = torch.arange(seq_len, dtype=inv_freq.dtype)
        freqs = torch.einsum("i,j->ij", t, inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        self.cos_cached = emb.cos()[None, None, :, :].to(dtype)
        self.sin_cached = emb.sin()[None, None, :, :].to(dtype)

    def forward(self, x, seq_len=None):
        if seq_len > self.max_seq_len_cached:
            self._set(seq_len, x.dtype)
        return self.cos_cached[:, :, :seq_len, ...].to(x), self.sin_cached[:, :, :seq_len, ...].to(x)


def rotate_half(x):
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def apply_rotary(q, k, cos, sin, position_ids):
    cos, sin = cos.squeeze(1).squeeze(0), sin.squeeze(1).squeeze(0)
    cos, sin = cos[position_ids].unsqueeze(1), sin[position_ids].unsqueeze(1)
    return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)


class OldAttention(nn.Module):
    def __init__(self, config, idx):
        super().__init__()
        self.h, self.kv, self.d = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.hidden_size // config.num_attention_heads,
        )
        self.W_pack = nn.Linear(config.hidden_size, (self.h + 2 * self.kv) * self.d, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.rotary_emb = OldRotary(
            self.d, config.max_position_embeddings, config.rope_theta, config.rope_scaling_factor
        )
        self.local = idx % 2 == 0
        self.register_buffer(
            "bias",
            torch.tril(
                torch.ones(config.max_position_embeddings, config.max_position_embeddings, dtype=torch.bool)
            ).view(1, 1, config.max_position_embeddings, -1),
            persistent=False,
        )
        self.window = config.window

    def forward(
        self,
        hidden_states,
        attention_mask=None,
        position_ids=None,
        past_key_value=None,
        output_attentions=False,
        use_cache=False,
    ):
        bsz, q_len, _ = hidden_states.size()
        packed = self.W_pack(hidden_states)
        q, k, v = packed.split([self.h * self.d, self.kv * self.d, self.kv * self.d], dim=-1)
        q = q.view(bsz, q_len, self.h, self.d).transpose(1, 2)
        k = k.view(bsz, q_len, self.kv, self.d).transpose(1, 2)
        v = v.view(bsz, q_len, self.kv, self.d).transpose(1, 2)
        kv_seq_len = k.shape[-2]
        if past_key_value is not None:
            kv_seq_len += past_key_value[0].shape[-2]
        cos, sin = self.rotary_emb(v, seq_len=kv_seq_len)
        q, k = apply_rotary(q, k, cos, sin, position_ids)
        if past_key_value is not None:
            k, v = torch.cat([past_key_value[0], k], dim=2), torch.cat([past_key_value[1], v], dim=2)
        past_key_value = (k, v) if use_cache else None
        k, v = (
            z[:, :, None]
            .expand(bsz, self.kv, self.h // self.kv, kv_seq_len, self.d)
            .reshape(bsz, self.h, kv_seq_len, self.d)
            for z in (k, v)
        )
        w = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.d)
        if w.size() != (bsz, self.h, q_len, kv_seq_len):
            raise ValueError(
                f"Attention weights should be of size {(bsz, self.h, q_len, kv_seq_len)}, but is {w.size()}"
            )
        if self.local:
            seen = self.bias[:, :, kv_seq_len - q_len : kv_seq_len, :kv_seq_len]
            seen = torch.bitwise_xor(seen, torch.tril(seen, -self.window))
            w = torch.where(seen, w, torch.tensor(torch.finfo(w.dtype).min, dtype=w.dtype))
        else:
            w = w + attention_mask
            w = torch.max(w, torch.tensor(torch.finfo(w.dtype).min))
        w = nn.functional.softmax(w, dim=-1, dtype=torch.float32).to(q.dtype)
        out = torch.matmul(w, v).transpose(1, 2).contiguous().reshape(bsz, q_len, self.h * self.d)
        return self.o_proj(out), (w if output_attentions else None), past_key_value


class OldLayer(nn.Module):
    def __init__(self, config, idx):
        super().__init__()
        self.self_attn = OldAttention(config, idx)
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act_fn = ACT2FN[config.hidden_act]
        self.ln1, self.ln2 = OldRMSNorm(config.hidden_size, config.rms_norm_eps), OldRMSNorm(
            config.hidden_size, config.rms_norm_eps
        )

    def forward(
        self, h, attention_mask=None, position_ids=None, past_key_value=None, output_attentions=False, use_cache=False
    ):
        a, w, present = self.self_attn(
            self.ln1(h), attention_mask, position_ids, past_key_value, output_attentions, use_cache
        )
        h = h + a
        x = self.ln2(h)
        h = h + self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
        outputs = (h,)
        if output_attentions:
            outputs += (w,)
        if use_cache:
            outputs += (present,)
        return outputs


class OldForCausalLM(PreTrainedModel):
    config_class = OldConfig
    base_model_prefix = "model"
    _tied_weights_keys = {}

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([OldLayer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = OldRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def _prepare_decoder_attention_mask(self, attention_mask, input_shape, inputs_embeds, past_key_values_length):
        combined = None
        if input_shape[-1] > 1:
            combined = _make_causal_mask(
                input_shape, inputs_embeds.dtype, inputs_embeds.device, past_key_values_length
            )
        if attention_mask is not None:
            expanded = _expand_mask(attention_mask, inputs_embeds.dtype, tgt_len=input_shape[-1])
            combined = expanded if combined is None else expanded + combined
        return combined

    def forward(
        self,
        input_ids: torch.LongTensor = None,
        attention_mask: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.LongTensor] = None,
        past_key_values: Optional[List[torch.FloatTensor]] = None,
        inputs_embeds=None,
        labels=None,
        use_cache: Optional[bool] = None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict: Optional[bool] = None,
    ) -> Union[Tuple, CausalLMOutputWithPast]:
        output_attentions = output_attentions if output_attentions is not None else False
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else True
        batch_size, seq_length = input_ids.shape
        past_length = 0
        if past_key_values is not None:
            past_length = past_key_values[0][0].shape[2]
        if position_ids is None:
            position_ids = torch.arange(
                past_length, seq_length + past_length, dtype=torch.long, device=input_ids.device
            )
            position_ids = position_ids.unsqueeze(0).view(-1, seq_length)
        else:
            position_ids = position_ids.view(-1, seq_length).long()
        h = self.embed_tokens(input_ids)
        if attention_mask is None:
            attention_mask = torch.ones((batch_size, seq_length + past_length), dtype=torch.bool, device=h.device)
        mask = self._prepare_decoder_attention_mask(attention_mask, (batch_size, seq_length), h, past_length)
        next_cache = () if use_cache else None
        for idx, layer in enumerate(self.layers):
            past = past_key_values[idx] if past_key_values is not None else None
            out = layer(h, mask, position_ids, past, output_attentions, use_cache)
            h = out[0]
            if use_cache:
                next_cache += (out[2 if output_attentions else 1],)
        logits = self.lm_head(self.norm(h)).float()
        if not return_dict:
            return (logits, next_cache)
        return CausalLMOutputWithPast(loss=None, logits=logits, past_key_values=None)
