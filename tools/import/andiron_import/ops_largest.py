"""The largest of a row's numbers, and numbers put back to the places where they were."""
import math

import torch

from . import text
from .ops_moves import Ids
from .ops_numbers import chosen, last
from .ops_states import larger, of
from .rows import OPS, apply, as_rows, combine, number_of, op, ordered, per_row, unary
from .values import Const, Fill, Node, Refused, Rows, alike


def largest(x, n, dim, shapes):
    """The n largest numbers and their places, in each row of the last dimension."""
    x = as_rows(x)
    node, rows = last(x)
    if dim % len(x.dims) != len(x.dims) - 1:
        raise Refused("the largest numbers of another dimension than the last")
    places = [Node("top", [(part_of(node, r, rows), 1)], n, 1, {"n": n}) for r in range(rows)]
    found = picked(node, places)
    return [Rows.of(found, shapes[0]), Rows.of(side_by_side(places), shapes[1])]


def part_of(node, i, parts):
    n = node.n // parts
    return node if parts == 1 else Node("slice", [(node, 1)], n, 1, {"start": i * n, "n": n})


def side_by_side(nodes):
    out = nodes[0]
    for more in nodes[1:]:
        out = Node("concat", [(out, 1), (more, 1)], out.n + more.n)
    return out


def picked(node, places):
    """The numbers at those places, of as many parts of the node as there are nodes of places."""
    return side_by_side([Node("pick", [(part_of(node, i, len(places)), 1), (p, 1)], p.n) for i, p in enumerate(places)])


def tops(places):
    """The nodes that places were joined of."""
    return [n for i, _ in places.inputs for n in tops(i)] if places.op == "concat" else [places]


@op("gather.default")
def _(t, x, dim, places):
    known = x.known() if isinstance(x, Const) and isinstance(places, Ids) else None
    if known is not None and (known == known.reshape(-1)[0]).all():  # the same number at each place
        return Fill(float(known.reshape(-1)[0]), t.shape)
    x = as_rows(x)
    node, rows = last(x)
    of = tops(ordered(places)) if isinstance(places, Rows) else []
    if dim % len(x.dims) != len(x.dims) - 1 or len(of) != rows:
        raise Refused("numbers gathered from several rows")
    return Rows.of(picked(node, of), t.shape)


@op("_embedding_bag.default", "_embedding_bag_forward_only.default", "embedding_bag.default")
def _(t, table, places, offsets=None, scale=False, mode=0, sparse=False, weights=None, *_):
    """places [text * n]: a sum of the table's rows, each times its weight."""
    if mode != 0 or not isinstance(places, Rows) or t.shape[0][0] != text.ROWS:
        raise Refused("rows of a table whose mean or maximum is taken, or not of the text's rows")
    each = rows_at(table, ordered(places))
    by = alike(each.heads, 1) if weights is None else ordered(weights)
    return [Rows.of(Node("mix", [(each, each.heads), (by, 1)], table.shape[1]), t.shape[0])]


def rows_at(table, places):
    """A table's rows at computed places: of experts with one input, which is 1."""
    (rows, d), n = table.shape, places.n
    if rows > 1 << 24:
        raise Refused("a table of more than 2^24 rows that is read at computed places")
    at = Node("places", [(places, 1)], n, 1, {"n": rows})
    columns = table.then(lambda w: w[:, :, None], (rows, d, 1), "columns")
    return Node("experts", [(alike(1, 1), 1), (at, 1)], n * d, n, {}, {"weight": (columns, None)})


@op("topk.default")
def _(t, x, n, dim=-1, largest_=True, sorted=True):
    if largest_:
        return largest(x, n, dim, t.shape)
    values, places = largest(combine("mul", x, -1.0, x.shape), n, dim, t.shape)
    return [combine("mul", values, -1.0, values.shape), places]


@op("sort.default", "sort.stable")
def _(t, x, *args, stable=None, dim=-1, descending=False):
    dim, descending = [*args, *(dim, descending)[len(args):]]
    return OPS["topk.default"](t, x, x.shape[dim], dim, descending)


@op("max.dim")
def _(t, x, dim, keep=False):
    return largest(x, 1, dim, t.shape)


@op("amax.default", "amin.default")
def _(t, x, dims, keep=False):
    """The larger numbers of two halves, which have the middle one both, and of those again."""
    sign = 1.0 if t.name == "amax.default" else -1.0
    x = of("mul", as_rows(x), sign)
    for dim in (d % len(x.dims) for d in dims):
        if x.shape[dim] == text.ROWS:
            raise Refused("the largest of all of the text")
        while (n := x.shape[dim]) > 1:
            half = (n + 1) // 2
            x = larger(x.narrow(dim, 0, half), x.narrow(dim, n - half, half))
    return of("mul", x, sign).view(t.shape)


def kept_largest(places):
    """The numbers of which `top` gave these places, all others -infinity: each number a group of its own."""
    source = places.inputs[0][0]
    return Node("keep_groups", [(source, 1)], source.n, 1, {"groups": source.n, "kept": places.n, "best": 1})


def at_largest(places, shape):
    """1 at the places that `top` gave, 0 at others."""
    return apply("clamp", Rows.of(unary("add", Rows.of(kept_largest(places), shape), number=1e30), shape), low=0.0,
                 high=1.0)


def unpicked(node, places):
    """All numbers, of which the node's were picked before they became what they are; or None."""
    if node.op == "pick" and node.inputs[1][0] is places:
        return node.inputs[0][0]
    alone = node.op in ("add", "mul", "div") and (len(node.inputs) == 1 or node.inputs[1][0].n == 1)
    inner = unpicked(node.inputs[0][0], places) if alone else None
    return inner and Node(node.op, [(inner, 1), *node.inputs[1:]], inner.n, 1, node.attrs)


def put(values, places, shape):
    """Each number at its place, all others 0: experts that give 1 at theirs, mixed."""
    n = shape[-1]
    ones = Const.literal(torch.eye(n)[:, :, None])
    at = Node("experts", [(alike(1, 1), 1), (places, 1)], places.n * n, places.n, {}, {"weight": (ones, None)})
    return Rows.of(Node("mix", [(at, places.n), (values, 1)], n), shape)


@op("scatter.src")
def _(t, x, dim, places, source):
    """Numbers of the largest at their places again, all others 0 or -infinity."""
    node, values = ordered(places), ordered(source)
    if node.op != "top" or dim % len(t.shape) != len(t.shape) - 1 or per_row(t.shape) != t.shape[-1]:
        raise Refused("numbers scattered to places that are not those of the largest")
    every = unpicked(values, node)
    if every is None and number_of(x) == 0:
        return put(values, node, t.shape)
    if every is None or per_row(t.shape) != every.n:
        raise Refused("numbers scattered to places that are not those of the largest")
    if number_of(x) == -math.inf and every is node.inputs[0][0]:
        return Rows.of(kept_largest(node), t.shape)
    if number_of(x) != 0:
        raise Refused("numbers scattered among others than 0")
    return combine("mul", Rows.of(every, t.shape), at_largest(node, t.shape), t.shape)


@op("scatter.value")
def _(t, x, dim, places, number):
    """A number at the places of the largest."""
    node = ordered(places)
    if node.op != "top" or per_row(t.shape) != node.inputs[0][0].n:
        raise Refused("numbers scattered to places that are not those of the largest")
    mark = at_largest(node, t.shape)
    return mark if number_of(x) == 0 and number == 1 else chosen(mark, number, x, t.shape)
