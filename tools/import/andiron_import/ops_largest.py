"""The largest of a row's numbers, and numbers put back to the places where they were."""
import math

from .ops_numbers import chosen, last
from .rows import apply, as_rows, combine, number_of, op, ordered, per_row, unary
from .values import Aside, Node, Refused, Rows


def largest(x, n, dim, shapes):
    """The n largest numbers and their places; of several rows, the numbers alone."""
    x = as_rows(x)
    node, rows = last(x)
    if dim % len(x.dims) != len(x.dims) - 1:
        raise Refused("the largest numbers of another dimension than the last")
    size, best = node.n // rows, None
    for r in range(rows):
        row = node if rows == 1 else Node("slice", [(node, 1)], size, 1, {"start": r * size, "n": size})
        places = Node("top", [(row, 1)], n, 1, {"n": n})
        found = Node("pick", [(row, 1), (places, 1)], n)
        best = found if best is None else Node("concat", [(best, 1), (found, 1)], best.n + n)
    return [Rows.of(best, shapes[0]), Rows.of(places, shapes[1]) if rows == 1 else SeveralPlaces()]


class SeveralPlaces(Aside):
    """Places of the largest numbers of several rows, which are not told."""

    def __getattr__(self, name):
        raise Refused("places of the largest numbers of several rows, where one row's are covered")


@op("topk.default")
def _(t, x, n, dim=-1, largest_=True, sorted=True):
    if not largest_:
        raise Refused("the smallest numbers")
    return largest(x, n, dim, t.shape)


@op("max.dim")
def _(t, x, dim, keep=False):
    return largest(x, 1, dim, t.shape)


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


@op("scatter.src")
def _(t, x, dim, places, source):
    """Numbers of the largest at their places again, all others 0 or -infinity."""
    node, values = ordered(places), ordered(source)
    every = unpicked(values, node) if node.op == "top" else None
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
