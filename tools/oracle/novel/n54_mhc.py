"""Streams of residuals mixed by doubly stochastic matrices (Sinkhorn), value residual between layers, tensor product
attention, mixture of softmaxes as the head."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast


class MhcConfig(PretrainedConfig):
    model_type = "mhc_tpa"

    def __init__(
        self,
        vocab_size=97,
        hidden_size=48,
        num_hidden_layers=3,
        num_heads=4,
        rank_q=3,
        rank_kv=2,
        n_streams=4,
        sinkhorn=4,
        n_mix=3,
        max_position_embeddings=256,
        **kw
    ):
        self.vocab_size, self.hidden_size, self.num_hidden_layers, self.num_heads = (
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_heads,
        )
        self.rank_q, self.rank_kv, self.n_streams, self.sinkhorn, self.n_mix = (
            rank_q,
            rank_kv,
            n_streams,
            sinkhorn,
            n_mix,
        )
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**kw)


def rope(x):
    T, d = x.shape[1], x.shape[-1]
    f = 1e4 ** (-torch.arange(0, d // 2, device=x.device).float() / (d // 2))
    a = torch.arange(T, device=x.device).float()[:, None, None] * f
    x1, x2 = x.chunk(2, -1)
    return torch.cat([x1 * a.cos() - x2 * a.sin(), x1 * a.sin() + x2 * a.cos()], -1)


class Tpa(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.h, self.d, self.rq, self.rk = c.num_heads, c.hidden_size // c.num_heads, c.rank_q, c.rank_kv
        self.aq, self.bq = nn.Linear(c.hidden_size, self.rq * self.h, bias=False), nn.Linear(
            c.hidden_size, self.rq * self.d, bias=False
        )
        self.ak, self.bk = nn.Linear(c.hidden_size, self.rk * self.h, bias=False), nn.Linear(
            c.hidden_size, self.rk * self.d, bias=False
        )
        self.av, self.bv = nn.Linear(c.hidden_size, self.rk * self.h, bias=False), nn.Linear(
            c.hidden_size, self.rk * self.d, bias=False
        )
        self.o = nn.Linear(c.hidden_size, c.hidden_size, bias=False)
        self.mix = nn.Parameter(torch.zeros(1))

    def forward(self, x, v_first):
        B, T, D = x.shape
        a = lambda p, r: p(x).view(B, T, r, self.h)
        b = lambda p, r: p(x).view(B, T, r, self.d)
        q = torch.einsum("btrh,btrd->bthd", a(self.aq, self.rq), rope(b(self.bq, self.rq))) / self.rq
        k = torch.einsum("btrh,btrd->bthd", a(self.ak, self.rk), rope(b(self.bk, self.rk))) / self.rk
        v = torch.einsum("btrh,btrd->bthd", a(self.av, self.rk), b(self.bv, self.rk)) / self.rk
        v_first = v if v_first is None else v_first
        v = v + torch.sigmoid(self.mix) * (v_first - v)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return self.o(y.transpose(1, 2).reshape(B, T, D)), v_first


class Connection(nn.Module):
    def __init__(self, c):
        super().__init__()
        n, self.n, self.it = c.n_streams, c.n_streams, c.sinkhorn
        self.norm = nn.RMSNorm(n * c.hidden_size)
        self.pre, self.post, self.res = (
            nn.Linear(n * c.hidden_size, n),
            nn.Linear(n * c.hidden_size, n),
            nn.Linear(n * c.hidden_size, n * n),
        )

    def forward(self, s):
        z = self.norm(s.flatten(2))
        m = torch.exp(self.res(z)).view(*z.shape[:2], self.n, self.n)
        for _ in range(self.it):
            m = m / m.sum(-1, keepdim=True)
            m = m / m.sum(-2, keepdim=True)
        return self.pre(z).sigmoid(), 2 * self.post(z).sigmoid(), m


class MhcLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn, self.norms = Tpa(c), nn.ModuleList([nn.RMSNorm(c.hidden_size) for _ in range(2)])
        self.conn = nn.ModuleList([Connection(c) for _ in range(2)])
        self.up, self.down = nn.Linear(c.hidden_size, 128, bias=False), nn.Linear(64, c.hidden_size, bias=False)

    def forward(self, s, v_first):
        for i in range(2):
            pre, post, m = self.conn[i](s)
            x = self.norms[i](torch.einsum("btn,btnd->btd", pre, s))
            if i == 0:
                y, v_first = self.attn(x, v_first)
            else:
                u, g = self.up(x).chunk(2, -1)
                y = self.down(u * F.mish(g))
            s = torch.einsum("btij,btjd->btid", m, s) + post[..., None] * y[:, :, None]
        return s, v_first


class MhcForCausalLM(PreTrainedModel):
    config_class = MhcConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([MhcLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = nn.LayerNorm(config.hidden_size, bias=False)
        self.prior, self.latent = nn.Linear(config.hidden_size, config.n_mix), nn.Linear(
            config.hidden_size, config.n_mix * config.hidden_size
        )
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, **kw):
        s = self.embed(input_ids)[:, :, None].repeat(1, 1, self.config.n_streams, 1)
        v_first = None
        for l in self.layers:
            s, v_first = l(s, v_first)
        x = self.norm(s.mean(2))
        z = torch.tanh(self.latent(x)).unflatten(-1, (self.config.n_mix, -1))
        logp = F.log_softmax(self.lm_head(z), -1) + F.log_softmax(self.prior(x), -1)[..., None]
        return CausalLMOutputWithPast(logits=torch.logsumexp(logp, 2))
