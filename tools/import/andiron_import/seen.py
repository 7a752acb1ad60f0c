"""Masks that are computed: of the positions that an indexer chose, or of keys that are seen or not whoever asks."""
import math

import torch

from . import by_key, ops_largest, ops_layers, ops_numbers, text
from .indexer import Chosen
from .masks import FAR, words_of
from .rows import combine, number_of, op, ordered, wrapped
from .values import Aside, Const, Mask, Node, Refused, Rows, alike


class Seen(Aside):
    """Those of the positions up to a row's own that `node`, a choose, gives; hidden: true where it may not be seen."""
    said = "a mask that is computed"

    def __init__(self, node, shape, hidden=False):
        self.node, self.shape, self.hidden = node, tuple(shape), hidden

    def but(self, shape, hidden):
        return Seen(self.node, shape, hidden)

    def put(self, attend):
        """As an argument of a node."""
        attend.inputs.append((self.node, self.node.heads))
        attend.attrs |= {"only_span": self.node.attrs["span"]} if "span" in self.node.attrs else {}


class Kept(Seen):
    """Keys where `keys`, a number of each row, is 1, not 0; of those what another mask says, if any."""

    def __init__(self, keys, mask, shape, hidden=False):
        super().__init__(keys.node, shape, hidden)
        self.keys, self.mask = keys, mask

    def but(self, shape, hidden):
        return Kept(self.keys, self.mask, shape, hidden)

    def words(self):
        words = () if self.mask is None else words_of(self.mask)
        if words is None or getattr(self.mask, "hidden", False):
            raise Refused("keys that are seen or not whoever asks, with a mask that has no words")
        return words

    def also(self, other, shape):
        """Of these, those that another mask has, too."""
        other = other if isinstance(other, Kept) else kept(other, None, shape) or Kept(self.keys, other, shape)
        keys = self.keys if other.keys is self.keys else combine("mul", self.keys, other.keys, self.keys.shape)
        masks = [m for m in (self.mask, other.mask) if m is not None]
        if len(masks) < 2:
            return Kept(keys, *masks or [None], shape)
        if not all(isinstance(m, Const) for m in masks):
            raise Refused("two masks of keys that are seen or not whoever asks")
        both = torch.broadcast_shapes(*(m.shape for m in masks))
        return Kept(keys, Const.op(torch.logical_and, masks, {}, both, None), shape)

    def beside(self, q, k, scale, cap):
        """Queries and keys with a number more, which is far below for those that are not seen."""
        if cap:
            raise Refused("scores with a cap, of keys that are seen or not whoever asks")
        low = combine("mul", combine("add", self.keys, -1.0, self.keys.shape), 1e9, self.keys.shape)
        return by_key.beside(q, k, low.view((1, 1, text.ROWS, 1)), scale)


def kept(keys, mask, shape):
    """None: they are no rows with a number for each key, or the other is no mask."""
    of_keys = isinstance(keys, Rows) and keys.shape[-1:] == (text.ROWS,) and math.prod(keys.shape) == text.ROWS
    return Kept(keys, mask, shape) if of_keys and isinstance(mask, (Mask, Const, type(None))) else None


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
        of_keys = text.is_square(t.shape) and (kept(a, b, t.shape) or kept(b, a, t.shape))
        return of_keys or plain(t, a, b, **more)
    if isinstance(seen, Kept) and not seen.hidden:
        return seen.also(mask, t.shape)
    if words_of(mask) != ("causal",) or seen.hidden or getattr(mask, "hidden", False):
        raise Refused("an indexer that chooses of other positions than all up to a row's own")
    return Seen(seen.node, t.shape)


@wrapped("unsqueeze.default", "view.default", "expand.default", "to.dtype", "_to_copy.default", "clone.default",
         "bitwise_not.default", "logical_not.default")
def _(plain, t, x, *more, **named):
    if not isinstance(x, Seen):
        return plain(t, x, *more, **named)
    return x.but(t.shape, x.hidden != t.name.endswith("_not.default"))


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, *more):
    if not isinstance(mask, Seen):
        return plain(t, q, k, v, mask, *more)
    if isinstance(mask, Kept):
        sinks, bias, scale, cap, *others = more
        q, k = mask.beside(q, k, scale, cap)
        return plain(t, q, k, v, Mask("&".join(mask.words()) or "full", mask.shape), sinks, bias, scale, cap, *others)
    out = plain(t, q, k, v, Mask("causal", mask.shape), *more)
    mask.put(out.node)
    return out
