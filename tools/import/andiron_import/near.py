"""Scores that a query has for distances back, and a score of its own that takes part in the sum and has no value."""
import torch

from . import text
from .ops_moves import Ids
from .ops_numbers import summed
from .rows import apply, as_rows, combine, joined, number_of, op, ordered, text_dim, wrapped
from .values import Aside, Const, Fill, Node, Refused, Rows


def distance():
    return torch.arange(text.ROWS)[:, None] - torch.arange(text.ROWS)[None]


def are_places(x):
    """Is it what counts the text's places, as whole numbers or not?"""
    return isinstance(x, Rows) and x.node.op == "numbers" and x.node.attrs["ids"] == "positions"


def known_places(x):
    known = Const.places(x.node.attrs.get("plus", 0), x.shape)
    return known if isinstance(x, Ids) else known.then(torch.Tensor.float, x.shape, "float")


def squares(args):
    """Positions with positions, each along a dimension of its own: what is known of every pair."""
    from_end = {text_dim(a) - len(a.dims) for a in args if are_places(a)}
    return args if len(from_end) < 2 else [known_places(a) if are_places(a) else a for a in args]


class Near:
    """rows [1, heads, text, n]: of each query, for each distance below n; 0 for others when masked."""
    said = "scores that queries have for distances"

    def __init__(self, rows, shape, masked=False):
        self.rows, self.shape, self.masked = rows, tuple(shape), masked


class ByDistance(Aside):
    """queries, keys: rows [.., heads, text, n], or None; at: which of these n each distance has, from -m to m."""
    said = "scores for distances"

    def __init__(self, queries, keys, at, shape):
        self.queries, self.keys, self.at, self.shape = queries, keys, at, tuple(shape)

    def put(self, attend):
        """As arguments of a node."""
        given = {"near": self.queries, "near_keys": self.keys}
        attend.attrs["given"] = " ".join(k for k, x in given.items() if x)
        attend.inputs += [(ordered(x), attend.heads) for x in given.values() if x]
        attend.weights["near_at"] = self.at, None
        attend.last()


@op("by_distance.default")
def _(t, queries, keys, at):
    return ByDistance(queries, keys, Const.literal(at.known().float()), t.shape)


def all_are(x, want):
    """Is a known tensor that square for each of its heads?"""
    known = x.known() if isinstance(x, Const) else None
    return known is not None and known.shape[-2:] == want.shape and bool((known == want).all())


@wrapped("gather.default")
def _(plain, t, x, dim, places, **more):
    n = x.shape[-1] if isinstance(x, Rows) else 0
    if isinstance(x, Rows) and text_dim(x) == len(x.dims) - 2 and all_are(places, distance().clamp(0, n - 1)):
        return Near(x, t.shape)
    return plain(t, x, dim, places, **more)


@wrapped("masked_fill.Scalar", "masked_fill.Tensor")
def _(plain, t, x, mask, number):
    if not isinstance(x, Near):
        return plain(t, x, mask, number)
    n = x.rows.shape[-1]
    if number_of(number) != 0 or not all_are(mask, (distance() < 0) | (distance() >= n)):
        raise Refused("scores of distances with another mask than that of those that have none")
    return Near(x.rows, x.shape, True)


@wrapped("mul.Tensor")
def _(plain, t, a, b):
    x, by = (a, b) if isinstance(a, Near) else (b, a)
    if not isinstance(x, Near):
        return plain(t, a, b)
    return Near(combine("mul", x.rows, by, x.rows.shape), x.shape, x.masked)


def with_more(x, number):
    """x [1, heads, text, d] and a number more in each head."""
    return joined([x, number], 3, (*x.shape[:3], x.shape[3] + 1))


def among_few(q, k, v, shape, more, scale, cap, causal):
    """Each row's queries [1, text, m, d] and keys and values [1, text, n, d] of its own."""
    if causal or cap or any(x is not None for x in more):
        raise Refused("attention within a row with a mask, a bias or sinks")
    n, parts = k.shape[2], []
    for i in range(q.shape[2]):
        scores = summed(combine("mul", k, q.narrow(2, i, 1), k.shape), [3])
        shares = Node("softmax", [(ordered(apply("mul", scores, number=scale)), 1)], n)
        parts.append(Rows.of(Node("mix", [(ordered(v), n), (shares, 1)], v.shape[3]), (1, 1, text.ROWS, v.shape[3])))
    return joined(parts, 1, shape)


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, sinks, bias, scale, cap, causal, *places):
    if text_dim(k) == 1 and text_dim(v) == 1:
        return among_few(q, k, v, t.shape, [mask, sinks, bias], scale, cap, causal)
    if isinstance(bias, ByDistance):
        out = plain(t, q, k, v, mask, sinks, None, scale, cap, causal, *places)
        bias.put(out.node)
        return out
    near = bias if isinstance(bias, Near) else None
    if near and not near.masked:
        raise Refused("scores of distances that have no end")
    if isinstance(sinks, Rows):  # all others are that much less, beside one that is 0
        q = with_more(q, apply("mul", sinks.view((*q.shape[:3], 1)), number=-1 / scale))
        k = with_more(k, as_rows(Fill(1.0, (*k.shape[:3], 1))))
        sinks = Const.literal(torch.zeros(q.shape[1]))
    heads = near and (ordered(near.rows), q.shape[1])
    out = plain(t, q, k, v, mask, sinks, None if near else bias, scale, cap, causal, *places)
    out.node.inputs += [heads] if near else []
    return out
