"""A mask of the positions that an indexer chose (hooks_methods.pooled_indexer)."""
from . import ops_layers, ops_numbers  # noqa: F401 - their ops are wrapped here
from .rows import op, ordered, wrapped
from .values import Aside, Mask, Node, Refused, alike


class Seen(Aside):
    """Those of the positions up to a row's own that `node`, a choose, gives."""

    def __init__(self, node, shape, causal=False):
        self.node, self.shape, self.causal = node, tuple(shape), causal


@op("seen.default")
def _(t, q, k, weights, n, span):
    """q [1, heads, text, d], k [1, 1, text, d]: whole blocks by the sum over heads of relu(q . k), weighed or not."""
    h = q.shape[1]
    each = alike(h, 1) if weights is None else ordered(weights)
    ins = [(ordered(q.permute([0, 2, 1, 3])), h), (ordered(k), 1), (each, 1)]
    return Seen(Node("choose", ins, n, 1, {"n": n, "span": span, "by": "last"}), t.shape)


@wrapped("bitwise_and.Tensor", "__and__.Tensor", "logical_and.default")
def _(plain, t, a, b):
    mask, seen = (a, b) if isinstance(b, Seen) else (b, a)
    if not isinstance(seen, Seen):
        return plain(t, a, b)
    if not isinstance(mask, Mask) or mask.words != "causal" or mask.hidden:
        raise Refused("an indexer that chooses of other positions than all up to a row's own")
    return Seen(seen.node, t.shape, True)


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, *more):
    if not isinstance(mask, Seen):
        return plain(t, q, k, v, mask, *more)
    out = plain(t, q, k, v, Mask("causal", mask.shape), *more)
    out.node.inputs.append((mask.node, 1))
    out.node.attrs["only_span"] = mask.node.attrs["span"]
    return out
