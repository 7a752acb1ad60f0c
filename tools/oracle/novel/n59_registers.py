"""Meta tokens as embeddings that are scaled and normed with the text's, learned positions over all, windows that always
see them (a mask that the model makes), Mamba-like scan by cumulative sums; tied head; position_ids are given."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import PreTrainedModel, PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast


class Meta2Config(PretrainedConfig):
    model_type = "meta2"

    def __init__(
        self,
        vocab_size=97,
        hidden_size=48,
        num_hidden_layers=3,
        num_heads=4,
        num_registers=7,
        window=9,
        max_position_embeddings=400,
        **kw
    ):
        self.vocab_size, self.hidden_size, self.num_hidden_layers, self.num_heads = (
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_heads,
        )
        self.num_registers, self.window, self.max_position_embeddings = num_registers, window, max_position_embeddings
        super().__init__(**kw)


class Meta2Block(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d = c.hidden_size
        self.c, self.i, self.h = c, i, c.num_heads
        self.ln1, self.ln2, self.qkv, self.o = nn.LayerNorm(d), nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 96), nn.Linear(96, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        i = torch.arange(t, device=x.device)
        mask = i[None] <= i[:, None]
        if self.i % 2 == 0:
            mask = mask & ((i[:, None] - i[None] < self.c.window) | (i[None] < self.c.num_registers))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class Meta2ForCausalLM(PreTrainedModel):
    config_class = Meta2Config
    _tied_weights_keys = {"lm_head.weight": "wte.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.wte, self.wpe = nn.Embedding(config.vocab_size, config.hidden_size), nn.Embedding(
            config.max_position_embeddings, config.hidden_size
        )
        self.registers = nn.Parameter(torch.randn(1, config.num_registers, config.hidden_size))
        self.norm_in = nn.LayerNorm(config.hidden_size)
        self.h = nn.ModuleList([Meta2Block(config, i) for i in range(config.num_hidden_layers)])
        self.ln_f, self.lm_head = nn.LayerNorm(config.hidden_size), nn.Linear(
            config.hidden_size, config.vocab_size, bias=False
        )
        self.post_init()

    def get_input_embeddings(self):
        return self.wte

    def get_output_embeddings(self):
        return self.lm_head

    def forward(self, input_ids, position_ids=None, **kw):
        x = self.norm_in(self.wte(input_ids) * 3.0)
        n = self.config.num_registers
        x = torch.cat((self.registers.repeat(x.shape[0], 1, 1), x), 1)
        x = x + self.wpe(torch.arange(x.shape[1], device=x.device))
        for l in self.h:
            x = l(x)
        return CausalLMOutputWithPast(logits=self.lm_head(self.ln_f(x))[:, n:])
