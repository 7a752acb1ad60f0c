"""A norm of its own kind and an activation of its own in each layer: DyT, Derf, PolyNorm, scale norm, CRMS; xIELU,
relu2, power GLU, gated tanh, Swish with a learned slope; L2-normalized queries and keys with a learned scale; NTK by
dynamic."""

import math
import torch
import torch.nn.functional as F
from torch import nn
from .hf_parts import FooAttention, FooConfig, FooDecoderLayer, FooForCausalLMBase, FooModel, apply_rotary_pos_emb


class KindsConfig(FooConfig):
    model_type = "kinds_lm"

    def __init__(self, num_hidden_layers=5, **kw):
        super().__init__(num_hidden_layers=num_hidden_layers, **kw)


class DyT(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.alpha, self.weight, self.bias = (
            nn.Parameter(torch.ones(1) * 0.5),
            nn.Parameter(torch.ones(d)),
            nn.Parameter(torch.zeros(d)),
        )

    def forward(self, x):
        return torch.tanh(self.alpha * x) * self.weight + self.bias


class Derf(DyT):
    def forward(self, x):
        return torch.erf(self.alpha * x) * self.weight + self.bias


class ScaleNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.g = nn.Parameter(torch.tensor(d**0.5))

    def forward(self, x):
        return self.g * x / torch.norm(x, dim=-1, keepdim=True).clamp(min=1e-5)


class MeanNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        x = x - x.mean(dim=-1, keepdim=True)
        return x / (x.std(dim=-1, keepdim=True, unbiased=False) + 1e-5) * self.weight


class PolyNorm(nn.Module):
    def __init__(self, d=None):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(3) / 3), nn.Parameter(torch.zeros(1))

    def _norm(self, x):
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    def forward(self, x):
        return (
            self.weight[0] * self._norm(x**3)
            + self.weight[1] * self._norm(x**2)
            + self.weight[2] * self._norm(x)
            + self.bias
        )


class XIELU(nn.Module):
    def __init__(self, d=None):
        super().__init__()
        self.alpha_p, self.alpha_n = nn.Parameter(
            torch.log(torch.exp(torch.tensor(0.8)) - 1.0).unsqueeze(0)
        ), nn.Parameter(torch.zeros(1))
        self.beta, self.eps = 0.5, -1e-6

    def forward(self, x):
        alpha_p, alpha_n = F.softplus(self.alpha_p), self.beta + F.softplus(self.alpha_n)
        return torch.where(
            x > 0,
            alpha_p * x * x + self.beta * x,
            (torch.expm1(torch.min(x, torch.tensor(self.eps))) - x) * alpha_n + self.beta * x,
        )


class LearnedSwish(nn.Module):
    def __init__(self, d=None):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.sigmoid(self.slope * x)


class Relu2(nn.Module):
    def __init__(self, d=None):
        super().__init__()

    def forward(self, x):
        return torch.relu(x) ** 2


class Power(nn.Module):
    def __init__(self, d=None):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x.sign() * x.abs().pow(1.5) * torch.exp(-self.p.abs()) + F.mish(x) + F.hardswish(x) * 0.1 + F.elu(x)


NORMS, ACTS = [DyT, Derf, ScaleNorm, MeanNorm, DyT], [XIELU, PolyNorm, LearnedSwish, Relu2, Power]


class CosineAttention(FooAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.sqk = nn.Parameter(torch.ones(config.num_attention_heads, 1, 1) * 4.0)

    def forward(self, hidden_states, position_embeddings, attention_mask=None, **kwargs):
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        q, k, v = (p(hidden_states).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        q, k = F.normalize(q, dim=-1) * self.sqk, F.normalize(k, dim=-1)
        o, w = self.interface()(self, q, k, v, attention_mask, dropout=0.0, scaling=1.0)
        return self.o_proj(o.reshape(*hidden_states.shape[:-1], -1)), w


class KindsMLP(nn.Module):
    def __init__(self, config, i):
        super().__init__()
        self.up, self.gate, self.down = (
            (nn.Linear(config.hidden_size, config.intermediate_size) for _ in range(2)),
            None,
            nn.Linear(config.intermediate_size, config.hidden_size),
        )
        self.up, self.gate = self.up
        self.act = ACTS[i % 5](config.intermediate_size)

    def forward(self, x):
        return self.down(self.act(self.up(x)) * torch.tanh(self.gate(x)))


class KindsLayer(FooDecoderLayer):
    attention = CosineAttention

    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.mlp = KindsMLP(config, layer_idx)
        self.input_layernorm, self.post_attention_layernorm = NORMS[layer_idx % 5](config.hidden_size), NORMS[
            layer_idx % 5
        ](config.hidden_size)


class KindsModel(FooModel):
    layer_class = KindsLayer


class KindsForCausalLM(FooForCausalLMBase):
    config_class, model_class = KindsConfig, KindsModel
