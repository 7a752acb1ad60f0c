"""Texts padded, shifted or cut along the text, and convolutions over them that a model writes out."""
import copy
import math

import torch

from . import text
from .grams import Gram, gram, read, step
from .ops_moves import Ids, numbers
from .ops_numbers import chosen
from .ops_states import previous
from .rows import OPS, apply, as_rows, combine, joined, number_of, op, ordered, text_dim, wrapped
from .values import TEXT, Aside, Const, Fill, Node, Refused, Rows


class Longer:
    """A text of another length: place i holds row i - before of x, zeros where there is none; early is added to all."""
    said = "a text that is padded, shifted or cut"

    def __init__(self, x, before, length, early=None):
        self.x, self.before, self.length, self.early = x, before, length, early
        self.dim = text_dim(x)

    @property
    def shape(self):
        return (*self.x.shape[:self.dim], self.length, *self.x.shape[self.dim + 1:])

    def permute(self, order):
        early = self.early and self.early.then(lambda e: e.permute(order), [self.early.shape[i] for i in order],
                                               f"permute{order}")
        return Longer(self.x.permute(order), self.before, self.length, early)

    def view(self, shape):
        raise Refused("a padded text, or a part of one, that is cut into parts or seen in another shape")

    def in_order(self):
        return True

    def plain(self):
        """As rows, where it is as long as the text."""
        if self.length != text.ROWS:
            return self
        if self.before < 0:
            return self.later()
        if isinstance(self.x, Ids) and self.before:
            return gram(self.x).later(self.before, int(number_of(self.early) or 0))
        if self.before == 0 and self.early is not None and self.x.node.op == "conv":
            node, bias = self.x.node, self.early.then(lambda e: e.reshape(-1), (self.x.node.n,), "flat")
            weights = {"weight": (node.weights["weight"][0], bias)}
            return Rows(Node("conv", node.inputs, node.n, 1, node.attrs, weights), self.x.dims)
        x = self.x
        for _ in range(self.before):
            x = previous(x)
        return x if self.early is None else combine("add", x, self.early, x.shape)


    def later(self):
        """Rows that read what follows them."""
        if self.early is not None:
            raise Refused("what follows, of a text with a row put before it")
        n = self.x.node.n
        last = Node("slice", [(around(ordered(self.x), 0, -self.before), n)], n, n, {"start": -self.before, "n": 1})
        return Rows.like(last, self.x)


def around(node, before, after):
    """Each number of a row with the same of so many rows before and after."""
    if max(before, after) > 64:
        raise Refused(f"rows that read {before} before and {after} after them; 64 is the most")
    n = (before + 1 + after) * node.n
    return Node("around", [(node, 1)], n, node.n, {"before": before, "after": after})


def longer(x):
    return x if isinstance(x, Longer) else Longer(x, 0, text.ROWS)


def along_text(x, dim):
    """Is that dimension of x the text?"""
    if isinstance(x, (Longer, Begun)):
        return dim % len(x.shape) == x.dim
    return isinstance(x, Rows) and dim % len(x.dims) == text_dim(x) and x.shape[dim] == text.ROWS


@wrapped("slice.Tensor")
def _(plain, t, x, dim=0, start=0, end=None, step=1):
    if isinstance(x, Longer) and t.shape == x.shape:
        return x
    if isinstance(x, Longer) and not along_text(x, dim) and x.early is None:
        return Longer(plain(as_text(t, x.length), x.x, dim, start, end, step), x.before, x.length)
    if not along_text(x, dim) or t.shape == tuple(x.shape):
        return plain(t, x, dim, start, end, step)
    size, whole = x.shape[dim], longer(x)
    start = 0 if start is None else max(start + size, 0) if start < 0 else start
    if step != 1:
        raise Refused("rows that are not neighbours")
    return Longer(whole.x, whole.before - start, t.shape[dim], whole.early).plain()


@wrapped("transpose.int", "permute.default")
def _(plain, t, x, *order):
    if not isinstance(x, Longer):
        return plain(t, x, *order)
    n = len(x.shape)
    a, b = (i % n for i in order) if len(order) == 2 else (0, 0)
    swapped = [b if i == a else a if i == b else i for i in range(n)]
    return x.permute(swapped if len(order) == 2 else [i % n for i in order[0]])


def is_zero(x):
    known = x.known() if isinstance(x, Const) else None
    return number_of(x) == 0 or known is not None and not known.any()


@wrapped("cat.default", "concatenate.default", "concat.default")
def _(plain, t, parts, dim=0):
    parts = [p for p in parts if math.prod(p.shape)]
    at = next((i for i, p in enumerate(parts) if along_text(p, dim)), None)
    if at is None and any(isinstance(p, Longer) for p in parts):
        return row_wise(t, lambda place, *rows: plain(place, rows, dim), parts, {})
    if at is None:
        return plain(t, parts, dim)
    if len(parts) == 2 and all(isinstance(p, Longer) for p in parts):
        return first_then(*parts, t.shape)
    whole = longer(parts[at])
    x, before, early = whole.x, whole.before, whole.early
    first, n = parts[:at], sum(p.shape[dim] for p in parts[:at])
    if not all(is_zero(p) for p in parts[at + 1:]) or (first and early is not None):
        raise Refused("texts joined end to end")
    if not all(is_zero(p) for p in first):
        if isinstance(x, Ids) and early is None:
            return Longer(x, before + n, t.shape[dim], start_of(first)).plain()
        if n != 1 or before:
            raise Refused("several rows put before a text")
        early = first[0]
        x = combine("add", x, early.then(torch.neg, early.shape, "neg"), x.shape)
    return Longer(x, before + n, t.shape[dim], early).plain()


@wrapped("slice_scatter.default")
def _(plain, t, x, y, dim=0, start=0, end=None, step=1):
    """All rows but the first ones written: x[:, 1:] = ..."""
    if isinstance(x, Longer) and isinstance(y, Longer) and not along_text(y, dim):
        return row_wise(t, lambda place, *rows: plain(place, *rows, dim, start, end, step), [x, y], {})
    if not isinstance(y, Longer) or not along_text(y, dim) or start != text.ROWS - y.length:
        return plain(t, x, y, dim, start, end, step)
    if isinstance(x, Fill):
        first = Fill(x.number, tuple(start if i == y.dim else n for i, n in enumerate(t.shape)))
        return OPS["cat.default"](t, [first, y], dim)
    if isinstance(x, (Ids, Begun)):
        return Begun(getattr(x, "first", x), y)
    return first_then(Longer(x, 0, start), y, t.shape)


class Begun(Aside):
    """Tokens of the text's first rows, then those of a longer text, or hashes of them."""
    said = "tokens of two texts"

    def __init__(self, first, rest):
        self.first, self.rest, self.dim = first, rest, rest.dim
        self.shape = tuple(text.ROWS if i == self.dim else n for i, n in enumerate(rest.shape))

    def read(self, t, table, n_tokens):
        """Rows of a table."""
        first, n = OPS["embedding.default"](t, table, self.first), -self.rest.before
        return first_then(Longer(as_rows(first), 0, n), Longer(read(table, gram(self.rest.x), n_tokens, t.shape), -n,
                                                               text.ROWS - n), t.shape)


@wrapped("select_scatter.default")
def _(plain, t, x, y, dim, index):
    """A number in the place of the first token."""
    if not isinstance(x, (Ids, Begun)) or number_of(y) is None or index or not along_text(x, dim):
        return plain(t, x, y, dim, index)
    return Begun(Fill(number_of(y), t.shape), x.rest if isinstance(x, Begun) else Longer(x, -1, text.ROWS - 1))


def of_tokens(t, args, n_tokens):
    """Tokens of shifted texts with one another, as hashes; None: these are none."""
    tokens = lambda x: isinstance(x, Gram) or getattr(x, "source", None) == "tokens"
    given = [x for x in args if isinstance(x, Longer) and tokens(x.x)]
    first = min((x.before for x in given), default=0)
    if not given or t.dtype.is_floating_point or any(x.early or x.length != given[0].length for x in given):
        return None
    moved = lambda x: gram(x.x) if x.before == first else gram(x.x).later(x.before - first, 0)
    out = step(as_text(t, given[0].length), t.name, [moved(x) if x in given else x for x in args], n_tokens)
    return Longer(out, first, given[0].length)


@wrapped("copy.default")
def _(plain, t, x, y, *more):
    return y if isinstance(y, Longer) and y.shape == t.shape else plain(t, x, y, *more)


def first_then(a, b, shape):
    """The first rows of one text, then the others of another."""
    n = a.length
    if (a.before, b.before, n + b.length) != (0, -n, text.ROWS) or a.early or b.early:
        raise Refused("texts joined end to end")
    places = numbers(Ids("positions", [[(text.ROWS, TEXT)] if i == a.dim else [] for i in range(len(shape))]))
    less = combine("add", combine("mul", places, -1.0, places.shape), float(n), places.shape)
    return chosen(apply("clamp", less, low=0.0, high=1.0), a.x, b.x, shape)


def as_text(t, length):
    """An op's place where it gives a part of the text, as that where it gives all of it."""
    out = copy.copy(t)
    out.shape = tuple(text.ROWS if n == length else n for n in t.shape)
    return out


ROW_WISE = {f"{name}.{kind}" for name in (
    "add", "sub", "mul", "div", "neg", "pow", "sigmoid", "tanh", "silu", "gelu", "relu", "exp", "square", "linear",
    "rsqrt", "softplus", "clamp", "rms_norm", "layer_norm", "mean", "sum", "to", "_to_copy", "embedding", "tanh", "log",
    "softmax", "_softmax") for kind in (
    "default", "Tensor", "Scalar", "Tensor_Scalar", "dim", "dim_IntList", "dtype", "int")}


def row_wise(t, run, args, kwargs):
    """Rows of shifted texts with one another: those that stand together."""
    given = [x for x in args if isinstance(x, Longer)]
    first, length = min(x.before for x in given), given[0].length
    if any(x.early or x.length != length for x in given) or first > 0:
        why = Refused("texts of several lengths, or with rows before them, that are computed with one another")
        why.begin = max(length - text.ROWS, 0)
        raise why

    def rows(x):
        y = x.x
        for _ in range(x.before - first):
            y = previous(y)
        return y
    out = run(as_text(t, length), *[rows(x) if isinstance(x, Longer) else x for x in args], **kwargs)
    return Longer(as_rows(out), first, length)


def start_of(parts):
    """The one token that stands before a text."""
    said = {float(v) for p in parts for v in ([number_of(p)] if not isinstance(p, Const) else p.known().unique())}
    if len(said) != 1:
        raise Refused("a text that begins with several tokens")
    return Fill(said.pop(), ())


@op("pad.default", "constant_pad_nd.default")
def _(t, x, pads, mode="constant", value=0.0):
    pairs = [(len(t.shape) - 1 - i // 2, pads[i], pads[i + 1]) for i in range(0, len(pads), 2)]
    for dim, before, after in pairs:
        tokens = isinstance(longer(x).x, Ids) if along_text(x, dim) else False
        if mode != "constant" or (along_text(x, dim) and value and not tokens):
            raise Refused("a text padded with other numbers than zeros")
        if along_text(x, dim):
            whole = longer(x)
            if whole.early is not None:
                raise Refused("a convolution's text padded once more")
            start = Fill(float(value or 0), ()) if tokens else None
            x = Longer(whole.x, whole.before + before, whole.length + before + after, start).plain()
        elif before or after:
            x = padded_rows(as_rows(x), dim, before, after, value or 0.0)
    return x


def padded_rows(x, dim, before, after, value):
    n = x.shape[dim]
    x = x.narrow(dim, max(-before, 0), n - max(-before, 0) - max(-after, 0))
    more = lambda k: [as_rows(Fill(value, (*x.shape[:dim], k, *x.shape[dim + 1:])))] if k > 0 else []
    shape = (*x.shape[:dim], n + before + after, *x.shape[dim + 1:])
    return joined([*more(before), x, *more(after)], dim, shape)


def taps_of(x, weight, groups, step, ahead):
    """Each row with neighbours, `step` apart, the last `ahead` after it, times weight [out, in / groups, taps]."""
    outs, ins, taps = weight.shape
    if groups == outs and ins == 1:
        matrix = weight.then(lambda w: w.reshape(outs, taps), (outs, taps), "v")
        return Node("conv", [(ordered(x), 1)], outs, 1, {"step": step, "ahead": ahead}, {"weight": (matrix, None)})
    if ahead and step == 1:
        shape = (groups, outs // groups, ins * taps) if groups > 1 else (outs, ins * taps)
        matrix = weight.then(lambda w: w.reshape(shape), shape, "taps")
        node = around(ordered(x), taps - 1 - ahead, ahead)
        return Node("linear" if groups == 1 else "head_linear", [(node, groups)], outs, groups, {},
                    {"weight": (matrix, None)})
    if ahead:
        raise Refused("a convolution that reads rows after its own, in steps")
    near = node = ordered(x)
    for _ in range(taps - 1):
        for _ in range(step):
            near = Node("previous", [(near, near.heads)], near.n, near.heads)
        node = Node("concat", [(near, groups), (node, groups)], near.n + node.n, groups)
    name, shape = ("linear", (outs, taps * ins)) if groups == 1 else (
        "head_linear", (groups, outs // groups, taps * ins))
    matrix = weight.then(lambda w: w.transpose(1, 2).reshape(shape), shape, "taps")
    return Node(name, [(node, groups)], outs, groups, {}, {"weight": (matrix, None)})


@op("unfold.default")
def _(t, x, dim, size, step):
    """Each row beside its neighbours: place i, number j is what place i + j of x is."""
    along = isinstance(x, Longer) and dim % len(x.shape) == x.dim and not x.early
    if not along or step != 1 or x.length - size + 1 != text.ROWS:
        raise Refused("parts of a text that are not each row's neighbours")
    shape = (*x.x.shape, 1)
    shifted = [Longer(x.x, x.before - j, text.ROWS).plain() for j in range(size)]
    return joined([y.view(shape) for y in shifted], len(shape) - 1, t.shape)


@op("flip.default")
def _(t, x, dims):
    for dim in (d % len(t.shape) for d in dims):
        if along_text(x, dim):
            raise Refused("a text turned round")
        x = joined([x.narrow(dim, i, 1) for i in reversed(range(t.shape[dim]))], dim, t.shape)
    return x


@op("conv1d.default")
def _(t, x, weight, bias=None, stride=(1,), padding=(0,), dilation=(1,), groups=1):
    """x [1, in, text]; weight [out, in / groups, taps]."""
    if not along_text(x, -1) or tuple(stride) != (1,):
        raise Refused("a convolution with steps, or not along the text")
    whole, taps, outs, step = longer(x), weight.shape[-1], weight.shape[0], dilation[0]
    reach = (taps - 1) * step
    if whole.early is not None and padding[0]:
        raise Refused("a convolution's text padded once more")
    early = None
    if whole.early is not None:
        n = reach + 1
        spread = whole.early.then(lambda e: e.expand(-1, -1, n), (*whole.early.shape[:2], n), f"{n} times")
        early = Const.op(torch.ops.aten.conv1d.default, (spread, weight, bias, [1], [0], [step], groups), {},
                         (1, outs, 1), None)
    elif bias is not None:
        early = bias.then(lambda b: b.reshape(1, -1, 1), (1, outs, 1), "column")
    before = whole.before + padding[0]
    ahead = max(reach - before, 0) if t.shape[-1] == text.ROWS and before >= 0 else 0
    y = Rows.of(taps_of(whole.x, weight, groups, step, ahead), (1, outs, text.ROWS))
    return Longer(y, before + ahead - reach, t.shape[-1], early).plain()


@op("conv2d.default")
def _(t, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """x [1, heads, text, d]; weight [heads, 1, taps, 1]: each head's numbers with its taps."""
    (outs, ins, taps, wide), (_, heads, _, d) = weight.shape, t.shape
    if [*stride, *dilation, ins, wide, padding[1]] != [1] * 6 + [0] or not along_text(x, 2) or (
            {groups, outs, x.shape[1]} != {heads}):
        raise Refused("a convolution of two dimensions, or of several heads together")
    each = weight.then(lambda w: w.reshape(heads, 1, taps).repeat_interleave(d, 0), (heads * d, 1, taps), f"{d} times")
    bias = bias and bias.then(lambda b: b.repeat_interleave(d), (heads * d,), f"{d} times")
    line = copy.copy(t)
    line.shape = (1, heads * d, t.shape[2])
    y = OPS["conv1d.default"](line, x.permute([0, 1, 3, 2]).view((1, heads * d, text.ROWS)), each, bias, (1,),
                              padding[:1], (1,), heads * d)
    y, by_head = longer(y), lambda x, n: x.view((1, heads, d, n)).permute([0, 1, 3, 2])
    early = y.early and y.early.then(lambda e: by_head(e, 1), (1, heads, 1, d), "by head")
    return Longer(by_head(y.x, text.ROWS), y.before, y.length, early).plain()


@op("im2col.default")
def _(t, x, size, dilation, padding, stride):
    """x [1, d, text, 1]: each row's neighbours, [1, d * size, text]."""
    n, before = size[0], padding[0]
    if not along_text(x, 2) or isinstance(x, Longer) or [size[1], *dilation, *stride, padding[1]] != [1] * 5 + [0]:
        raise Refused("parts of a text that are not each row's neighbours")
    if t.shape[-1] != text.ROWS:
        raise Refused("neighbours of fewer or more rows than the text has")
    node = around(ordered(x), before, n - 1 - before)
    return Rows.of(node, (1, text.ROWS, t.shape[1])).permute([0, 2, 1])
