"""torch's flex_attention with score and mask functions of one's own."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from .common_parts import NovelBase


class Attn(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        d, self.h, self.i = c.hidden_size, c.num_heads, i
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.slopes = nn.Parameter(torch.tensor([0.5, 0.25, 0.125, 0.06]))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.h, -1).permute(2, 0, 3, 1, 4)

        def score_mod(score, b, h, qi, ki):
            score = score - self.slopes[h] * (qi - ki)
            return 20 * torch.tanh(score / 20)

        def window(b, h, qi, ki):
            return (qi >= ki) & (qi - ki < 9 + 100 * self.i)

        mask = create_block_mask(window, None, None, t, t, device=x.device)
        y = flex_attention(q, k, v, score_mod=score_mod if self.i == 1 else None, block_mask=mask)
        return self.o(y.transpose(1, 2).reshape(b, t, d))


class FlexForCausalLM(NovelBase):
    def mixer(self, c, i):
        return Attn(c, i)
