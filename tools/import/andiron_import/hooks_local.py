"""Encoders that cut a text into blocks to attend to what is near, told as attention with a window: METHODS of theirs.

A text is no longer padded to whole blocks, whose padding nothing sees.
"""
import torch

from .hooks import attend, mask
from .hooks_methods import METHODS

FAR = -1e6  # a score of what is not seen


def full(q, k, v, seen):
    """q, k, v [1, heads, text, d], q scaled already: [1, text, heads * d]."""
    return attend(q, k, v, seen, None, None, 1.0, 0.0, False, None, 0).flatten(2)


def beside(x, number):
    """One number more in each head."""
    return torch.cat([x, number.expand(*x.shape[:-1], 1)], -1)


def is_first(x):
    """[1, 1, text, 1]: 1 in the first row."""
    return (torch.arange(x.shape[1]) < 1).float().view(1, 1, -1, 1)


# ---- Longformer (Beltagy et al. 2020)

def near(self, hidden_states, **_):
    """sees_first: the first row sees all, by weights of its own, and is seen by all."""
    n = hidden_states.shape[1]
    in_heads = lambda name: getattr(self, name)(hidden_states).view(1, n, self.num_heads, -1).transpose(1, 2)
    q, k, v = in_heads("query") * self.head_dim ** -0.5, in_heads("key"), in_heads("value")
    window = mask(n, n, f"middle({2 * self.one_sided_attn_window_size + 1})")
    if not getattr(self, "sees_first", False):
        return (full(q, k, v, window),)
    first, everything = is_first(hidden_states), mask(n, n, "full")
    k = torch.cat([beside(k, first * FAR), beside(k, (1 - first) * FAR)], 2)
    y = full(beside(q, torch.ones(1, 1, 1, 1)), k, torch.cat([v, v], 2), torch.cat([window, everything], -1))
    own = full(in_heads("query_global") * self.head_dim ** -0.5, in_heads("key_global"), in_heads("value_global"),
               everything)
    return (y + first[0] * (own - y),)


def first_is_global(self, attention_mask, _):
    """Of a class of texts, which alone gives a mask of its own."""
    for layer in self.encoder.layer:
        layer.attention.self.sees_first = True
    return attention_mask


def unpadded(self, pad_token_id, **given):
    return (0, *given.values())


METHODS |= {"LongformerSelfAttention": {"forward": near}, "LEDEncoderSelfAttention": {"forward": near},
            "LongformerModel": {"_pad_to_window_size": unpadded, "_merge_to_attention_mask": first_is_global},
            "LEDEncoder": {"_pad_to_window_size": unpadded}}
