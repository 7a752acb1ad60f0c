"""An nn.GRU mixer between attention layers (a hybrid); nonlinear recurrence: expected to be refused."""

import torch.nn as nn
from .common_parts import NovelBase
from .n07_hyper import Attn


class G(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.rnn = nn.GRU(d, d, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


class GRUForCausalLM(NovelBase):
    def mixer(self, c, i):
        return G(c.hidden_size) if i == 1 else Attn(c)
