"""Weights of the experts that a row chose, read at their places before they are multiplied with: w[places]."""
import math

from . import einsum, text
from .ops_largest import rows_at
from .rows import OPS, as_rows, ordered, text_dim, wrapped
from .values import Aside, Const, Refused, Rows


class Gathered(Aside):
    """weight [experts, ..] at places [.., text, ..]."""
    said = "weights of the experts that a row chose"
    TAKES = ("index.Tensor", "transpose.int", "matmul.default", "bmm.default", "einsum.default", "to.dtype",
             "_to_copy.default", "clone.default", "alias.default", "detach.default")

    def __init__(self, weight, places):
        self.weight, self.places, self.shape = weight, places, (*places.shape, *weight.shape[1:])

    def rows(self):
        """As numbers of each row."""
        n, d = self.weight.shape[0], math.prod(self.weight.shape[1:])
        table = self.weight.then(lambda w: w.reshape(n, d), (n, d), "by expert")
        return Rows.of(rows_at(table, ordered(self.places)), (*self.places.shape, d)).view(self.shape)

    def transpose(self, a, b):
        """Of two dimensions of the weight."""
        n = len(self.places.shape) - 1
        a, b = (i % len(self.shape) - n for i in (a, b))
        if min(a, b) < 1:
            raise Refused("weights of experts that are turned with their places")
        order = list(range(len(self.weight.shape)))
        order[a], order[b] = order[b], order[a]
        return Gathered(einsum.moved_const(self.weight, order), self.places)

    def times_rows(self, x, a, b, out):
        """Rows with letters a, itself with letters b, as one tensor of the letters `out`."""
        size, n = dict(zip(a, x.shape)) | dict(zip(b, self.shape)), len(self.places.shape)
        at, own = b[:n], b[n:]
        sums, new = [c for c in own if c in a], [c for c in own if c not in a]
        if not sums or any(c in out for c in sums) or set(a) - set(at) - set(sums):
            raise Refused("weights of experts that are multiplied number by number")
        count = lambda letters: math.prod(size[c] for c in letters)
        shape, k = (self.weight.shape[0], count(new), count(sums)), count(at) // text.ROWS
        matrix = einsum.in_order(self.weight, "#" + own, ["#", *new, *sums])
        matrix = matrix.then(lambda m: m.reshape(shape), shape, "by expert")
        each = any(size[c] not in (1, text.ROWS) for c in at if c in a)
        x = einsum.in_order(as_rows(x), a, [*at, *sums])
        x = x.expand((*self.places.shape, *x.shape[n:])) if each else x
        x = x.view((text.ROWS, *[k] * each, count(sums)))
        place = einsum.Shape("expert_linear.default", (text.ROWS, k, count(new)))
        y = OPS[place.name](place, x, self.places.view((text.ROWS, k)), matrix, None, False)
        y, letters = einsum.without(y.view([size[c] for c in [*at, *new]]), "".join([*at, *new]), out)
        return einsum.in_order(y, letters, out)


@wrapped("index.Tensor")
def _(plain, t, x, places):
    by_row = len(places) == 1 and isinstance(x, Const) and type(places[0]) is Rows and len(x.shape) > 1
    return Gathered(x, places[0]) if by_row and text_dim(places[0]) is not None else plain(t, x, places)


@wrapped("transpose.int")
def _(plain, t, x, a, b):
    return x.transpose(a, b) if isinstance(x, Gathered) else plain(t, x, a, b)


@wrapped("matmul.default", "bmm.default")
def _(plain, t, a, b):
    x, w = (b, a) if isinstance(a, Gathered) else (a, b)
    if not isinstance(w, Gathered):
        return plain(t, a, b)
    batch, turned = "ABCDEFGH"[:len(w.shape) - 2], w is a
    if x.shape[-1 if turned else -2] != 1:
        raise Refused("several rows with each of the experts' weights")
    some = [(c, n) for c, n in zip(batch, x.shape) if n > 1] + [("i", math.prod(x.shape[-2:]))]
    letters, x = "".join(c for c, _ in some), as_rows(x).view([n for _, n in some])
    return w.times_rows(x, letters, batch + ("oi" if turned else "io"), batch + "o").view(t.shape)
