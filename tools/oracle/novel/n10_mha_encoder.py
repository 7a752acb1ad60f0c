"""nn.TransformerEncoder with a causal mask and learned positions, factorized embeddings; norm_first gelu."""

import torch
import torch.nn as nn
from transformers import PreTrainedModel, PretrainedConfig


class TorchLMConfig(PretrainedConfig):
    model_type = "torch_lm"

    def __init__(self, vocab_size=97, ntoken_dim=24, d_model=48, nhead=4, nlayers=3, block_size=128, **kw):
        self.vocab_size, self.ntoken_dim, self.d_model, self.nhead, self.nlayers, self.block_size = (
            vocab_size,
            ntoken_dim,
            d_model,
            nhead,
            nlayers,
            block_size,
        )
        super().__init__(**kw)


class TorchForCausalLM(PreTrainedModel):
    config_class = TorchLMConfig

    def __init__(self, config):
        super().__init__(config)
        c = config
        self.tok = nn.Embedding(c.vocab_size, c.ntoken_dim)
        self.up = nn.Linear(c.ntoken_dim, c.d_model)
        self.pos = nn.Parameter(torch.zeros(1, c.block_size, c.d_model))
        layer = nn.TransformerEncoderLayer(
            c.d_model, c.nhead, 96, 0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, c.nlayers, norm=nn.LayerNorm(c.d_model), enable_nested_tensor=False)
        self.down = nn.Linear(c.d_model, c.ntoken_dim)
        self.bias = nn.Parameter(torch.zeros(c.vocab_size))
        self.post_init()

    def forward(self, input_ids, **kw):
        T = input_ids.shape[1]
        x = self.up(self.tok(input_ids)) + self.pos[:, :T]
        mask = nn.Transformer.generate_square_subsequent_mask(T, device=x.device)
        x = self.encoder(x, mask=mask, is_causal=True)
        return (self.down(x) @ self.tok.weight.t() + self.bias,)
