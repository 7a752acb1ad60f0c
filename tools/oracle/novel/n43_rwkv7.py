"""RWKV-7 (Peng et al. 2025) as short files have it: token shift, low-rank gates, a state that forgets by vectors."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class Goose7Config(PretrainedConfig):
    model_type = "goose7"

    def __init__(self, vocab_size=101, n_embd=64, n_layer=3, head_size=16, ctx_len=256, d_lora=8, **kw):
        self.vocab_size, self.n_embd, self.n_layer, self.head_size, self.ctx_len, self.d_lora = (
            vocab_size,
            n_embd,
            n_layer,
            head_size,
            ctx_len,
            d_lora,
        )
        super().__init__(**kw)


def wkv7(r, w, k, v, a, b):
    B, T, H, N = r.shape
    state = torch.zeros(B, H, N, N, device=r.device)
    out = []
    for t in range(T):
        kk, rr = k[:, t].view(B, H, 1, N), r[:, t].view(B, H, N, 1)
        vv, aa, bb = v[:, t].view(B, H, N, 1), a[:, t].view(B, H, N, 1), b[:, t].view(B, H, 1, N)
        state = state * w[:, t, :, None, :] + state @ aa @ bb + vv @ kk
        out.append((state @ rr).view(B, 1, H * N))
    return torch.cat(out, dim=1)


class TimeMix(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, l = c.n_embd, c.d_lora
        self.layer_id, self.H, self.N = i, d // c.head_size, c.head_size
        for n in "rwkvag":
            setattr(self, f"x_{n}", nn.Parameter(torch.rand(1, 1, d)))
        for n in "wavg":
            setattr(self, f"{n}0", nn.Parameter(torch.zeros(1, 1, d)))
            setattr(self, f"{n}1", nn.Parameter(torch.randn(d, l) * 0.05))
            setattr(self, f"{n}2", nn.Parameter(torch.randn(l, d) * 0.05))
        self.k_k, self.k_a, self.r_k = (
            nn.Parameter(torch.ones(1, 1, d)),
            nn.Parameter(torch.ones(1, 1, d)),
            nn.Parameter(torch.randn(self.H, self.N) * 0.1),
        )
        self.time_shift = nn.ZeroPad2d((0, 0, 1, -1))
        self.receptance, self.key, self.value, self.output = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.ln_x = nn.GroupNorm(self.H, d, eps=64e-5)

    def forward(self, x, v_first):
        B, T, C = x.size()
        xx = self.time_shift(x) - x
        xr, xw, xk, xv, xa, xg = (x + xx * getattr(self, f"x_{n}") for n in "rwkvag")
        r, k, v = self.receptance(xr), self.key(xk), self.value(xv)
        w = -F.softplus(-(self.w0 + torch.tanh(xw @ self.w1) @ self.w2)) - 0.5
        if self.layer_id == 0:
            v_first = v
        else:
            v = v + (v_first - v) * torch.sigmoid(self.v0 + (xv @ self.v1) @ self.v2)
        a = torch.sigmoid(self.a0 + (xa @ self.a1) @ self.a2)
        g = torch.sigmoid(xg @ self.g1) @ self.g2
        kk = F.normalize((k * self.k_k).view(B, T, self.H, -1), dim=-1, p=2.0).view(B, T, C)
        k = k * (1 + (a - 1) * self.k_a)
        heads = lambda y: y.view(B, T, self.H, self.N)
        y = wkv7(heads(r), torch.exp(-torch.exp(heads(w))), heads(k), heads(v), heads(-kk), heads(kk * a))
        y = self.ln_x(y.view(B * T, C)).view(B, T, C)
        y = y + ((heads(r) * heads(k) * self.r_k).sum(dim=-1, keepdim=True) * heads(v)).view(B, T, C)
        return self.output(y * g), v_first


class ChannelMix(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.x_k, self.time_shift = nn.Parameter(torch.rand(1, 1, c.n_embd)), nn.ZeroPad2d((0, 0, 1, -1))
        self.key, self.value = nn.Linear(c.n_embd, 4 * c.n_embd, bias=False), nn.Linear(
            4 * c.n_embd, c.n_embd, bias=False
        )

    def forward(self, x):
        k = x + (self.time_shift(x) - x) * self.x_k
        return self.value(torch.relu(self.key(k)) ** 2)


class Block(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.ln0 = nn.LayerNorm(c.n_embd) if i == 0 else nn.Identity()
        self.ln1, self.ln2, self.att, self.ffn = (
            nn.LayerNorm(c.n_embd),
            nn.LayerNorm(c.n_embd),
            TimeMix(c, i),
            ChannelMix(c),
        )

    def forward(self, x, v_first):
        x = self.ln0(x)
        y, v_first = self.att(self.ln1(x), v_first)
        x = x + y
        return x + self.ffn(self.ln2(x)), v_first


class Goose7ForCausalLM(PreTrainedModel):
    config_class = Goose7Config

    def __init__(self, config):
        super().__init__(config)
        self.emb, self.blocks = nn.Embedding(config.vocab_size, config.n_embd), nn.ModuleList(
            [Block(config, i) for i in range(config.n_layer)]
        )
        self.ln_out, self.head = nn.LayerNorm(config.n_embd), nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x, v_first = self.emb(input_ids), None
        for block in self.blocks:
            x, v_first = block(x, v_first)
        return CausalLMOutput(logits=self.head(self.ln_out(x)))
