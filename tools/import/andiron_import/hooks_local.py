"""Encoders that cut a text into blocks to attend to what is near, told as attention with a window: METHODS of theirs.

A text is no longer padded to whole blocks, whose padding nothing sees.
"""
import torch

from .hooks import FUNCTIONS, attend, mask, state_op
from .hooks_methods import METHODS

block_of = state_op("block_of(Tensor x, int size) -> Tensor", lambda x, _: x.new_empty([1, x.shape[1], 1]))
beside_blocks = state_op("beside_blocks(Tensor q, Tensor k, Tensor v, Tensor of_k, Tensor of_v, Tensor mask, "
                         "Tensor bias, Tensor table, Tensor of_away, Tensor rest, int size) -> Tensor",
                         lambda q, k, v, *_: q.new_empty([1, q.shape[2], q.shape[1], v.shape[3]]))
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


# ---- LongT5 (Guo et al. 2022)

def of_window(self, x, position_bias):
    """(queries, keys and values of rows, the mask, the module that has the biases, the biases of distances)."""
    n, home = x.shape[1], self if self.has_relative_attention_bias else position_bias
    in_heads = lambda y: y.view(1, n, self.n_heads, -1).transpose(1, 2)
    away = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    bias = home.relative_attention_bias(buckets(self, away)).permute(2, 0, 1)[None]
    return in_heads, mask(n, n, f"middle({2 * self.local_radius + 1})"), home, bias


def buckets(self, away):
    return self._relative_position_bucket(away, True, self.relative_attention_num_buckets,
                                          self.relative_attention_max_distance)


def local(self, hidden_states, mask=None, position_bias=None, **_):
    in_heads, window, home, bias = of_window(self, hidden_states, position_bias)
    q, k, v = (in_heads(proj(hidden_states)) for proj in (self.q, self.k, self.v))
    y = attend(q, k, v, window, None, bias, 1.0, 0.0, False, None, 0)
    return self.o(y.flatten(2)), home


def sums_of_blocks(x, block, size):
    """In the row that ends a block its sum: sigmoid of 32 where two rows are of one block, of -32 at most elsewhere."""
    one = torch.ones_like(block)
    q = torch.cat([block * block * -64 + 32, block * 128, one * -64], -1)
    near_ = mask(x.shape[1], x.shape[1], f"middle({2 * size - 1})")[0, 0]
    scores = q[0] @ torch.cat([one, block, block * block], -1)[0].t()
    return (scores.masked_fill(~near_, float("-inf")).sigmoid() @ x[0])[None]


def transient_global(self, hidden_states, mask=None, position_bias=None, **_):
    """Beside what is near, one row for each block: the sum of its own; rows after the last whole one are of that."""
    x, size, most = hidden_states, self.global_block_size, self.relative_attention_max_distance + 1
    in_heads, window, home, bias = of_window(self, x, position_bias)
    block = block_of(x, size)
    blocks = self.global_input_layer_norm(sums_of_blocks(x, block, size))
    away = torch.arange(-most, most + 1)
    of_away = torch.stack([buckets(self, away), buckets(self, away + 1)])
    rest = (torch.arange(x.shape[1]).view(1, -1, 1) / size).floor() - block
    y = beside_blocks(*(in_heads(p(y)) for p, y in ((self.q, x), (self.k, x), (self.v, x), (self.k, blocks),
                                                    (self.v, blocks))),
                      window, bias, home.global_relative_attention_bias.weight, of_away, rest, size)
    return self.o(y.flatten(2)), home


FUNCTIONS |= {"_get_local_attention_mask": lambda *_: None}  # it is what the window says
METHODS |= {"LongformerSelfAttention": {"forward": near}, "LEDEncoderSelfAttention": {"forward": near},
            "LongformerModel": {"_pad_to_window_size": unpadded, "_merge_to_attention_mask": first_is_global},
            "LEDEncoder": {"_pad_to_window_size": unpadded}, "LongT5LocalAttention": {"forward": local},
            "LongT5TransientGlobalAttention": {"forward": transient_global}}
