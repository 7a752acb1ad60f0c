"""Attention that a model writes out: q . k, what is done to the scores, softmax and the product with v: one attend."""
import contextlib
import math

import torch

from . import alibi, fading, indexer, position_tables, shares, text
from .masks import FAR, hidden_by, hides_what_follows, of_text, words_by_head, words_of
from .near import ByDistance
from .ops_moves import numbers
from .ops_numbers import opposite
from .rows import BIG, OPS, apply, as_rows, combine, joined, number_of, op, per_row, reciprocal, text_dim, wrapped
from .seen import Kept, Seen, kept
from .shares import KEYS, heads_of
from .shifted import as_text
from .values import TEXT, Const, Fill, Mask, Node, Refused, Rows


MOST_PLACES = 1024  # of texts whose pairs of places have numbers
MOST_PRODUCTS = 1 << 14  # of two numbers of a head


class Scores:
    """scale * q . k and what followed. q, k: [1, heads, text, d] as rows; layout: where the heads and both texts stand
    among the dimensions of the scores, as the strides of rows that nobody has made."""
    said = "scores of attention"

    def __init__(self, q, k, layout, **of):
        self.q, self.k, self.layout, self.shape = q, k, layout, layout.shape
        self.scale, self.cap, self.alibi, self.bias, self.sinks = 1.0, 0.0, 0.0, None, None
        self.plus = None  # a number that each head has
        self.distances = None  # near.ByDistance
        self.only = None  # seen.Seen
        self.first = None  # before.First
        self.words, self.far = (), False  # what is seen; is all else far below, or 0?
        self.by_head = None  # the same, where heads differ: [(so many of them, words)]
        self.by = None  # what was taken of it: "softmax", "exp", "sigmoid", ...
        self.decay, self.rate = None, None  # a number of each row that all rows before fade by; its logarithm
        self.factor = None  # [1, heads, text, 1], of what was taken
        self.talk = None  # [heads, heads]: what heads read of others' shares
        self.__dict__.update(of)

    def permute(self, order):
        return self.but(layout=self.layout.permute(order))

    def view(self, shape):
        return self.but(layout=self.layout.view(shape))

    def but(self, **of):
        mine = {k: v for k, v in self.__dict__.items() if k not in ("q", "k", "shape", "layout")}
        return Scores(of.pop("q", self.q), of.pop("k", self.k), of.pop("layout", self.layout), **(mine | of))


def is_scores(a, b):
    """[.., text, d] times [.., d, text]; or [.., text, heads, d] times [.., 1, d, text]."""
    both = isinstance(a, Rows) and isinstance(b, Rows)
    at = text_dim(a) if both else None
    return both and text_dim(b) == len(b.dims) - 1 and at is not None and (
        at == len(a.dims) - 2 or at == len(a.dims) - 3 and per_row(b.shape[:-2]) == 1)


def begin(a, b):
    """a [.., queries, d] times b [.., d, keys]; heads may stand in one dimension with the queries."""
    keys = b.permute([*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2])
    lead, by = [*range(len(a.dims) - 2)], [*range(len(b.dims) - 2)]
    fewer = next((i for i in by if a.shape[i] != b.shape[i]), len(by))
    if len(a.dims) != len(b.dims) or any(b.shape[i] != 1 for i in by[fewer:]):  # heads that are not neighbours
        wide = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, keys = a.expand((*wide, *a.shape[-2:])), keys.expand((*wide, *keys.shape[-2:]))
        lead = by = [*range(len(wide))]
    q, k = heads_of(a, [*lead, len(a.dims) - 2]), heads_of(keys, by)
    return Scores(q, k, layout_of(a, q.shape[1]))


def layout_of(a, heads):
    """The queries' dimensions but the last, and one for the keys."""
    dims, stride = [], heads
    for d in a.dims[:-1]:
        dims.append([])
        for size, step in d:
            stride = stride if step is TEXT else stride // size
            dims[-1].append((size, TEXT if step is TEXT else stride))
    return Rows(None, [*dims, [(text.ROWS, KEYS)]])


def added(s, x):
    if s.by or s.decay is not None:
        raise Refused("numbers added to what was taken of scores")
    if isinstance(x, Scores):
        return together(s, x)
    if isinstance(x, ByDistance) and not s.distances:
        return s.but(distances=x)
    if isinstance(x, Seen):
        return only(s, x)
    if isinstance(x, Mask):
        s = s if x.bias is None else added(s, x.bias)
        return s.but(words=s.words + tuple(x.words.split("&")), far=True)
    words, slopes = words_of(x), alibi.slopes_of(x, s.q.shape[1])
    if words:
        return s.but(words=s.words + words, far=True)
    by_head = words_by_head(x, s.q.shape[1])
    if by_head:
        return s.but(by_head=by_head, far=True)
    if slopes is not None:
        return s.but(alibi=alibi.exponent_of(slopes))
    rise = alibi.rise_of(x, s.q.shape[1])
    if rise and not s.cap:
        s = hidden(shares.own(s), x)
        q, k = alibi.rising(s.q, s.k, rise, s.scale)
        return s.but(q=q, k=k)
    if number_of(x) is not None or isinstance(x, (Const, Rows)) and x.shape[-1:] != (text.ROWS,):
        return s.but(plus=x if s.plus is None else combine("add", s.plus, x, None))
    if isinstance(x, Const) and x.learned and s.bias is None:
        return biased(s, x)
    try:
        return s.but(alibi=alibi.alibi_of(as_rows(x), s.q.shape[1]))
    except Refused:
        if isinstance(x, Const) and x.shape[-2:] == (text.ROWS, text.ROWS) and s.bias is None:
            return biased(s, x)
        if not isinstance(x, Rows) or x.shape[-2:-1] not in ((), (1,)):
            raise
        return together(s, of_keys(x, len(s.shape)))


def biased(s, x):
    """By numbers of pairs of places, which may keep out what follows."""
    return (hidden(s, x) if x.shape[-2:] == (text.ROWS, text.ROWS) else s).but(bias=x)


def hidden(s, bias):
    words = hidden_by(bias) or (("causal",) if hides_what_follows(bias) else ())
    return s.but(words=s.words + words, far=True) if words else s


def of_keys(x, n):
    """Scores that keys have for all queries alike: each times 1."""
    x = x.view((*[1] * (n - len(x.dims)), *x.shape))
    return begin(as_rows(Fill(1.0, (*x.shape[:-2], text.ROWS, 1))), x)


def together(s, x):
    """A sum of scores: of rows that are longer."""
    s, x = shares.own(s), shares.own(x)
    unlike = any(y.cap or y.alibi or y.bias or y.distances or y.only or y.first or y.by for y in (s, x))
    if unlike or s.plus is not None and x.plus is not None:
        raise Refused("a sum of scores that are not plain")
    wide = s if len(s.shape) >= len(x.shape) and s.q.shape[1] >= x.q.shape[1] else x
    h, hk = wide.q.shape[1], max(s.k.shape[1], x.k.shape[1])
    both = lambda a, b: joined([a, b], 3, (*a.shape[:3], a.shape[3] + b.shape[3]))
    q = both(*(apply("mul", shares.wide(y.q, h), number=y.scale) for y in (s, x)))
    plus = x.plus if s.plus is None else s.plus
    words = {"words": s.words + x.words, "far": s.far or x.far, "scale": 1.0, "plus": plus}
    return wide.but(q=q, k=both(*(shares.wide(y.k, hk) for y in (s, x))), **words)


def times(s, by):
    if isinstance(by, Scores):
        return faded(*((s, by) if by.by == "exp" else (by, s)))
    if getattr(by, "hidden", False) or getattr(by, "added", False):
        raise Refused("scores times a mask that says where they are not seen")
    words, number = words_of(by), number_of(by)
    if words:
        return zero(s, words)
    if number is not None and not s.by and s.plus is None and not s.distances:
        s = s if number >= 0 else s.but(q=apply("mul", s.q, number=-1.0))
        return s.but(scale=s.scale * abs(number), cap=s.cap * abs(number))
    if number is None and by.shape[-2:] == (text.ROWS, text.ROWS) and isinstance(by, Const):
        return zero(s, ("causal",)).but(decay=fading.decay_of(by, s.q.shape[1]))
    if number is None and by.shape and by.shape[-1] != 1 or (s.plus is not None or s.distances) and not s.by:
        raise Refused("scores times what keys have, or after something was added to them")
    s = shares.own(s)
    by = shares.of_queries(s, by if number is None else Fill(number, ()))
    if not s.by:
        return s.but(q=combine("mul", s.q, by, s.q.shape))
    return s.but(factor=by if s.factor is None else combine("mul", s.factor, by, by.shape))


def squared(s):
    """The scores of all products of two numbers of a query, and of a key (power attention, Buckman et al. 2025)."""
    s, n = shares.own(s), s.q.shape[3] ** 2
    if s.cap or s.alibi or s.bias or s.distances or s.plus or s.only or s.first or s.far or n > MOST_PRODUCTS:
        raise Refused("squares of scores that are not plain, or of long heads")
    pairs = lambda x: combine("mul", x.view((*x.shape, 1)), x.view((*x.shape[:3], 1, x.shape[3])),
                              (*x.shape, x.shape[3])).view((*x.shape[:3], n))
    return s.but(q=pairs(s.q), k=pairs(s.k), scale=s.scale ** 2)


def faded(s, by):
    if by.rate is None or set(by.words) != {"causal"} or s.by or s.decay is not None or by.factor is not None:
        raise Refused("scores times scores")
    by = shares.own(by)
    rate = shares.of_queries(by, by.rate)
    return zero(s, ("causal",)).but(decay=shares.wide(apply("exp", rate), s.q.shape[1]))


def zero(s, words):
    """0 where they do not see."""
    if s.by and s.far:
        if set(words) <= set(s.words):
            return s
        raise Refused("shares that are masked once more")
    return s.but(words=s.words + words, far=s.far or s.by is not None)


def only(s, seen):
    """Of the positions up to a row's own, those that an indexer chose."""
    if isinstance(seen, Kept):
        s = shares.own(s)
        q, k = seen.beside(s.q, s.k, s.scale, s.cap)
        return s.but(q=q, k=k, words=(*s.words, *seen.words()), far=True)
    if s.by or s.only:
        raise Refused("scores of chosen positions of which others are chosen, or of which something was taken")
    return s.but(words=(*s.words, "causal"), far=True, only=seen)


def below(mask):
    """A known mask as numbers to be added: far below where it does not see."""
    return mask.then(lambda m: torch.where(m.bool(), 0.0, -1e30), mask.shape, "hides")


def masked(s, mask, number):
    mask = kept(mask, None, s.shape) or mask
    if isinstance(mask, Seen) and (number_of(number) or 0) < FAR:
        return only(s, mask)
    words, far = words_of(mask), number_of(number) is not None and number_of(number) < FAR
    by_head = words_by_head(mask, s.q.shape[1]) if far and not words else None
    if by_head:
        return s.but(by_head=by_head, far=True)
    if not words and far and isinstance(mask, Const) and mask.known() is not None:
        return added(s, below(mask))
    if not words:
        raise Refused("a mask of scores that has no words")
    if number_of(number) == 0:
        return zero(s, words)
    if s.by or not far:
        raise Refused("scores that are masked by another number than 0 or one that is far below")
    return s.but(words=s.words + words, far=True)


MOVES = {"view.default", "_unsafe_view.default", "reshape.default", "expand.default", "unsqueeze.default",
         "squeeze.dim", "squeeze.default", "permute.default", "transpose.int", "unflatten.int", "flatten.using_ints",
         "select.int", "slice.Tensor", "repeat_interleave.self_int"}
KEEPS = {"to.dtype", "_to_copy.default", "dropout.default", "type_as.default", "clone.default", "contiguous.default",
         "alias.default", "to.dtype_layout", "detach.default", "nan_to_num.default"}
OF_SCORES = (Scores, shares.Mixture, shares.Over, indexer.Relevance)


def step(at, name, args, kwargs):
    """An op that reads scores."""
    if name == "linear.default" and len(args) == 2:
        return shares.talking(args[0], args[1], len(at.shape) - 1)
    if any(isinstance(a, indexer.Relevance) for a in args):
        return indexer.step(at, name, args)
    if name in ("einsum.default", "scaled_dot_product_attention.default"):
        return OPS[name](at, *args, **kwargs)
    if name == "cat.default":
        return with_sinks(*args)
    args = [numbers(a) for a in args]
    first = next((a.first for a in args if getattr(a, "first", None)), None)
    if first and at.shape and at.shape[-1] == text.ROWS + first.n:
        at, args = as_text(at, at.shape[-1]), [of_text(a, first.n, name.startswith("masked")) for a in args]
    s, other, *_ = [*args, None]
    out = None if name in KEEPS else shares.written_out(at, name, args)
    if out is not None or name in KEEPS:
        return s if out is None else out
    if name in ("add.Tensor", "sub.Tensor"):
        return sum_with(s, other if name == "add.Tensor" else negative(other))
    if name in ("matmul.default", "bmm.default"):
        if isinstance(other, Scores) and other.by == "relu":
            return indexer.weighed(s, other, at.shape)
        return shares.finished(s, other, at.shape)
    if name in ("mul.Tensor", "mul.Scalar") and not isinstance(s, (Scores, shares.Mixture)):
        s, args = other, [other, s, *args[2:]]
    if name in ("where.self", "where.ScalarOther") and isinstance(other, Scores):
        return masked(other, s, args[2])
    return s.each(lambda x: alone(at, name, [x, *args[1:]])) if isinstance(s, shares.Mixture) else alone(at, name, args)


def with_sinks(parts, dim=0):
    """A score more in each head, of no place."""
    s, x = parts if isinstance(parts[0], Scores) else parts[::-1]
    n = s.q.shape[1]
    if len(parts) != 2 or dim % len(s.shape) != len(s.shape) - 1 or s.by or s.sinks or not isinstance(x, Rows) or (
            x.node.op, x.node.n, x.shape[-1]) != ("constant", n, 1):
        raise Refused("scores joined with others than a learned one for each head")
    return s.but(sinks=x.node.weights["weight"][0])


def negative(x):
    """Less scores is more of their opposites."""
    if isinstance(x, shares.Mixture):
        return x.each(negative)
    if isinstance(x, Const):
        return x.then(torch.neg, x.shape, "neg")
    return times(x, -1.0) if isinstance(x, Scores) else combine("mul", x, -1.0, getattr(x, "shape", ()))


def sum_with(a, b):
    if not isinstance(a, (Scores, shares.Mixture)):
        a, b = b, a
    terms = [t for x in (a, b) for t in (x.terms if isinstance(x, shares.Mixture) else [x])]
    return shares.Mixture(terms) if all(getattr(t, "by", None) for t in terms) else added(a, b)


def alone(at, name, args):
    """An op of one tensor of scores."""
    s, other, *_ = [*args, None]
    if name == "slice.Tensor" and s.sinks is not None and at.shape == s.shape:
        return s  # without the sink's share
    if name in MOVES:
        return s.but(layout=OPS[name](at, s.layout, *args[1:]))
    if name in ("max.other", "maximum.default") and number_of(other) is not None and number_of(other) < FAR:
        return s  # what a mask has put there is as far away
    if name in ("mul.Tensor", "mul.Scalar"):
        return times(s, other)
    if name in ("div.Tensor", "div.Scalar"):
        return times(s, 1 / number_of(other) if number_of(other) else reciprocal(other))
    if name == "neg.default":
        return times(s, -1.0)
    if name in ("pow.Tensor_Scalar", "square.default") and other in (None, 2) and not s.by:
        return squared(s)
    if name == "tanh.default":
        return s.but(cap=1.0)
    if name in ("softmax.int", "_softmax.default"):
        return s.but(by="softmax")
    if name in shares.FUNCTIONS and not s.by:
        return s.but(by=shares.FUNCTIONS[name])
    if (name, s.by) in (("pow.Tensor_Scalar", "relu"), ("square.default", "relu")) and other in (None, 2):
        return s.but(by="relu2")
    if name in ("masked_fill.Scalar", "masked_fill.Tensor"):
        if number_of(other) == 0:
            return s  # nothing is kept out
        if isinstance(other, Rows):
            other = opposite(other, other.shape)
        elif isinstance(other, Const):
            other = other.then(torch.logical_not, other.shape, "not")
        elif not getattr(other, "hidden", False):
            raise Refused("scores masked where they are seen")
        return masked(s, other, args[2])
    raise Refused(f"torch's {name} of scores")


def of_pairs(x):
    """Numbers of pairs of places, [.., text, text], as scores: they fade with a distance, or are learned, a row of a
    table for each query's place, which its key's place picks of."""
    one = lambda *shape: as_rows(Fill(1.0, (*x.shape[:-2], *shape)))
    with contextlib.suppress(Refused):
        return times(begin(one(text.ROWS, 1), one(1, text.ROWS)), x)
    whole = position_tables.grown(x)
    if whole is None or whole.shape[-1] > MOST_PLACES:
        raise Refused(f"numbers of pairs of places that are computed of nothing, or of more than {MOST_PLACES} places")
    if whole.compute(Const.some).triu(1).any():
        raise Refused("numbers of pairs of places of which some are of rows that follow")
    n, h = whole.shape[-1], math.prod(x.shape[:-2])
    table = lambda w, d: Rows.of(Node("embed", [], d, 1, {"ids": "positions"}, {"weight": (w, None)}), (text.ROWS, d))
    rows = whole.then(lambda w: w.reshape(h, n, n).movedim(1, 0).reshape(n, -1), (n, h * n), "queries")
    q = table(rows, h * n).view((text.ROWS, h, n)).permute([1, 0, 2]).view((*x.shape[:-2], text.ROWS, n))
    return begin(q, table(Const.literal(torch.eye(n)), n).permute([1, 0])).but(words=("causal",))


def are_pairs(x):
    return isinstance(x, Const) and x.shape.count(text.ROWS) == 2


def products(name):
    plain = OPS[name]

    def run(t, *args, **more):
        if are_pairs(args[0]) and isinstance(args[1], Rows) and text_dim(args[1]) == len(args[1].dims) - 2:
            wide = (*t.shape[:-2], *args[0].shape[-2:])
            return shares.finished(of_pairs(args[0].then(lambda w: w.expand(wide), wide, "wide")), args[1], t.shape)
        if is_scores(*args[:2]):
            return begin(*args[:2])
        return plain(t, *args, **more)
    OPS[name] = run


for _name in ("matmul.default", "bmm.default"):
    products(_name)


@op("baddbmm.default")
def _(t, bias, a, b, beta=1, alpha=1):
    if is_scores(a, b):
        s = begin(a, b).but(scale=float(alpha))
        return s if beta == 0 else added(s, bias)
    y = combine("mul", OPS["bmm.default"](t, a, b), float(alpha), t.shape)
    return y if beta == 0 else combine("add", y, combine("mul", as_rows(bias), float(beta), bias.shape), t.shape)


@op("scaled_dot_product_attention.default")
def _(t, q, k, v, mask=None, dropout=0.0, causal=False, scale=None, enable_gqa=False):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if isinstance(mask, Mask) and mask.bias is not None and not isinstance(mask.bias, Const):
        q, k = alibi.rising(q, k, Const.literal(alibi.slopes_in(mask.bias, q.shape[1])), scale)
        mask = Mask(mask.words, mask.shape)
    return OPS["attend.default"](t, q, k, v, mask, None, None, scale, 0.0, causal).permute([0, 2, 1, 3])


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, sinks, bias, scale, cap, causal, *chosen):
    """A known mask that has no words, numbers of pairs of places beside one that has, or scores: what is added."""
    of_pairs = isinstance(mask, Mask) and isinstance(mask.bias, Const)
    words = words_of(mask) if isinstance(mask, Const) else None
    if words or not isinstance(mask, (Const, Rows, Scores)) and not of_pairs or number_of(mask) == 0:
        mask = Mask("&".join(words), mask.shape) if words else mask
        return plain(t, q, k, v, mask, sinks, bias, scale, cap, causal, *chosen)
    if any(chosen) or isinstance(sinks, Rows):
        raise Refused("a mask that has no words beside chosen keys, or sinks that depend on tokens")
    if isinstance(mask, Const) and mask.known() is not None and mask.known().dtype == torch.bool:
        mask = below(mask)
    k, v = (shares.wide(x, q.shape[1]) for x in (k, v))
    s = begin(q, k.permute([0, 1, 3, 2])).but(scale=scale, cap=cap)
    for more in (bias, mask):
        s = s if more is None else added(s, more)
    return shares.finished(s.but(by="softmax", sinks=sinks), v, (*q.shape[:3], v.shape[3])).permute([0, 2, 1, 3])


@wrapped("add.Tensor", "sub.Tensor")
def _(plain, t, a, b, *more, **named):
    """Numbers of each place added to those of each place along another dimension: of pairs. Those of pairs to a
    mask's."""
    bias, mask = (a, b) if isinstance(b, Mask) else (b, a)
    if isinstance(mask, Mask) and not mask.hidden and mask.bias is None and isinstance(bias, Const):
        return Mask(mask.words, t.shape, added=True, bias=bias)
    from_end = [text_dim(x) - len(x.dims) if isinstance(x, Rows) and text_dim(x) is not None else 0 for x in (a, b)]
    if sorted(from_end) != [-2, -1] or more or named:
        return plain(t, a, b, *more, **named)
    return pairs(a, b, -1.0 if t.name == "sub.Tensor" else 1.0, t.shape, from_end[0] == -2)


def pairs(a, b, sign, shape, first):
    """As products of two numbers each: the number and 1."""
    one = lambda x: as_rows(Fill(1.0, x.shape))
    a, b = (x.view((*[1] * (len(shape) - len(x.dims)), *x.shape)) for x in (a, b))
    rate = fading.rate_of(a, b) if sign < 0 and first else None
    b = apply("mul", b, number=sign)
    q, k = (a, b) if first else (b, a)
    q = joined([q, one(q)], len(shape) - 1, (*q.shape[:-1], 2))
    k = joined([one(k), k], len(shape) - 2, (*k.shape[:-2], 2, k.shape[-1]))
    return begin(q, k).but(rate=rate)
