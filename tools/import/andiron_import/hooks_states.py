"""What Python computes row after row, as one op with a state: a line of METHODS, or of FUNCTIONS, each.

A line's function is called as Transformers calls what it replaces, and gives what the caller uses of its results.
"""
import sys

import torch

from .hooks import FUNCTIONS, state_op
from .hooks_methods import METHODS

like = lambda place: lambda *tensors: tensors[place].new_empty(tensors[place].shape)
recur = state_op("recur(Tensor x, Tensor decay) -> Tensor", like(0))
wkv = state_op("wkv(Tensor decay, Tensor first, Tensor k, Tensor v) -> Tensor", like(3))
mlstm = state_op("mlstm(Tensor q, Tensor k, Tensor v, Tensor i, Tensor f, float eps) -> Tensor", like(2))


by_key = state_op("by_key(Tensor scores, Tensor? mask, int keep) -> Tensor",
                  lambda scores, *_: scores.new_empty([*scores.shape, scores.shape[-1]]))


by_distance = state_op("by_distance(Tensor? queries, Tensor? keys, Tensor at) -> Tensor", lambda queries, keys, _:
                       (x := keys if queries is None else queries).new_empty([*x.shape[:-1], x.shape[-2]]))


def _wkv(time_decay, time_first, key, value, **_):
    return wkv(time_decay, time_first, key, value), None


def _rnn_scan(self, hidden_states, recurrent_gate, **_):
    return recur(hidden_states, recurrent_gate), None  # a text begins with a state of zeros: nothing is reset


def _mlstm(self, query, key, value, igate, fgate, **_):
    return mlstm(query, key, value, igate, fgate, self.config.eps), None


def _dynamic_mask(self, hidden_states, dt_states, keep_window_size=2048, attention_mask=None):
    return by_key(dt_states, attention_mask, keep_window_size)


# ---- DeBERTa (He et al. 2021): scores of a query and a distance, of a key and a distance

def _distances(self, q, k, table, by_key, by_query):
    """q, k [.., heads, text, d]; table [2 span, width]; by_key, by_query: what makes it keys, or queries."""
    most = self.max_relative_positions
    away = torch.arange(-most, most + 1)
    if getattr(self, "position_buckets", -1) > 0:
        away = sys.modules[type(self).__module__].make_log_bucket_position(away, self.position_buckets, most)
    in_heads = lambda x: x.view(x.shape[0], self.num_attention_heads, -1).permute(1, 2, 0)
    scale = (1 + len({"c2p", "p2c"} & set(self.pos_att_type))) * q.shape[-1]
    queries = q @ in_heads(by_key(table)) if "c2p" in self.pos_att_type else None
    keys = k @ in_heads(by_query(table)) / scale ** 0.5 if "p2c" in self.pos_att_type else None
    at = (away.long() + table.shape[0] // 2).clamp(0, table.shape[0] - 1)
    return queries, keys, at, scale ** 0.5


def _scores_of(queries, keys, at):
    return 0 if queries is None and keys is None else by_distance(queries, keys, at)


def _deberta(self, query_layer, key_layer, _, rel_embeddings, *__):
    both = [getattr(self, name, None) for name in ("pos_proj", "pos_q_proj")]
    return _scores_of(*_distances(self, query_layer, key_layer, rel_embeddings, *both)[:3])


def _deberta_v2(self, query_layer, key_layer, _, rel_embeddings, *__):
    both = (self.key_proj, self.query_proj) if self.share_att_key else (getattr(self, "pos_key_proj", None),
                                                                        getattr(self, "pos_query_proj", None))
    queries, keys, at, root = _distances(self, query_layer, key_layer, rel_embeddings[:2 * self.pos_ebd_size], *both)
    return _scores_of(None if queries is None else queries / root, keys, at)


FUNCTIONS |= {"rwkv_linear_attention": _wkv}
METHODS |= {"RwkvModel": {"_rescale_layers": lambda self: None},  # halves weights, for F16's sake
            "RecurrentGemmaRglru": {"_rnn_scan": _rnn_scan}, "xLSTMBackend": {"forward": _mlstm},
            "DisentangledSelfAttention": {"disentangled_att_bias": _deberta,
                                          "disentangled_attention_bias": _deberta_v2},
            "DogeAttention": {"prepare_dynamic_mask": _dynamic_mask}}
