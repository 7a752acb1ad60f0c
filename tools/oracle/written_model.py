"""A small model whose forward pass is written out as papers' code is: no attention interface, no cache, no masks of
Transformers. A layer each of differential attention, sigmoid attention with a learned bias, retention and forgetting
attention; rows of a table at hashes of three tokens, and values of the first layer mixed into the others."""
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

D, HEADS, VOCAB, ROWS = 32, 4, 256, 67


class WrittenConfig(PretrainedConfig):
    model_type = "written"

    def __init__(self, vocab_size=VOCAB, hidden_size=D, max_position_embeddings=512, **more):
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**more)


def differential(layer, scores, far, n):
    """Ye et al. 2024."""
    shares = (scores + far).softmax(-1).unflatten(1, (-1, 2))
    return (shares[:, :, 0] - layer.number.exp() * shares[:, :, 1]).repeat_interleave(2, 1)


def sigmoid(layer, scores, far, n):
    """Ramapuram et al. 2024."""
    return torch.sigmoid(scores + layer.number[:, None, None]).masked_fill(far < 0, 0.0)


def retention(layer, scores, far, n):
    """Sun et al. 2023."""
    away = torch.arange(n)[:, None] - torch.arange(n)[None]
    gamma = torch.sigmoid(layer.number)[:, None, None]
    return scores * torch.where(away >= 0, gamma ** away.clamp(min=0), 0.0)


def forgetting(layer, scores, far, n):
    """Lin et al. 2025."""
    kept = layer.kept.cumsum(-1)
    return torch.softmax(scores + kept[..., :, None] - kept[..., None, :] + far, -1)


class Layer(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.norm, self.mlp_norm = kind, nn.RMSNorm(D), nn.LayerNorm(D)
        self.qkv, self.out, self.forget = nn.Linear(D, 3 * D), nn.Linear(D, D, bias=False), nn.Linear(D, HEADS)
        self.number = nn.Parameter(torch.zeros(1 if kind is differential else HEADS))
        self.up, self.down = nn.Linear(D, 40), nn.Linear(40, D)

    def forward(self, x, first):
        n, y = x.shape[1], self.norm(x)
        q, k, v = (z.unflatten(-1, (HEADS, -1)).transpose(1, 2) for z in self.qkv(y).chunk(3, -1))
        first = v if first is None else first
        v = 0.5 * (v + first)
        self.kept = F.logsigmoid(self.forget(y)).transpose(1, 2)
        far = torch.full((n, n), -math.inf).triu(1)
        shares = self.kind(self, q @ k.mT / math.sqrt(q.shape[-1]), far, n)
        x = x + self.out((shares @ v).transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(self.mlp_norm(x))) ** 2), first


class WrittenForCausalLM(PreTrainedModel):
    config_class = WrittenConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens, self.triples = nn.Embedding(VOCAB, D), nn.Embedding(ROWS, D)
        self.layers = nn.ModuleList(map(Layer, (differential, sigmoid, retention, forgetting)))
        self.norm, self.head = nn.RMSNorm(D), nn.Linear(D, VOCAB, bias=False)
        self.post_init()

    def forward(self, input_ids):
        before = F.pad(input_ids, (1, 0))[:, :-1]
        two_before = torch.cat([torch.zeros_like(input_ids[:, :2]), input_ids[:, :-2]], 1)
        x = self.tokens(input_ids) + self.triples((input_ids + 31 * before + 1009 * two_before) % ROWS)
        first = None
        for layer in self.layers:
            x, first = layer(x, first)
        return {"logits": self.head(self.norm(x))}


class BegunLayer(nn.Module):
    """Learned keys and values before the text, the rows that begin it, a window; a convolution of its rows."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.RMSNorm(D), nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.keys, self.values = nn.Parameter(torch.zeros(2, HEADS, D // HEADS)), nn.Parameter(torch.zeros(2, D))
        self.conv = nn.Conv1d(D, D, 3, groups=D, padding=2)

    def forward(self, x):
        y, n = self.norm(x), x.shape[1]
        q, k, v = (z.unflatten(-1, (HEADS, -1)).transpose(1, 2) for z in self.qkv(y).chunk(3, -1))
        k = torch.cat([self.keys.transpose(0, 1)[None], k], 2)
        v = torch.cat([self.values.view(2, HEADS, -1).transpose(0, 1)[None], v], 2)
        i = torch.arange(n)
        near = (i[:, None] >= i) & ((i[:, None] - i < 2) | (i < BegunForCausalLM.n_begin)[None])
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=F.pad(near, (2, 0), value=True))
        return x + self.out(y.transpose(1, 2).flatten(2)) + self.conv(x.mT)[..., :n].mT


class ProductLayer(nn.Module):
    """Two steps of the delta rule a row (Siems et al. 2025)."""

    def __init__(self):
        super().__init__()
        self.norm, self.kv, self.q = nn.RMSNorm(D), nn.Linear(D, 4 * D), nn.Linear(D, D)
        self.beta, self.out = nn.Linear(D, 3 * HEADS), nn.Linear(D, D)

    def forward(self, x):
        y, n = self.norm(x), x.shape[1]
        k, v = self.kv(y).view(1, n, 2, 2, HEADS, -1).unbind(2)
        k, q = F.normalize(k, dim=-1), self.q(y).unflatten(-1, (HEADS, -1))
        *beta, kept = torch.sigmoid(self.beta(y)).chunk(3, -1)
        state, out = torch.zeros(1, HEADS, D // HEADS, D // HEADS), []
        for t in range(n):
            state = state * kept[:, t, :, None, None]
            for i in range(2):
                wrong = v[:, t, i] - torch.einsum("bhkv,bhk->bhv", state, k[:, t, i])
                state = state + torch.einsum("bhk,bhv->bhkv", k[:, t, i] * beta[i][:, t, :, None], wrong)
            out.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
        return x + self.out(torch.stack(out, 1).flatten(2))


class BegunForCausalLM(PreTrainedModel):
    """Learned rows stand before each text (Dong et al. 2024, Hymba)."""
    config_class, n_begin = WrittenConfig, 3

    def __init__(self, config):
        super().__init__(config)
        self.tokens, self.begin = nn.Embedding(VOCAB, D), nn.Parameter(torch.zeros(self.n_begin, D))
        self.layers = nn.ModuleList([BegunLayer(), ProductLayer(), BegunLayer()])
        self.norm, self.head = nn.RMSNorm(D), nn.Linear(D, VOCAB, bias=False)
        self.post_init()

    def forward(self, input_ids):
        x = torch.cat([self.begin[None].expand(len(input_ids), -1, -1), self.tokens(input_ids)], 1)
        for layer in self.layers:
            x = layer(x)
        return {"logits": self.head(self.norm(x[:, self.n_begin:]))}


class Gated(nn.Module):
    """sLSTM (Beck et al. 2024): gates by exp, less the largest so far; a matrix of each head over its last numbers."""

    def __init__(self):
        super().__init__()
        self.given, self.heads = nn.Linear(D, 4 * D), nn.Parameter(torch.zeros(HEADS, 4, D // HEADS, D // HEADS))

    def forward(self, x):
        given, out = self.given(x).unflatten(-1, (4, HEADS, -1)), []
        c = n = h = most = torch.zeros(1, HEADS, D // HEADS)
        for t in range(x.shape[1]):
            z, i, f, o = (given[:, t] + torch.einsum("bhd,hgde->bghe", h, self.heads)).unbind(1)
            kept, before = F.logsigmoid(f), most
            most = torch.maximum(kept + before, i)
            i, f = torch.exp(i - most), torch.exp(kept + before - most)
            c, n = f * c + i * torch.tanh(z), f * n + i
            h = torch.sigmoid(o) * c / n
            out.append(h)
        return torch.stack(out, 1).flatten(2)


class Learning(nn.Module):
    """A matrix that learns to give what a norm of it should be (Sun et al. 2024), and how it begins."""

    def __init__(self):
        super().__init__()
        self.qkv, self.rate, self.norm = nn.Linear(D, 3 * D), nn.Linear(D, HEADS), nn.LayerNorm(D // HEADS)
        self.begin = nn.Parameter(torch.zeros(HEADS, D // HEADS, D // HEADS))

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, 1, -1)).unbind(2)
        rate, state, out = torch.sigmoid(self.rate(x))[..., None, None], self.begin[None], []
        for t in range(x.shape[1]):
            wrong = self.norm(k[:, t] @ state) - v[:, t]
            state = state - rate[:, t] * k[:, t].mT @ wrong
            out.append(self.norm(q[:, t] @ state))
        return torch.stack(out, 1).flatten(2)


class SteppedForCausalLM(PreTrainedModel):
    """Loops over the text whose steps are not linear in what they leave."""
    config_class = WrittenConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens, self.norm, self.head = nn.Embedding(VOCAB, D), nn.RMSNorm(D), nn.Linear(D, VOCAB, bias=False)
        self.layers = nn.ModuleList([Gated(), Learning(), nn.GRU(D, D, batch_first=True)])
        self.norms = nn.ModuleList(nn.RMSNorm(D) for _ in self.layers)
        self.post_init()

    def forward(self, input_ids):
        x = self.tokens(input_ids)
        for norm, layer in zip(self.norms, self.layers):
            y = layer(norm(x))
            x = x + (y[0] if isinstance(y, tuple) else y)
        return {"logits": self.head(self.norm(x))}
