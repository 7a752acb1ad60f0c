"""A mask of the positions that an indexer chose: all others are not seen."""
from . import ops_largest, ops_layers, ops_numbers  # noqa: F401 - their ops are wrapped here
from . import text
from .indexer import Chosen
from .masks import FAR, words_of
from .rows import number_of, op, ordered, wrapped
from .values import Aside, Mask, Node, Refused, alike


class Seen(Aside):
    """Those of the positions up to a row's own that `node`, a choose, gives; hidden: true where it may not be seen."""

    def __init__(self, node, shape, hidden=False):
        self.node, self.shape, self.hidden = node, tuple(shape), hidden

    def put(self, attend):
        """As an argument of a node."""
        attend.inputs.append((self.node, self.node.heads))
        attend.attrs |= {"only_span": self.node.attrs["span"]} if "span" in self.node.attrs else {}


@op("seen.default")
def _(t, q, k, weights, n, span):
    """q [1, heads, text, d], k [1, 1, text, d]: whole blocks by the sum over heads of relu(q . k), weighed or not."""
    h = q.shape[1]
    each = alike(h, 1) if weights is None else ordered(weights)
    ins = [(ordered(q.permute([0, 2, 1, 3])), h), (ordered(k), 1), (each, 1)]
    return Seen(Node("choose", ins, n, 1, {"n": n, "span": span, "by": "last"}), t.shape)


@wrapped("scatter.value")
def _(plain, t, x, dim, places, number):
    """0 at chosen positions among numbers that are far below; or true among those that are not."""
    if not isinstance(places, Chosen):
        return plain(t, x, dim, places, number)
    others = number_of(x)
    if places.node.attrs["n"] >= text.ROWS:
        raise Refused("an indexer that chooses all positions of the traced text")
    if others is None or (others > FAR or number) and (others, number) not in ((0, 1), (1, 0)):
        raise Refused("chosen positions that are marked by other numbers than those of a mask")
    return Seen(places.node, t.shape, bool(others > 0))


@wrapped("bitwise_and.Tensor", "__and__.Tensor", "logical_and.default", "add.Tensor")
def _(plain, t, a, b, **more):
    mask, seen = (a, b) if isinstance(b, Seen) else (b, a)
    if not isinstance(seen, Seen):
        return plain(t, a, b, **more)
    if words_of(mask) != ("causal",) or seen.hidden or getattr(mask, "hidden", False):
        raise Refused("an indexer that chooses of other positions than all up to a row's own")
    return Seen(seen.node, t.shape)


@wrapped("unsqueeze.default", "view.default", "expand.default", "to.dtype", "_to_copy.default", "clone.default",
         "bitwise_not.default", "logical_not.default")
def _(plain, t, x, *more, **named):
    if not isinstance(x, Seen):
        return plain(t, x, *more, **named)
    return Seen(x.node, t.shape, x.hidden != t.name.endswith("_not.default"))


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, *more):
    if not isinstance(mask, Seen):
        return plain(t, q, k, v, mask, *more)
    out = plain(t, q, k, v, Mask("causal", mask.shape), *more)
    mask.put(out.node)
    return out
