"""Loops over experts (hooks_loops.py): a sum over all of them, each times the share that a row gives it.

A `share` is the sum, over the row's places where the expert stands, of the places' weights, or of 1 (experts.py).
"""
from .ops_largest import at_largest
from .ops_moves import Ids
from .rows import OPS, apply, as_rows, combine, joined, number_of, op, ordered, per_row, text_dim, wrapped
from .values import Aside, Const, Fill, Node, Refused, Rows
from .whole import Whole


class Hot(Aside):
    """one_hot of places [.., n]: which dimension is which is `order`, the experts' last."""
    said = "a one-hot vector of each row's experts"
    TAKES = ("sum.dim_IntList", "permute.default", "transpose.int", "select.int", "_to_copy.default", "to.dtype")

    def __init__(self, places, experts, order=None):
        self.places, self.experts, self.order = places, experts, order or list(range(len(places.dims) + 1))
        sizes = [*places.shape, experts]
        self.shape = tuple(sizes[i] for i in self.order)

    def permute(self, order):
        return Hot(self.places, self.experts, [self.order[i] for i in order])

    def rows(self):
        """As numbers, where a row has one place."""
        if per_row(self.places.shape) > 1:
            raise Refused("one_hot of several places in each row, as numbers")
        return at_largest(self.places.node, (*self.places.shape, self.experts)).permute(self.order)

    def expert(self, dim, e):
        if self.order[dim] != len(self.order) - 1:
            raise Refused("a part of one_hot that is not one expert's")
        mask = Whole(self.places, self.places.node, self.places.node.inputs[0][0].n, lambda v: v == e)
        return mask.turned([i for i in self.order if i != len(self.order) - 1])


class HotTokens(Aside):
    """one_hot of tokens, which a product makes rows of a table."""
    said = "a one-hot vector of each token"

    def __init__(self, tokens, shape):
        self.tokens, self.shape = tokens, tuple(shape)


@wrapped("matmul.default", "mm.default", "bmm.default", "linear.default", "view.default", "_to_copy.default",
         "to.dtype", "type_as.default")
def _(plain, t, x, *more, **named):
    if not isinstance(x, HotTokens):
        return plain(t, x, *more, **named)
    if t.name in ("matmul.default", "mm.default", "bmm.default") and isinstance(more[0], Const):
        n = more[0].shape[-2:]
        return OPS["embedding.default"](t, more[0].then(lambda w: w.reshape(n), n, "table"), x.tokens)
    if t.name == "linear.default" and len(more) == 1:
        return OPS["embedding.default"](t, more[0].then(lambda w: w.t(), more[0].shape[::-1], "t"), x.tokens)
    if t.name in ("matmul.default", "mm.default", "bmm.default", "linear.default"):
        raise Refused("one_hot of tokens times what is no table")
    return HotTokens(Ids(x.tokens.source, x.tokens.view(t.shape[:-1]).dims, x.tokens.plus), t.shape)


@op("one_hot.default")
def _(t, places, experts):
    if isinstance(places, Ids) and places.source == "tokens":
        return HotTokens(places, t.shape)
    if not isinstance(places, Rows) or places.node.op != "top":
        raise Refused("one_hot of what are no places of the largest numbers")
    return Hot(places, experts)


@wrapped("sum.dim_IntList")
def _(plain, t, x, dims, *more, **named):
    """1 for each expert that stands in a row's places."""
    if not isinstance(x, Hot):
        return plain(t, x, dims, *more, **named)
    if [x.order[d] for d in dims] != [len(x.order) - 2] or x.order[-1] != len(x.order) - 1:
        raise Refused("one_hot summed over other dimensions than that of the places")
    return at_largest(x.places.node, t.shape)


@wrapped("permute.default", "transpose.int", "select.int", "_to_copy.default", "to.dtype")
def _(plain, t, x, *args, **more):
    if isinstance(x, Whole) and t.name in ("permute.default", "transpose.int"):
        return Whole(plain(t, x, *args, **more), x.source, x.n, x.function)
    if not isinstance(x, Hot):
        return plain(t, x, *args, **more)
    if t.name == "select.int":
        return x.expert(args[0] % len(x.shape), args[1])
    if t.name in ("permute.default", "transpose.int"):
        order = list(range(len(x.shape)))
        a, b = args if t.name == "transpose.int" else (0, 0)
        order[a], order[b] = order[b], order[a]
        return x.permute(order if t.name == "transpose.int" else args[0])
    return x


class Where(Aside):
    """Places of the text, of a dimension of a mask: rows where it holds."""
    said = "the rows for which a mask holds"

    def __init__(self, mask, dim, shape):
        self.mask, self.dim, self.shape = mask, dim, tuple(shape)
        self.rows = dim == text_dim(mask)


@op("where.default")
def _(t, mask, dim):
    if not isinstance(mask, Rows):
        raise Refused("places where a mask holds that is not of rows")
    return Where(mask, dim, t.shape)


class Slot(Aside):
    """Of each row whose places have the expert, which one: row * places + place."""
    said = "the slots of one expert's rows"

    def __init__(self, mask, shape):
        self.mask, self.shape = mask, tuple(shape)


@op("slot.default")
def _(t, mask):
    return Slot(mask, t.shape)


@wrapped("floor_divide.default", "div.Tensor_mode")
def _(plain, t, x, by, **named):
    if not isinstance(x, Slot):
        return plain(t, x, by, **named)
    if number_of(by) != x.mask.shape[1]:
        raise Refused("slots of rows by another number than there are in each")
    return Where(x.mask, 0, t.shape)


def is_choice(mask):
    """Does it ask something of each of a row's places?"""
    return isinstance(mask, Whole) and mask.source is not None and per_row(mask.shape) == mask.source.n


def share(mask, weights=None):
    """The sum of weights where the mask holds, as one number a row."""
    one = mask.table.nonzero().flatten().tolist() if is_choice(mask) else []
    if len(one) == 1:
        ins = [(mask.source, 1)] + ([] if weights is None else [(ordered(weights), 1)])
        return Node("share", ins, 1, 1, {"expert": one[0]})
    both = ordered(mask if weights is None else combine("mul", weights, mask, mask.shape))
    return both if both.n == 1 else Node("sum", [(both, 1)], 1)


def column(node, shape):
    return Rows.of(node, [s if i == 0 else 1 for i, s in enumerate(shape)])


def along(indices):
    """The Where of the rows among indices that are all of one mask, or None."""
    found = [i for i in indices if isinstance(i, Where)]
    same = found and all(f.mask is found[0].mask for f in found)
    return next((f for f in found if f.rows), None) if same else None


@wrapped("index.Tensor")
def _(plain, t, x, indices):
    if isinstance(indices[0], Slot):
        mask = indices[0].mask
        x, indices = as_rows(x), [Where(mask, 0, t.shape[:1]), Where(mask, 1, t.shape[:1])]
        x = x.view((*mask.shape, *x.shape[1:]))
    rows = along(indices)
    if rows is None:
        return plain(t, x, indices)
    if isinstance(x, Fill):
        return Fill(x.number, t.shape)
    slots = [i for i in indices if isinstance(i, Where) and not i.rows and i.mask.shape[i.dim] > 1]
    if not slots:
        return x.view(t.shape)
    dims = [i.dim if isinstance(i, Where) else None for i in indices]
    of_mask = None if None in dims else tuple(rows.mask.shape[d] for d in dims)
    if of_mask is None or tuple(x.shape) != (*of_mask, *[1] * (len(x.shape) - len(dims))):
        raise Refused("numbers read where a mask holds that is of another shape")
    weights = as_rows(x).view(of_mask).permute([dims.index(d) for d in range(len(dims))])
    return column(share(rows.mask, weights), t.shape)


@op("index_add.default")
def _(t, x, dim, places, values, alpha=1):
    if not isinstance(places, Where) or not places.rows:
        raise Refused("rows that are added at computed places")
    return added(x, values, places, t.shape)


@op("index_put.default")
def _(t, x, indices, values, accumulate=False):
    known = [(dim, i.known()) for dim, i in enumerate(indices) if isinstance(i, Const)]
    if len(known) == sum(i is not None for i in indices) == 1 and known[0][1].dim() == 1:
        return put_within(as_rows(x).expand(t.shape), *known[0], as_rows(values), accumulate)
    rows = along(indices)
    if rows is None:
        raise Refused("rows that are put at computed places")
    values = as_rows(values)
    values = values.expand(t.shape) if text_dim(values) is None else values.view(t.shape)
    if accumulate:
        return added(x, values, rows, t.shape)
    node = ordered(values)
    more = [i for i, _ in node.inputs if isinstance(x, Rows) and i is not ordered(x)]
    if isinstance(x, Rows) and node.op == "add" and len(more) == 1 and len(node.inputs) == 2:  # x[rows] += more
        return added(x, Rows.like(more[0], values), rows, t.shape)
    if isinstance(x, Fill):
        return added(x, combine("add", values, -x.number, t.shape), rows, t.shape)
    return added(x, combine("add", values, combine("mul", x, -1.0, t.shape), t.shape), rows, t.shape)


def put_within(x, dim, places, values, accumulate):
    """At known places of each row."""
    at = {int(i) % x.shape[dim]: n for n, i in enumerate(places)}
    values = values.expand([len(places) if i == dim else s for i, s in enumerate(x.shape)])
    one = lambda y, i: y.narrow(dim, i, 1)
    new = lambda i: combine("add", one(x, i), one(values, at[i]), None) if accumulate else one(values, at[i])
    return joined([new(i) if i in at else one(x, i) for i in range(x.shape[dim])], dim, x.shape)


def is_shared(node, places, expert):
    """Is it 0 where the row did not choose that expert?"""
    if node.op == "share":
        return node.inputs[0][0] is places and node.attrs["expert"] == expert
    return node.op == "mul" and any(is_shared(i, places, expert) for i, _ in node.inputs)


def added(x, values, rows, shape):
    """x + values in the rows where the mask holds."""
    values, hit = as_rows(values), share(rows.mask)
    if hit.op != "share" or not is_shared(ordered(values), hit.inputs[0][0], hit.attrs["expert"]):
        values = combine("mul", values, column(hit, shape), shape)
    return combine("add", x, values, shape)


@op("any.dim", "any.dims")
def _(t, x, dim, keep=False):
    if is_choice(x) and x.table.sum() == 1 and x.shape[dim] == x.source.n:
        return Rows.of(share(x), t.shape)
    return apply("clamp", OPS["sum.dim_IntList"](t, x, [dim], keep), low=0.0, high=1.0)
