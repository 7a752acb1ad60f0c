"""Multi-head latent attention as DeepSeek's own inference code has it: absorbed weights, complex rotations, YaRN."""

import math
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class LatentConfig(PretrainedConfig):
    model_type = "latent_lm"

    def __init__(
        self,
        vocab_size=101,
        dim=48,
        inter_dim=96,
        n_layers=3,
        n_heads=4,
        q_lora_rank=24,
        kv_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        max_seq_len=256,
        original_seq_len=64,
        rope_theta=10000.0,
        rope_factor=4.0,
        beta_fast=32,
        beta_slow=1,
        mscale=1.0,
        **kw
    ):
        for k, v in list(locals().items()):
            if k not in ("self", "kw", "__class__"):
                setattr(self, k, v)
        self.num_hidden_layers, self.hidden_size = n_layers, dim
        super().__init__(**kw)


def precompute_freqs_cis(args):
    dim, seqlen, base, factor = args.qk_rope_head_dim, args.max_seq_len, args.rope_theta, args.rope_factor

    def find_correction_dim(num_rotations):
        return dim * math.log(args.original_seq_len / (num_rotations * 2 * math.pi)) / (2 * math.log(base))

    freqs = 1.0 / (base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    if seqlen > args.original_seq_len:
        low = max(math.floor(find_correction_dim(args.beta_fast)), 0)
        high = min(math.ceil(find_correction_dim(args.beta_slow)), dim - 1)
        ramp = torch.clamp((torch.arange(dim // 2, dtype=torch.float32) - low) / max(high - low, 0.001), 0, 1)
        smooth = 1 - ramp
        freqs = freqs / factor * (1 - smooth) + freqs * smooth
    freqs = torch.outer(torch.arange(seqlen), freqs)
    return torch.polar(torch.ones_like(freqs), freqs)


def apply_rotary_emb(x, freqs_cis):
    dtype = x.dtype
    x = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    freqs_cis = freqs_cis.view(1, x.size(1), 1, x.size(-1))
    return torch.view_as_real(x * freqs_cis).flatten(3).to(dtype)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.dim, self.eps, self.weight = dim, eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return F.rms_norm(x, (self.dim,), self.weight, self.eps)


class MLA(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.a, self.n, self.nope, self.rope, self.v = (
            args,
            args.n_heads,
            args.qk_nope_head_dim,
            args.qk_rope_head_dim,
            args.v_head_dim,
        )
        self.wq_a, self.q_norm = nn.Linear(args.dim, args.q_lora_rank, bias=False), RMSNorm(args.q_lora_rank)
        self.wq_b = nn.Linear(args.q_lora_rank, self.n * (self.nope + self.rope), bias=False)
        self.wkv_a, self.kv_norm = nn.Linear(args.dim, args.kv_lora_rank + self.rope, bias=False), RMSNorm(
            args.kv_lora_rank
        )
        self.wkv_b = nn.Linear(args.kv_lora_rank, self.n * (self.nope + self.v), bias=False)
        self.wo = nn.Linear(self.n * self.v, args.dim, bias=False)
        self.softmax_scale = (self.nope + self.rope) ** -0.5
        if args.max_seq_len > args.original_seq_len:
            mscale = 0.1 * args.mscale * math.log(args.rope_factor) + 1.0
            self.softmax_scale = self.softmax_scale * mscale * mscale

    def forward(self, x, freqs_cis, mask):
        bsz, seqlen, _ = x.size()
        q = self.wq_b(self.q_norm(self.wq_a(x))).view(bsz, seqlen, self.n, self.nope + self.rope)
        q_nope, q_pe = torch.split(q, [self.nope, self.rope], dim=-1)
        q_pe = apply_rotary_emb(q_pe, freqs_cis)
        kv, k_pe = torch.split(self.wkv_a(x), [self.a.kv_lora_rank, self.rope], dim=-1)
        k_pe = apply_rotary_emb(k_pe.unsqueeze(2), freqs_cis)
        wkv_b = self.wkv_b.weight.view(self.n, -1, self.a.kv_lora_rank)
        q_nope = torch.einsum("bshd,hdc->bshc", q_nope, wkv_b[:, : self.nope])
        kv = self.kv_norm(kv)
        scores = (
            torch.einsum("bshc,btc->bsht", q_nope, kv) + torch.einsum("bshr,btr->bsht", q_pe, k_pe.squeeze(2))
        ) * self.softmax_scale
        if mask is not None:
            scores += mask.unsqueeze(1)
        scores = scores.softmax(dim=-1, dtype=torch.float32).type_as(x)
        x = torch.einsum("bsht,btc->bshc", scores, kv)
        x = torch.einsum("bshc,hdc->bshd", x, wkv_b[:, -self.v :])
        return self.wo(x.flatten(2))


class Block(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.attn, self.attn_norm, self.ffn_norm = MLA(args), RMSNorm(args.dim), RMSNorm(args.dim)
        self.w1, self.w2, self.w3 = (
            nn.Linear(args.dim, args.inter_dim, bias=False),
            nn.Linear(args.inter_dim, args.dim, bias=False),
            nn.Linear(args.dim, args.inter_dim, bias=False),
        )

    def forward(self, x, freqs_cis, mask):
        x = x + self.attn(self.attn_norm(x), freqs_cis, mask)
        h = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class LatentForCausalLM(PreTrainedModel):
    config_class = LatentConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.n_layers)])
        self.norm, self.head = RMSNorm(config.dim), nn.Linear(config.dim, config.vocab_size, bias=False)
        self.register_buffer("freqs_cis", precompute_freqs_cis(config), persistent=False)
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        if module is self:
            self.freqs_cis.copy_(precompute_freqs_cis(self.config))

    def forward(self, input_ids, start_pos=0, **kwargs):
        seqlen = input_ids.size(1)
        h = self.embed(input_ids)
        freqs_cis = self.freqs_cis[start_pos : start_pos + seqlen]
        mask = None
        if seqlen > 1:
            mask = torch.full((seqlen, seqlen), float("-inf"), device=input_ids.device).triu_(1)
        for layer in self.layers:
            h = layer(h, freqs_cis, mask)
        return CausalLMOutputWithPast(logits=self.head(self.norm(h)).float())
