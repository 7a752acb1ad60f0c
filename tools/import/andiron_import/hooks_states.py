"""What Python computes row after row, as one op with a state: a line of METHODS, or of FUNCTIONS, each.

A line's function is called as Transformers calls what it replaces, and gives what the caller uses of its results.
"""
from .hooks import FUNCTIONS, state_op
from .hooks_methods import METHODS

like = lambda place: lambda *tensors: tensors[place].new_empty(tensors[place].shape)
recur = state_op("recur(Tensor x, Tensor decay) -> Tensor", like(0))
wkv = state_op("wkv(Tensor decay, Tensor first, Tensor k, Tensor v) -> Tensor", like(3))
mlstm = state_op("mlstm(Tensor q, Tensor k, Tensor v, Tensor i, Tensor f, float eps) -> Tensor", like(2))


by_key = state_op("by_key(Tensor scores, Tensor? mask, int keep) -> Tensor",
                  lambda scores, *_: scores.new_empty([*scores.shape, scores.shape[-1]]))


def _wkv(time_decay, time_first, key, value, **_):
    return wkv(time_decay, time_first, key, value), None


def _rnn_scan(self, hidden_states, recurrent_gate, **_):
    return recur(hidden_states, recurrent_gate), None  # a text begins with a state of zeros: nothing is reset


def _mlstm(self, query, key, value, igate, fgate, **_):
    return mlstm(query, key, value, igate, fgate, self.config.eps), None


def _dynamic_mask(self, hidden_states, dt_states, keep_window_size=2048, attention_mask=None):
    return by_key(dt_states, attention_mask, keep_window_size)


FUNCTIONS |= {"rwkv_linear_attention": _wkv}
METHODS |= {"RwkvModel": {"_rescale_layers": lambda self: None},  # halves weights, for F16's sake
            "RecurrentGemmaRglru": {"_rnn_scan": _rnn_scan}, "xLSTMBackend": {"forward": _mlstm},
            "DogeAttention": {"prepare_dynamic_mask": _dynamic_mask}}
