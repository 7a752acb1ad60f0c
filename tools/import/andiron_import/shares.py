"""What becomes of scores: shares of a softmax, or of another function, and sums of values by them."""
import math

import torch

from . import text
from .ops_layers import distance_bias, own_heads, sight
from .ops_numbers import summed
from .rows import apply, as_rows, combine, joined, number_of, ordered, text_dim
from .values import TEXT, Aside, Const, Fill, Node, Refused, Rows

KEYS = 1 << 40  # the stride of the keys' text in a layout
FUNCTIONS = {"sigmoid.default": "sigmoid", "relu.default": "relu", "silu.default": "silu", "gelu.default": "gelu",
             "softplus.default": "softplus"}
OF_ZERO = {"relu", "relu2", "silu", "gelu"}  # they leave 0 as it is


def heads_of(x, dims):
    """x as [1, heads, text, d]: the axes of those dimensions but the text are the heads, the outermost first."""
    axes = [a for i in dims for a in x.dims[i] if a[1] is not TEXT]
    return Rows(x.node, [[], axes, [(text.ROWS, TEXT)], x.dims[-1]], x.start)


def wide(x, n):
    """x [1, heads, text, d] with each head as often as makes n."""
    _, h, rows, d = x.shape
    return x if h == n else x.view((1, h, 1, rows, d)).expand((1, h, n // h, rows, d)).view((1, n, rows, d))


def own(s):
    """With the heads that its layout has, in that order."""
    if s.layout.dims[-1] != [(text.ROWS, KEYS)]:
        raise Refused("scores whose last dimension is not that of the keys")
    axes = [a for d in s.layout.dims[:-1] for a in d if a[1] is not TEXT and a[0] > 1]
    h = s.q.shape[1]
    if s.layout.start == 0 and Rows(None, [axes]).features() in ([(h, 1)], [])[: 2 if h == 1 else 1]:
        return s
    if s.alibi or s.bias or s.sinks or s.distances or s.only or s.first or s.by_head:
        raise Refused("some of the heads of scores that have a bias")

    def pick(x):
        d = x.shape[3]
        return Rows(ordered(x), [[], [(n, step * d) for n, step in axes], [(text.ROWS, TEXT)], [(d, 1)][:d - 1]],
                    s.layout.start * d)
    layout = Rows.like(None, Rows(None, s.layout.dims[:-1]))
    out = s.but(layout=Rows(None, [*layout.dims, s.layout.dims[-1]]), factor=s.factor and pick(s.factor))
    out.q, out.k = pick(s.q), pick(wide(s.k, h))
    return out


def of_queries(s, x):
    """A number that each query has in each head, as [1, heads, text, 1]; s in the order of its layout."""
    at = text_dim(s.layout)
    if at is None or len(s.layout.dims[at]) > 1:
        raise Refused("numbers of queries that stand in one dimension with their heads")
    n = len(s.shape)
    x = as_rows(x).expand((*s.shape[:-1], 1)).permute([*(i for i in range(n - 1) if i != at), at, n - 1])
    return x.view((1, s.q.shape[1], text.ROWS, 1))


class Mixture(Aside):
    """A sum of shares."""
    said = "a sum of shares of attention"

    def __init__(self, terms):
        self.terms, self.shape, self.layout = terms, terms[0].shape, terms[0].layout

    def each(self, function):
        return Mixture([function(s) for s in self.terms])

    def permute(self, order):
        return self.each(lambda s: s.permute(order))

    def view(self, shape):
        return self.each(lambda s: s.view(shape))


def finished(s, v, shape):
    """Values by their shares."""
    if isinstance(s, Mixture):
        out = finished(s.terms[0], v, shape)
        for more in s.terms[1:]:
            out = combine("add", out, finished(more, v, shape), shape)
        return out
    if s.first and hasattr(v, "first"):
        s, v = s.but(first=s.first.with_values(v)), v.x
    if text_dim(v) != len(v.dims) - 2:
        raise Refused("scores times values in another order than that of their places")
    s, v = own(s), heads_of(v, range(len(v.dims) - 2))
    d = v.shape[3]
    if (s.words or s.by_head) and (s.by is None if s.far else s.by not in OF_ZERO | {None}):
        raise Refused("scores that do not become 0 where they are masked")
    more = s.cap or s.alibi or s.bias or s.distances or s.plus or s.only or s.first
    linear = s.by is None and set(s.words) == {"causal"} and not more
    if s.decay is not None and not linear:
        raise Refused("scores that fade, of which a function is taken")
    sums = fading if linear else attended
    y = sums(s, v) if s.talk is None else heard(sums(s, side_by_side(v)), s.talk, d)
    y = y if s.factor is None else combine("mul", y, s.factor, y.shape)
    in_head = lambda axes: [(size, stride if stride is TEXT else stride * d) for size, stride in axes]
    return Rows(ordered(y), [*map(in_head, s.layout.dims[:-1]), [(d, 1)]]).view(shape)


def talking(s, weight, dim):
    """Heads that mix their scores, or their shares, with others' (Shazeer et al. 2020)."""
    if isinstance(s, Mixture):
        return s.each(lambda x: talking(x, weight, dim))
    keys = s.layout.dims.index([(text.ROWS, KEYS)])
    order = [*(i for i in range(len(s.shape)) if i != keys), keys]
    h, back = s.shape[dim], [order.index(i) for i in range(len(order))]
    s = own(s.permute(order))
    if weight.shape != (h, h) or s.q.shape[1] != h or s.talk is not None or not s.by and (
            s.cap or s.alibi or s.bias or s.distances or s.plus or s.only or s.first or s.far or s.sinks):
        raise Refused("heads that mix scores of which something was made, or that mix them twice")
    if s.by:
        return s.but(talk=weight).permute(back)
    d = s.q.shape[3]
    each = s.q.permute([0, 2, 1, 3]).view((1, 1, text.ROWS, h, d))
    by = weight.then(lambda w: w.reshape(1, h, 1, h, 1), (1, h, 1, h, 1), "talk")
    q = combine("mul", each, by, (1, h, text.ROWS, h, d)).view((1, h, text.ROWS, h * d))
    return s.but(q=q, k=side_by_side(wide(s.k, h))).permute(back)


def side_by_side(x):
    """[1, heads, text, d] as one head."""
    _, h, rows, d = x.shape
    return x.permute([0, 2, 1, 3]).view((1, 1, rows, h * d))


def heard(y, weight, d):
    """Of each head's sums of all heads' values: what each head reads."""
    h = y.shape[1]
    by = weight.then(lambda w: w.t().reshape(1, h, 1, h, 1), (1, h, 1, h, 1), "heard")
    y = y.view((1, h, text.ROWS, h, d))
    return summed(combine("mul", y, by, y.shape), [1]).view((1, text.ROWS, h, d)).permute([0, 2, 1, 3])


def attended(s, v):
    if s.by_head:
        return of_heads(s, v)
    q, k, h = s.q, s.k, s.q.shape[1]
    if s.plus and s.by != "softmax":  # a number more in each query and key, whose product it is
        more = lambda x, y: joined([x, as_rows(y).expand((*x.shape[:3], 1))], 3, (*x.shape[:3], x.shape[3] + 1))
        q, k = more(q, apply("mul", of_queries(s, s.plus), number=1 / s.scale)), more(k, Fill(1.0, (1, 1, 1, 1)))
    attrs = {"scale": s.scale, "cap": s.cap, "alibi": s.alibi} | sight(set(s.words))
    attrs |= {} if s.by == "softmax" else {"by": s.by or "none"}
    k, v = own_heads(k, v) if k.shape[1] == v.shape[1] else (wide(k, h), wide(v, h))
    near, weights = distance_bias(s.bias, h, attrs.get("sees") == "all") if s.bias else ([], {})
    weights |= {"sinks": (s.sinks, None)} if s.sinks else {}
    d = v.shape[3]
    ins = [*((ordered(x), x.shape[1]) for x in (q, k, v)), *near]
    node = Node("attend", ins, h * d, h, attrs, weights)
    for more in filter(None, (s.distances, s.only, s.first)):
        more.put(node)
    return Rows.of(node, (1, text.ROWS, h, d)).permute([0, 2, 1, 3])


def of_heads(s, v):
    """Heads that see the same side by side, others in an attend of their own."""
    if any(x is not None for x in (s.plus, s.distances, s.only, s.first, s.sinks, s.bias)) or s.alibi:
        raise Refused("heads that see other places than others, whose scores have a bias")
    h, out, at = s.q.shape[1], [], 0
    for n, words in s.by_head:
        q, k, own_v = (wide(x, h).narrow(1, at, n) for x in (s.q, s.k, v))
        out.append(attended(s.but(q=q, k=k, words=s.words + words, by_head=None), own_v))
        at += n
    return joined(out, 1, (1, h, *out[0].shape[2:]))


def fading(s, v):
    """Without a function: a state, the sum of keys and values so far, faded from row to row."""
    h, d = s.q.shape[1], v.shape[3]
    decay = s.decay or Fill(1.0, (h,))
    ins = [apply("mul", s.q, number=s.scale), wide(s.k, h), wide(v, h), as_rows(decay)]
    return Rows.of(Node("scan", [(ordered(x), h) for x in ins], h * d, h), (1, text.ROWS, h, d)).permute([0, 2, 1, 3])


# ---- a softmax that is written out

class Over(Aside):
    """Of the scores that a softmax would find: the largest ("max"), a sink or 0 "minus" that, exp of that ("rest"), or
    the sum of exp ("sum")."""
    said = "a sum of scores, or their largest"

    def __init__(self, of, kind, sink=None):
        self.of, self.kind, self.shape, self.sink = of, kind, (), sink


def over_keys(s, dims):
    dims = dims if isinstance(dims, (list, tuple)) else [dims]
    if [s.layout.dims[d] for d in dims] != [[(text.ROWS, KEYS)]]:
        raise Refused("a sum of scores, or the largest of them, over other dimensions than the keys")


def sum_of(s, shape):
    """The shares of all keys together."""
    kept = s.terms[0] if isinstance(s, Mixture) else s
    ones = as_rows(Fill(1.0, (*kept.shape[:-2], text.ROWS, 1)))
    return finished(s, ones, (*s.shape[:-1], 1)).view(shape)


def sinks_of(sink, heads):
    """A score for each head, of no place."""
    if sink is None:
        return Const.literal(torch.zeros(heads))
    if sink.shape[-2:] != (1, 1) or math.prod(sink.shape) != heads:
        raise Refused(f"sinks of the shape {sink.shape} for {heads} heads")
    return sink.then(lambda x: x.reshape(-1), (heads,), "flat")


def of_over(name, x, other):
    """What a softmax does with what Over is."""
    if name in ("neg.default", "mul.Tensor") and x.kind == "max":
        return Over(x.of, "minus")
    if name == "sub.Tensor" and x.kind == "max" and isinstance(other, Const):
        return Over(x.of, "minus", other)
    if name == "exp.default" and x.kind == "minus":
        return Over(x.of, "rest", x.sink)
    if name in ("clamp.default", "clamp_min.default", "unsqueeze.default", "view.default", "detach.default",
                "maximum.default", "max.other"):
        return x
    if name == "add.Tensor" and x.kind == "rest" and isinstance(other, Over):
        x, other = other, x
    if name == "add.Tensor" and x.kind == "sum":
        rest = other.kind == "rest" if isinstance(other, Over) else number_of(other) == 1
        if rest:  # one more place, whose score is 0 and which has no value
            return Over(x.of.but(sinks=sinks_of(getattr(other, "sink", None), own(x.of).q.shape[1])), "sum")
        if isinstance(number_of(other), float) and number_of(other) < 1e-5:
            return x
    raise Refused(f"torch's {name} of the largest score, or of a sum of scores")


def written_out(at, name, args):
    """A softmax that is written out: exp(s), perhaps less the largest, by its sum; None: that is no part of one."""
    s, other = args[0], args[1] if len(args) > 1 else None
    if isinstance(s, Over) or isinstance(other, Over) and not hasattr(s, "q"):
        return of_over(name, s, other) if isinstance(s, Over) else of_over(name, other, s)
    if name in ("amax.default", "max.dim", "sum.dim_IntList"):
        over_keys(s, other)
        if name == "sum.dim_IntList" and getattr(s, "by", "sum") != "exp":
            return sum_of(s, at.shape)
        kind = "sum" if name == "sum.dim_IntList" else "max"
        if kind == "max" and s.by:
            raise Refused("the largest of what was made of scores")
        return [Over(s, kind), None] if name == "max.dim" else Over(s, kind)
    if name == "logsumexp.default":
        over_keys(s, other)
        return Over(s, "logsumexp")
    if name == "sub.Tensor" and isinstance(other, Over) and other.kind == "logsumexp" or "log_softmax" in name:
        return s.but(by="log_softmax")
    if name == "exp.default":
        return s.but(by="softmax" if s.by == "log_softmax" else "exp")
    if name == "sub.Tensor" and isinstance(other, Over) and other.kind == "max" and s.by is None:
        return s
    if name == "div.Tensor" and isinstance(other, Over) and other.kind == "sum" and s.by == "exp":
        return s.but(by="softmax", sinks=other.of.sinks)
    return None
