"""Reformer (Kitaev et al. 2020) of texts that it does not hash, told as attention: METHODS.

Up to the length of a chunk every row sees every other one that is before it; a longer text is cut into chunks, of which
a row sees its own and the one before, or, in layers that hash, into buckets whose bounds the whole text decides.
"""
import sys

import torch

from . import text
from .hooks import attend, mask
from .hooks_methods import METHODS
from .hooks_patches import within

ITSELF = -1e5  # a row's score of itself, where queries are keys: it counts where there is no other


def in_heads(self, x):
    return self._split_hidden_size_dim(x, self.num_attention_heads, self.attention_head_size)


def seen(self, n):
    return mask(n, n, "causal" if self.is_decoder else "full")


def result(self, name, y):
    more = {"buckets": None} if name.startswith("LSH") else {}
    return getattr(sys.modules[type(self).__module__], name)(hidden_states=y.flatten(2), attention_probs=(), **more)


def hashed(self, hidden_states, **_):
    q, v = (in_heads(self, proj(hidden_states)) for proj in (self.query_key, self.value))
    k, n = self._len_and_dim_norm(q, self.attention_head_size ** 0.5), q.shape[2]
    itself = (torch.arange(n)[:, None] == torch.arange(n)).float() * ITSELF
    y = attend(q, k, v, seen(self, n), None, itself.expand(1, q.shape[1], n, n), 1.0, 0.0, False, None, 0)
    return result(self, "LSHSelfAttentionOutput", y)


def local(self, hidden_states, **_):
    q, k, v = (in_heads(self, proj(hidden_states)) for proj in (self.query, self.key, self.value))
    n, scale, size = q.shape[2], self.attention_head_size ** -0.5, self.chunk_length
    if 0 < text.CONTEXT <= size:
        y = attend(q, k, v, seen(self, n), None, None, scale, 0.0, False, None, 0)
    elif not self.is_decoder or self.num_chunks_before > 1 or self.num_chunks_after:
        raise NotImplementedError("chunks of a text that see others than the one before")
    else:
        place = torch.arange(n).view(1, n, 1).float()
        start = (((place + 0.5) / size).floor() - self.num_chunks_before) * size
        y = within(q, k, v, place + 1 - start, scale)
    return result(self, "LocalSelfAttentionOutput", y)


def axial(self, position_ids):
    """Of places alone: rows of one table, up to the longest text."""
    shape = self.axial_pos_shape
    table = torch.cat([w.expand(*shape, w.shape[-1]) for w in self.weights], -1).flatten(0, 1)
    return torch.nn.functional.embedding(position_ids, table[:text.CONTEXT or len(table)])


def unpadded(self, input_ids, inputs_embeds, attention_mask, position_ids, input_shape, **_):
    return input_ids, inputs_embeds, attention_mask, position_ids, input_shape


METHODS |= {"LSHSelfAttention": {"forward": hashed}, "LocalSelfAttention": {"forward": local},
            "AxialPositionEmbeddings": {"forward": axial}, "ReformerModel": {"_pad_to_mult_of_chunk_length": unpadded}}
