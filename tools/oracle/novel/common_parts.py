import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast


class NovelConfig(PretrainedConfig):
    model_type = "novel"

    def __init__(
        self, vocab_size=97, hidden_size=48, num_hidden_layers=3, num_heads=4, max_position_embeddings=512, **kw
    ):
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_heads, self.max_position_embeddings = num_heads, max_position_embeddings
        super().__init__(**kw)


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        dt = x.dtype
        x = x.float()
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(dt)


class SwiGLU(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.gate, self.up, self.down = (
            nn.Linear(d, m, bias=False),
            nn.Linear(d, m, bias=False),
            nn.Linear(m, d, bias=False),
        )

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, c, i, mixer, mlp):
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(c.hidden_size), RMSNorm(c.hidden_size)
        self.mixer, self.mlp = mixer(c, i), mlp(c, i)

    def forward(self, x):
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class NovelBase(PreTrainedModel):
    config_class = NovelConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([Layer(config, i, self.mixer, self.mlp) for i in range(config.num_hidden_layers)])
        self.norm = RMSNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def mlp(self, c, i):
        return SwiGLU(c.hidden_size, 96)

    def forward(self, input_ids, labels=None, **kw):
        x = self.embed_tokens(input_ids)
        for l in self.layers:
            x = l(x)
        return CausalLMOutputWithPast(logits=self.lm_head(self.norm(x)))


class PlainAttn(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.h = c.num_heads
        self.qkv, self.o = nn.Linear(c.hidden_size, 3 * c.hidden_size, bias=False), nn.Linear(
            c.hidden_size, c.hidden_size, bias=False
        )

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        f = 1000.0 ** (-torch.arange(0, d // self.h, 2, device=x.device) / (d // self.h))
        a = torch.arange(t, device=x.device)[:, None] * f
        a = torch.cat([a, a], -1)
        rot = lambda z: z * a.cos() + torch.cat([-z.chunk(2, -1)[1], z.chunk(2, -1)[0]], -1) * a.sin()
        y = F.scaled_dot_product_attention(rot(q), rot(k), v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(b, t, d))
