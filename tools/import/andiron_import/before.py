"""Learned rows before a text: keys and values that each token sees (Sukhbaatar et al. 2019, section 3.1), as a sum that
an attend goes on with."""
import math

import torch

from . import by_key, masks, near, ops_blocks, scores, seen, shares, text  # noqa: F401 - their attend is wrapped here
from .einsum import letters_of
from .ops_layers import head_product
from .ops_numbers import log_of_sum
from .rows import OPS, apply, as_rows, combine, joined, number_of, ordered, wrapped
from .shifted import Longer, along_text, as_text, is_zero
from .values import Aside, Const, Fill, Mask, Node, Refused, Rows


class Preceded(Aside):
    """first, as many rows as it has, then the text x, along dimension dim."""
    said = "a text with rows put before it"

    def __init__(self, first, x, dim):
        self.first, self.x, self.dim = first, x, dim

    @property
    def n(self):
        """Rows before the text."""
        return self.first.shape[self.dim]

    @property
    def shape(self):
        return tuple(s + self.n if i == self.dim else s for i, s in enumerate(self.x.shape))

    def heads(self, order):
        """The first rows [heads, rows, d], of dimensions in that order."""
        order = list(order)
        first = Const.op(torch.ops.aten.permute.default, (self.first, order), {}, [self.first.shape[i] for i in order],
                         None)
        shape = (math.prod(first.shape[:-2]), *first.shape[-2:])
        return first.then(lambda f: f.reshape(shape), shape, "heads")


def plain(x):
    """As what other ops know."""
    if not isinstance(x, Preceded):
        return x
    if x.n != 1:
        why = Refused("several rows put before a text, outside of keys and values")
        why.begin = x.n
        raise why
    less = combine("add", x.x, x.first.then(torch.neg, x.first.shape, "neg"), x.x.shape)
    return Longer(less, 1, text.ROWS + 1, x.first)


def preceded(x):
    """Zeros before a text, too."""
    if not isinstance(x, Longer) or x.length - x.before != text.ROWS or x.early or x.before <= 0:
        return x
    shape = tuple(x.before if i == x.dim else s for i, s in enumerate(x.x.shape))
    return Preceded(Const.literal(torch.zeros(shape)), x.x, x.dim)


@wrapped("cat.default", "concatenate.default", "concat.default")
def _(plain_, t, parts, dim=0):
    x, first = parts[-1], [p for p in parts[:-1] if math.prod(p.shape)]
    if isinstance(x, Mask) and all(number_of(p) is not None for p in first):
        return Mask(x.words, t.shape, x.hidden, x.added)
    known = first and all(isinstance(p, Const) for p in first) and along_text(x, dim)
    if known and isinstance(x, Longer) and x.before == -sum(p.shape[dim] for p in first):
        return own_rows(first, x, dim % len(t.shape)).plain()
    if not known or type(x) is not Rows or all(map(is_zero, first)):
        return plain_(t, parts, dim)
    dim, n = dim % len(t.shape), sum(p.shape[dim] for p in first)
    shape = tuple(n if i == dim else s for i, s in enumerate(t.shape))
    return Preceded(Const.op(torch.cat, (first, dim), {}, shape, None), x, dim)


def own_rows(first, x, dim):
    """A text whose first rows are the model's own, in the place of those that x has there."""
    n, order = -x.before, [dim, *(i for i in range(len(x.shape)) if i != dim)]
    table = Const.op(torch.cat, (first, dim), {}, [n if i == dim else s for i, s in enumerate(x.shape)], None)
    d = math.prod(table.shape) // n
    table = table.then(lambda w: w.permute(order).reshape(n, d), (n, d), "own rows")
    places = ops_blocks.positions()
    own = Rows.like(ordered(ops_blocks.bias_of(table, places)), x.x)
    after = ops_blocks.flag(combine("add", places, 1.0 - n, places.shape))
    spread = after.view([text.ROWS if i == dim else 1 for i in range(len(x.shape))])
    return Longer(combine("add", own, combine("mul", x.x, spread, x.x.shape), x.x.shape), 0, text.ROWS)


@wrapped("pad.default", "constant_pad_nd.default")
def _(plain_, t, x, pads, *more, **named):
    return Mask(x.words, t.shape, x.hidden, x.added) if isinstance(x, Mask) else plain_(t, x, pads, *more, **named)


MOVES = {"view.default", "reshape.default", "_unsafe_view.default", "permute.default", "transpose.int", "clone.default",
         "unsqueeze.default", "squeeze.dim", "expand.default", "to.dtype", "_to_copy.default", "contiguous.default",
         "alias.default", "repeat_interleave.self_int", "type_as.default", "detach.default"}
TAKES = {"scaled_dot_product_attention.default", "attend.default", "matmul.default", "bmm.default", "einsum.default"}


def step(node, at, args, kwargs):
    """An op that moves it; None: it is another."""
    x = args[0]
    if not isinstance(x, Preceded):
        return None
    if at.name == "slice.Tensor" and args[1] % len(x.shape) == x.dim:
        return x.x if args[2] == x.n and at.shape[x.dim] == text.ROWS else None
    if at.name not in MOVES:
        return None
    n = text.ROWS + x.n
    sized = lambda a, m: [m if v == n else v for v in a] if isinstance(a, (list, tuple)) else a
    if at.shape.count(n) != 1:
        raise Refused("rows before a text that are seen in one dimension with others")
    first = Const.op(node.target, [x.first, *(sized(a, x.n) for a in args[1:])], kwargs, sized(at.shape, x.n), None)
    rows = OPS[at.name](as_text(at, n), x.x, *(sized(a, text.ROWS) for a in args[1:]), **kwargs)
    return Preceded(first, rows, at.shape.index(n))


class First(Aside):
    """keys and values Const [heads of keys, rows, d]; values: None, as long as only keys are known."""
    said = "keys and values before the text"

    def __init__(self, keys, values=None):
        self.keys, self.values, self.n = keys, values, keys.shape[1]

    def with_values(self, v):
        return First(self.keys, v.heads(range(len(v.shape))))

    def put(self, attend):
        """As the sum that an attend goes on with, its sinks among it."""
        sinks, _ = attend.weights.pop("sinks", (None, None))
        if len(attend.inputs) > 3 or attend.weights or attend.attrs.get("by") or attend.attrs.get("alibi"):
            raise Refused("rows before a text beside a bias of scores, or without a softmax")
        node, h = attend.inputs[0]
        n, d = self.values.shape[1:]
        wide = lambda c: c.then(lambda w: w.repeat_interleave(h // len(w), 0), (h, *c.shape[1:]), f"{h} heads")
        k, v = wide(self.keys), wide(self.values)
        turned = k.then(lambda w: w.transpose(1, 2), (h, k.shape[2], n), "t")
        q = Rows.of(node, (1, text.ROWS, h, node.n // h)).permute([0, 2, 1, 3])
        s = apply("mul", head_product(q, turned, (1, h, text.ROWS, n)), number=attend.attrs["scale"])
        s = apply("softcap", s, cap=attend.attrs["cap"]) if attend.attrs.get("cap") else s
        if sinks is not None:
            column = as_rows(sinks.then(lambda w: w.reshape(1, h, 1, 1), (1, h, 1, 1), "column"))
            s = joined([s, column.expand((1, h, text.ROWS, 1))], 3, (1, h, text.ROWS, n + 1))
            v = v.then(lambda w: torch.nn.functional.pad(w, (0, 0, 0, 1)), (h, n + 1, d), "padded")
        mean = head_product(OPS["softmax.int"](None, s, -1), v, (1, h, text.ROWS, d))
        parts = [mean, log_of_sum(s, 3), Fill(1.0, (1, h, text.ROWS, 1))]
        whole = joined(parts, 3, (1, h, text.ROWS, d + 2)).permute([0, 2, 1, 3])
        attend.inputs.append((ordered(whole), h))
        attend.attrs["given"] = "joins"
        attend.last()


@wrapped("attend.default")
def _(plain_, t, q, k, v, mask, sinks, bias, scale, cap, causal, *places):
    k, v = preceded(k), preceded(v)
    if not isinstance(k, Preceded) or not isinstance(v, Preceded):
        return plain_(t, q, k, v, mask, sinks, bias, scale, cap, causal, *places)
    if mask is None and causal:
        raise Refused("rows before a text of which its first token sees one alone")
    out = plain_(t, q, k.x, v.x, mask, sinks, bias, scale, cap, causal, *places)
    First(k.heads(range(4)), v.heads(range(4))).put(out.node)
    return out


@wrapped("scaled_dot_product_attention.default")
def _(plain_, t, q, k, v, mask=None, *more, **named):
    k, v = preceded(k), preceded(v)
    return plain_(t, q, k, v, masks.of_text(mask, k.n) if isinstance(k, Preceded) else mask, *more, **named)


@wrapped("matmul.default", "bmm.default")
def _(plain_, t, a, b, **named):
    b = preceded(b)
    if not isinstance(b, Preceded):
        return plain_(t, a, b, **named)
    n = len(b.shape)
    if not scores.is_scores(a, b.x):
        raise Refused("a product with rows before a text, outside of attention")
    return scores.begin(a, b.x).but(first=First(b.heads([*range(n - 2), n - 1, n - 2])))


@wrapped("einsum.default")
def _(plain_, t, equation, values, **named):
    x, b = values if len(values) == 2 else (None, None)
    (x, b), turned = ((b, x), True) if isinstance(x, Preceded) else ((x, b), False)
    b = preceded(b)
    if not isinstance(b, Preceded):
        return plain_(t, equation, values, **named)
    ins, _ = letters_of(equation, [len(v.shape) for v in values])
    a_letters, letters = ins[::-1] if turned else ins
    along, lost = letters[b.dim], [c for c in letters if c not in a_letters]
    values = [b.x, x] if turned else [x, b.x]
    both = [c for c in letters if c in a_letters and c != along]
    if isinstance(x, scores.Scores) and x.first:
        order = [letters.index(c) for c in [*both, along, *(c for c in lost if c != along)]]
        first = First(x.first.keys, b.heads(order))
        return plain_(t, equation, [y.but(first=first) if y is x else y for y in values], **named)
    out = plain_(as_text(t, text.ROWS + b.n), equation, values, **named)
    if not isinstance(out, scores.Scores):
        raise Refused("a product with rows before a text, outside of attention")
    sums = [c for c in both if c not in equation.partition("->")[2]]
    order = [letters.index(c) for c in [*(c for c in both if c not in sums), along, *sums]]
    return out.but(first=First(b.heads(order)))
