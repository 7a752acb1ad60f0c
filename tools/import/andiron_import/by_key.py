"""Scores that a key has for all queries alike, of which the largest alone are seen (hooks_states.by_key)."""
import torch

from . import ops_layers  # noqa: F401 - its attend is wrapped here
from .rows import as_rows, joined, op, ordered, wrapped
from .values import Const, Fill, Mask, Node, Refused


class ByKey:
    """scores [1, heads, text], added to those of the queries in a tensor of that shape; keep: so many are seen, 0:
    all."""
    said = "scores that each key has for all queries"

    def __init__(self, scores, mask, keep, shape):
        self.scores, self.mask, self.keep, self.shape = scores, mask, keep, tuple(shape)

    def view(self, shape):
        return ByKey(self.scores, self.mask, self.keep, shape)

    expand = view


@op("by_key.default")
def _(t, scores, mask, keep):
    if mask is not None and not isinstance(mask, Mask):
        raise Refused("scores of keys with a mask that is computed")
    if isinstance(scores, Fill) and not keep:
        return mask  # what all keys have alike changes no share
    return ByKey(scores, mask, keep, t.shape)


def chosen(scores, keep):
    """Of each head's keys those that score most."""
    heads = scores.shape[1]
    own = Const.literal(torch.eye(heads).flatten())
    each = Node("constant", n=heads * heads, weights={"weight": (own, None)})
    return Node("choose", [(each, heads), (ordered(scores), 1)], keep * heads, heads, {"n": keep}), heads


def beside(q, k, column, scale):
    """q and k [1, heads, text, d] with a number more in each key, and in each query what makes that count once."""
    k = joined([k, as_rows(column).expand((*k.shape[:3], 1))], 3, (*k.shape[:3], k.shape[3] + 1))
    return joined([q, Fill(1 / scale, (*q.shape[:3], 1))], 3, (*q.shape[:3], q.shape[3] + 1)), k


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, sinks, bias, scale, cap, causal, *places):
    if not isinstance(mask, ByKey):
        return plain(t, q, k, v, mask, sinks, bias, scale, cap, causal, *places)
    if mask.scores.shape[1] != k.shape[1] or cap:
        raise Refused("scores of keys that are not those of the heads")
    q, k = beside(q, k, mask.scores.view((*k.shape[:3], 1)), scale)
    only = [chosen(mask.scores, mask.keep)] if mask.keep else []
    out = plain(t, q, k, v, mask.mask, sinks, bias, scale, cap, causal, *places)
    out.node.inputs += only
    return out
