"""As speed runs of small GPTs write it: value embeddings, u-net skips, x0 mixed in, relu squared, smeared tokens, rope
of half the head, keys shifted, sigmoid-capped logits, gates of attention by few channels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


def norm(x: Tensor):
    return F.rms_norm(x, (x.size(-1),))


class SpeedConfig(PretrainedConfig):
    model_type = "speed_gpt"

    def __init__(
        self, vocab_size=101, model_dim=64, num_layers=6, num_heads=4, head_dim=16, max_seq_len=256, window=16, **kw
    ):
        self.vocab_size, self.model_dim, self.num_layers, self.num_heads = vocab_size, model_dim, num_layers, num_heads
        self.head_dim, self.max_seq_len, self.window = head_dim, max_seq_len, window
        super().__init__(**kw)


class CastedLinear(nn.Linear):
    def __init__(self, i, o):
        super().__init__(i, o, bias=False)

    def forward(self, x):
        return F.linear(x, self.weight.type_as(x))


class Rotary(nn.Module):
    def __init__(self, dim, max_seq_len):
        super().__init__()
        self.dim, self.max_seq_len = dim, max_seq_len
        for n, v in zip(("cos", "sin"), self.table()):
            self.register_buffer(n, v, persistent=False)

    def table(self):
        angular_freq = (1 / 1024) ** (torch.arange(self.dim // 4, dtype=torch.float32) / (self.dim // 4 - 1))
        angular_freq = torch.cat([angular_freq, angular_freq.new_zeros(self.dim // 4)])
        t = torch.arange(self.max_seq_len, dtype=torch.float32)
        theta = torch.einsum("i,j -> ij", t, angular_freq)
        return theta.cos(), theta.sin()

    def forward(self, x_BTHD):
        cos, sin = self.cos[None, : x_BTHD.size(-3), None, :], self.sin[None, : x_BTHD.size(-3), None, :]
        x1, x2 = x_BTHD.to(dtype=torch.float32).chunk(2, dim=-1)
        y1 = x1 * cos + x2 * sin
        y2 = x1 * (-sin) + x2 * cos
        return torch.cat((y1, y2), 3).type_as(x_BTHD)


class CausalSelfAttention(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h, self.d = c.num_heads, c.head_dim
        self.qkvo_w = nn.Parameter(torch.randn(4, self.h * self.d, c.model_dim) * 0.02)
        self.rotary, self.window = Rotary(c.head_dim, c.max_seq_len), c.window * (4 if i % 3 == 0 else 1)
        self.attn_gate = CastedLinear(12, c.num_heads)
        self.shift = i % 2 == 0

    def forward(self, x, ve, lambdas):
        B, T = x.size(0), x.size(1)
        q, k, v = (
            F.linear(x, self.qkvo_w[:3].flatten(end_dim=1).type_as(x)).view(B, T, 3 * self.h, self.d).chunk(3, dim=-2)
        )
        q, k = norm(q), norm(k)
        q, k = self.rotary(q), self.rotary(k)
        if self.shift:
            k = torch.cat(
                [
                    torch.cat([torch.zeros_like(k[:, :1, :, self.d // 2 :]), k[:, :-1, :, self.d // 2 :]], 1),
                    k[..., : self.d // 2],
                ],
                -1,
            )
        v = lambdas[0] * v + lambdas[1] * ve.view_as(v) if ve is not None else lambdas[0] * v
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        i = torch.arange(T, device=x.device)
        mask = (i[:, None] >= i[None, :]) & (i[:, None] - i[None, :] < self.window)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.12).transpose(1, 2)
        y = y * torch.sigmoid(self.attn_gate(x[..., :12])).view(B, T, self.h, 1)
        return F.linear(y.contiguous().view(B, T, self.h * self.d), self.qkvo_w[3].t().type_as(y))


class MLP(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.c_fc, self.c_proj = nn.Parameter(torch.randn(dim, 4 * dim) * 0.02), nn.Parameter(
            torch.randn(dim, 4 * dim) * 0.02
        )

    def forward(self, x):
        x = F.linear(x, self.c_fc.T)
        return F.linear(F.relu(x).square(), self.c_proj)


class Block(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.attn = CausalSelfAttention(c, i) if i != 2 else None
        self.mlp = MLP(c.model_dim)

    def forward(self, x, ve, x0, lambdas, sa_lambdas):
        x = lambdas[0] * x + lambdas[1] * x0
        if self.attn is not None:
            x = x + self.attn(norm(x), ve, sa_lambdas)
        return x + self.mlp(norm(x))


class SpeedGPTForCausalLM(PreTrainedModel):
    config_class = SpeedConfig

    def __init__(self, config):
        super().__init__(config)
        c, n = config, config.num_layers
        self.embed, self.value_embeds = nn.Embedding(c.vocab_size, c.model_dim), nn.ModuleList(
            [nn.Embedding(c.vocab_size, c.num_heads * c.head_dim) for _ in range(2)]
        )
        self.smear_gate = CastedLinear(12, 1)
        self.blocks = nn.ModuleList([Block(c, i) for i in range(n)])
        self.lm_head = CastedLinear(c.model_dim, c.vocab_size)
        self.scalars = nn.Parameter(
            torch.cat(
                [
                    -1.5 * torch.ones(n // 2),
                    *[torch.tensor([1.0, 0.1]) for _ in range(n)],
                    *[torch.tensor([0.5, 0.5]) for _ in range(n)],
                    torch.zeros(1),
                ]
            )
        )
        self.post_init()

    def _init_weights(self, m):
        super()._init_weights(m)
        if isinstance(m, Rotary):
            for b, v in zip((m.cos, m.sin), m.table()):
                b.copy_(v)

    def forward(self, input_ids, **kwargs):
        n = len(self.blocks)
        x = self.embed(input_ids)
        smear = self.scalars[-1] * torch.sigmoid(self.smear_gate(x[:, 1:, :12]))
        x = torch.cat([x[:, :1], x[:, 1:] + smear * x[:, :-1]], dim=1)
        x = x0 = norm(x)
        ve = [e(input_ids) for e in self.value_embeds]
        ve = [ve[0], ve[1]] + [None] * (n - 4) + [ve[0], ve[1]]
        lambdas, sa_lambdas = self.scalars[n // 2 : n // 2 + 2 * n].view(-1, 2), self.scalars[
            n // 2 + 2 * n : n // 2 + 4 * n
        ].view(-1, 2)
        skips = []
        for i, block in enumerate(self.blocks):
            if i >= n // 2:
                x = x + torch.sigmoid(self.scalars[i - n // 2]) * skips.pop()
            x = block(x, ve[i], x0, lambdas[i], sa_lambdas[i])
            if i < n // 2:
                skips.append(x)
        logits = self.lm_head(norm(x)).float()
        return CausalLMOutput(logits=30 * torch.sigmoid(logits / 7.5))
