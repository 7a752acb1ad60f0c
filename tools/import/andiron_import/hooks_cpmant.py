"""CPM-Ant: learned rows before the text, and one softmax over a row's own part of both and over the other: METHODS.

All rows see one another. Within a part distances have scores, of the other part all rows have the same one.
"""
import types

import torch

from .hooks import state_op
from .hooks_methods import METHODS

in_parts = state_op("in_parts(Tensor q, Tensor k, Tensor v, Tensor first, Tensor near, Tensor at, Tensor from_first, "
                    "Tensor to_first, float scale) -> Tensor",
                    lambda q, k, v, *_: q.new_empty([1, q.shape[2], q.shape[1], v.shape[3]]))


def attention(self, hidden_q, hidden_kv, attention_mask, position_bias, *_, **__):
    q, k, v = (proj(hidden_q).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
               for proj in (self.project_q, self.project_k, self.project_v))
    y = in_parts(q, k, v, *position_bias, self.dim_head ** -0.5)
    return self.attention_out(y.flatten(2)), None


def model(self, input_ids, *_, **__):
    n, segments, bias = self.prompt_length, self.segment_embedding.weight, self.position_bias
    begin = self.vocab_size + 2 * n
    first = self.input_embedding.weight[begin:begin + n] + segments[0]
    x = torch.cat([first[None], self.input_embedding(input_ids) + segments[2]], 1)
    table, n_near, most = bias.relative_attention_bias, bias.num_buckets, bias.max_distance
    of_pair = lambda query, key: table[n_near + query * bias.num_segments + key]
    at = bias._position_bucket(-torch.arange(-most, most + 1), n_near, most)
    is_first = (torch.arange(x.shape[1]) < n).float().view(1, -1, 1)
    given = is_first, table[:n_near].t(), at, of_pair(0, 2), of_pair(2, 0)
    for layer in self.encoder.layers:
        x = layer(x, None, given)[0]
    return types.SimpleNamespace(last_hidden_state=self.encoder.output_layernorm(x)[:, n:], cache=None,
                                 hidden_states=None, attentions=None)


METHODS |= {"CpmAntAttention": {"forward": attention}, "CpmAntModel": {"forward": model}}
