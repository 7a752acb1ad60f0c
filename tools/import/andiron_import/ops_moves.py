"""torch's ops that move numbers: most of them make nothing but another view."""
import math

import torch

from . import text
from .rows import OPS, apply, as_rows, is_same, joined, number_of, op, ordered
from .values import TEXT, Complex, Const, Fill, Mask, Node, Refused, Rows, is_text

# ---- tokens and positions as whole numbers

class Ids(Rows):
    """tokens or positions, plus a number."""
    said = "tokens or positions"

    def __init__(self, source, dims, plus=0):
        super().__init__(Node("numbers", attrs={"ids": source, "plus": plus}), dims)
        self.source, self.plus = source, plus

    def remade(self, x):
        return Ids(self.source, x.dims, self.plus)


def counted(x):
    """A known number for each place of the text: those that count the places are positions."""
    if math.prod(x.shape) != text.ROWS or text.ROWS not in x.shape or x.learned:
        return x
    known = x.known().reshape(-1)
    if (known == known[0]).all():
        return Fill(float(known[0]), x.shape)
    if known.is_floating_point() or not torch.equal(known, torch.arange(text.ROWS) + known[0]):
        return x
    return Ids("positions", [[(n, TEXT)] if n == text.ROWS else [] for n in x.shape], int(known[0]))


def numbers(x):
    if not isinstance(x, Ids):
        return x
    out = Rows(Node("numbers", attrs={"ids": x.source}), x.dims)
    return out if x.plus == 0 else apply("add", out, number=float(x.plus))


# ---- what only moves numbers

def moved(x, how):
    if isinstance(x, Complex):
        return Complex(how(as_rows(x.re)), how(as_rows(x.im)))
    if isinstance(x, Mask):
        return x
    return how(as_rows(x) if isinstance(x, (Const, Fill)) else x)


def seen_as(x, shape):
    """x in another shape; numbers that no strides lead to are put in order first."""
    try:
        return x.view(shape)
    except Refused:
        if x.in_order():
            raise
        return Rows.like(ordered(x), x).view(shape)


@op("view.default", "reshape.default", "_unsafe_view.default")
def _(t, x, shape):
    return moved(x, lambda y: seen_as(y, t.shape))


@op("flatten.using_ints", "unflatten.int", "unsqueeze.default", "squeeze.dim", "squeeze.dims", "squeeze.default")
def _(t, x, *_):
    return moved(x, lambda y: y.view(t.shape))


@op("transpose.int")
def _(t, x, a, b):
    order = list(range(len(x.dims)))
    order[a], order[b] = order[b], order[a]
    return moved(x, lambda y: y.permute(order))


@op("t.default", "numpy_T.default")
def _(t, x):
    return x.permute([1, 0] if len(x.dims) == 2 else [0])


@op("permute.default")
def _(t, x, order):
    return x.permute([i % len(x.dims) for i in order])


@op("expand.default")
def _(t, x, *_):
    return moved(x, lambda y: y.expand(t.shape))


@op("clone.default", "contiguous.default", "to.dtype", "to.device", "to.dtype_layout", "type_as.default",
    "alias.default", "detach.default", "dropout.default", "_to_copy.default", "lift_fresh_copy.default",
    "native_dropout.default", "to.other", "float.default", "nan_to_num.default", "copy_strided.default")
def _(t, x, *_, **more):
    if isinstance(x, Ids) and t.dtype.is_floating_point:
        return numbers(x)
    if isinstance(x, Mask) and x.added and t.dtype == torch.bool:
        return Mask(x.words, t.shape, hidden=True)
    if isinstance(x, Rows) and not t.dtype.is_floating_point and t.dtype != torch.bool and x.node.op not in WHOLE:
        raise Refused(f"numbers cut to {t.dtype}")
    return x


WHOLE = {"numbers", "top", "floor"}


@op("slice.Tensor")
def _(t, x, dim=0, start=0, end=None, step=1):
    size = x.shape[dim]
    start = 0 if start is None else start + size if start < 0 else min(start, size)
    if isinstance(x, Mask):
        return x
    return moved(x, lambda y: part(y, dim % len(y.dims), start, t.shape[dim], step))


def part(x, dim, *of):
    """Of numbers that no strides lead to when they have been put in order."""
    try:
        return x.narrow(dim, *of)
    except Refused:
        if x.in_order() or is_text(x.dims[dim]):
            raise
        return Rows.like(ordered(x), x).narrow(dim, *of)


@op("select.int")
def _(t, x, dim, index):
    return moved(x, lambda y: y.narrow(dim % len(y.dims), index % y.shape[dim], 1).view(t.shape))


def cut(x, dim, sizes):
    x = as_rows(x)
    dim, at, out = dim % len(x.dims), 0, []
    for n in sizes:
        out.append(x.narrow(dim, at, n))
        at += n
    return out


@op("split_with_sizes.default")
def _(t, x, sizes, dim=0):
    return cut(x, dim, sizes)


@op("split.Tensor", "chunk.default")
def _(t, x, n, dim=0):
    size = x.shape[dim]
    n = -(-size // n) if t.name == "chunk.default" else n
    return cut(x, dim, [min(n, size - i) for i in range(0, size, n)])


@op("unbind.int")
def _(t, x, dim=0):
    shape = [s for i, s in enumerate(x.shape) if i != dim % len(x.shape)]
    return [y.view(shape) for y in cut(x, dim, [1] * x.shape[dim])]


@op("cat.default", "concatenate.default", "concat.default")
def _(t, parts, dim=0):
    dim %= len(t.shape)
    if len(parts) > 1 and any(p.shape[dim] == text.ROWS for p in parts):
        raise Refused("texts joined end to end")
    return joined([numbers(p) for p in parts], dim, t.shape)


@op("stack.default")
def _(t, parts, dim=0):
    dim %= len(t.shape)
    shape = list(t.shape)
    shape[dim] = 1
    return joined([as_rows(numbers(p)).view(shape) for p in parts], dim, t.shape)


@op("repeat.default", "tile.default")
def _(t, x, times):
    x = as_rows(x)
    shape = [1] * (len(times) - len(x.shape)) + list(x.shape)
    times, spread, wide = [1] * (len(shape) - len(times)) + list(times), [], []
    for s, n in zip(shape, times):
        spread += [1, s]
        wide += [n, s]
    return x.view(spread).expand(wide).view(t.shape)


@op("repeat_interleave.self_int")
def _(t, x, n, dim=None, **_):
    x, shape = as_rows(x), list(x.shape)
    dim %= len(shape)
    return x.view(shape[:dim + 1] + [1] + shape[dim + 1:]).expand(shape[:dim + 1] + [n] + shape[dim + 1:]).view(t.shape)


@op("index_select.default")
def _(t, x, dim, places):
    if dim == 0 and isinstance(x, Const) and isinstance(places, Ids):
        return OPS["embedding.default"](t, x, places)
    if isinstance(x, Const) and isinstance(places, Fill):
        known = Const.literal(torch.full(places.shape, int(places.number)))
        return Const.op(torch.ops.aten.index_select.default, [x, dim, known], {}, t.shape, None)
    if isinstance(x, Rows) and isinstance(places, Const):
        return OPS["index.Tensor"](t, x, [None] * (dim % len(x.dims)) + [places])
    raise Refused("numbers at computed places")


@op("diagonal.default")
def _(t, x, offset=0, a=0, b=1):
    dims, (one, other) = list(as_rows(x).dims), sorted((a % len(x.shape), b % len(x.shape)), reverse=True)
    first, second = dims.pop(one), dims.pop(other)
    if (offset or not len(first) == len(second) == 1 or first[0][0] != second[0][0]
            or TEXT in (first[0][1], second[0][1])):
        raise Refused("a diagonal beside that of a square of a row's numbers")
    return Rows(x.node, [*dims, [(first[0][0], first[0][1] + second[0][1])]], x.start)


@op("index.Tensor")
def _(t, x, places):
    given = [(dim, p) for dim, p in enumerate(places) if p is not None]
    if len(given) == 1 and isinstance(x, Const) and isinstance(given[0][1], Ids):
        return OPS["embedding.default"](t, x, given[0][1])
    if len(given) == 1 and isinstance(x, Const) and len(x.shape) == 1 and isinstance(given[0][1], Rows):
        return OPS["gather.default"](t, x, -1, given[0][1])
    known = given[0][1].known() if len(given) == 1 and isinstance(given[0][1], Const) else None
    if known is not None and known.dim() == 1 and isinstance(x, Rows):
        return joined([x.narrow(given[0][0], int(i) % x.shape[given[0][0]], 1) for i in known], given[0][0], t.shape)
    raise Refused("numbers at computed places")


@op("arange.default", "arange.start", "arange.start_step")
def _(t, *args, **_):
    if t.shape == (text.ROWS,) and (len(args) < 3 or args[2] == 1):
        return Ids("positions", [[(text.ROWS, TEXT)]], args[0] if len(args) > 1 else 0)
    return Const.literal(torch.arange(*args))


@op("full.default", "ones.default", "zeros.default", "new_zeros.default", "new_ones.default", "zeros_like.default",
    "ones_like.default", "full_like.default", "new_full.default", "scalar_tensor.default")
def _(t, *args, **_):
    name = t.name.split(".")[0]
    number = 0.0 if "zeros" in name else 1.0 if "ones" in name else args[0] if name == "scalar_tensor" else args[-1]
    if text.ROWS not in t.shape:
        return Const.literal(torch.full(t.shape, number, dtype=t.dtype))
    return Fill(float(number), t.shape)


# ---- numbers put into others

@op("new_empty.default", "empty.memory_format", "empty_like.default")
def _(t, *_, **__):
    return Fill(0.0, t.shape)


@op("slice_scatter.default")
def _(t, x, y, dim=0, start=0, end=None, step=1):
    size, dim = t.shape[dim], dim % len(t.shape)
    start = 0 if start is None else start + size if start < 0 else start
    n = y.shape[dim]
    if n == size:
        return y
    if isinstance(x, Rows) and isinstance(y, Rows) and is_same(x.narrow(dim, start, n, step), y):
        return x
    x = as_rows(x).expand(t.shape)
    if step != 1:  # places between them stay: each step's, side by side
        first = min(start, size - n * step)
        if not 0 <= first <= start < first + step:
            raise Refused("numbers put at places that are some of each so many")
        shape = lambda *here: (*t.shape[:dim], *here, *t.shape[dim + 1:])
        parts = [as_rows(y) if i == start else x.narrow(dim, i, n, step) for i in range(first, first + step)]
        y = joined([seen_as(p, shape(n, 1)) for p in parts], dim + 1, shape(n, step)).view(shape(n * step))
        start, n = first, n * step
    parts = [x.narrow(dim, 0, start)] if start else []
    parts += [as_rows(y)]
    parts += [x.narrow(dim, start + n, size - start - n)] if start + n < size else []
    return joined(parts, dim, t.shape)


@op("select_scatter.default")
def _(t, x, y, dim, index):
    shape = list(t.shape)
    shape[dim] = 1
    return OPS["slice_scatter.default"](t, x, as_rows(y).view(shape), dim, index % t.shape[dim])


@op("copy.default")
def _(t, x, y, *_):
    number = number_of(y)
    return as_rows(y).expand(t.shape) if number is None else Fill(number, t.shape)
