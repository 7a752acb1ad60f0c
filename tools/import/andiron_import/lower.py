"""From torch ops to andiron's: each op of a trace by its name; what only moves numbers makes no op at all."""
import math
import operator

import torch

from . import trace
from .trace import ROWS
from .values import TEXT, Complex, Const, Fill, Mask, Node, Refused, Rows

OPS = {}


def op(*names):
    def put(function):
        OPS.update(dict.fromkeys(names, function))
        return function
    return put


def make(op_name, inputs, n, shape, heads=1, attrs=None, weights=None):
    return Rows.of(Node(op_name, inputs, n, heads, attrs, weights), shape)


def per_row(shape):
    return math.prod(s for s in shape if s != ROWS)


def text_dim(x):
    return next((i for i, d in enumerate(x.dims) if any(stride is TEXT for _, stride in d)), None)


# ---- rows in order

def steps_of(axes):
    """At most three axes of one row, innermost first, as arrange takes them; axes that can be joined are."""
    axes = [a for a in axes if a[0] > 1] or [(1, 0)]
    return list(reversed(axes))


def ordered(x):
    """The node whose numbers are x's, in the order of its dimensions."""
    if x.in_order():
        return x.node
    axes, start, node = steps_of(x.features()), x.start, x.node
    n = math.prod(size for size, _ in axes)
    if node.n == 1:  # one number for all
        axes = [(n, 0)]
    if len(axes) == 1 and axes[0][1] == 1:
        return Node("slice", [(node, 1)], n, 1, {"start": start, "n": n})
    if len(axes) == 2 and axes[0][1] == 1 and node.n == axes[1][0] * axes[1][1] and start + axes[0][0] <= axes[1][1]:
        return Node("slice", [(node, axes[1][0])], n, axes[1][0], {"start": start, "n": axes[0][0]})
    while len(axes) > 3:  # the outermost: one part after another
        size, step = axes.pop()
        inner = [(s, st) for s, st in reversed(axes)]
        part = lambda i: ordered(Rows(node, [inner], start + i * step))
        out = part(0)
        for i in range(1, size):
            more = part(i)
            out = Node("concat", [(out, 1), (more, 1)], out.n + more.n)
        return out
    attrs = {"start": start}
    for i, (size, step) in enumerate(axes):
        attrs |= {f"n{i}": size, f"step{i}": step}
    return Node("arrange", [(node, 1)], n, n // axes[0][0], attrs)


def as_rows(x):
    """A value as rows: constants become nodes."""
    if isinstance(x, Rows):
        return x
    if isinstance(x, Const):
        n = math.prod(x.shape)
        if ROWS in x.shape:
            raise Refused(f"a tensor {x.shape} that differs from place to place in the text and is computed of nothing")
        return Rows.of(Node("constant", n=n, weights={"weight": (x.then(lambda t: t.reshape(-1), (n,), "flat"), None)}),
                       x.shape)
    if isinstance(x, Fill):
        one = Rows(Node("geometric", n=1, attrs={"n": 1, "first": x.number, "ratio": 1}), [[] for _ in x.shape])
        return one.expand(x.shape)
    raise Refused(f"a {type(x).__name__} where numbers are read")


def number_of(x):
    """A Python number, where x is one number for all."""
    if isinstance(x, (int, float, bool)):
        return float(x)
    if isinstance(x, Fill):
        return x.number
    if isinstance(x, Const) and math.prod(x.shape) == 1 and not x.parameters:
        return float(x.known())
    return None


# ---- numbers with numbers

COMMUTES = {"add", "mul"}


def scaled(x, by):
    return x if by == 1 else Rows(unary("mul", x, number=by), Rows.of(Node("", n=ordered(x).n), x.shape).dims)


def unary(name, x, **attrs):
    node = ordered(x)
    return Node(name, [(node, node.heads)], node.n, node.heads, attrs)


def apply(name, x, **attrs):
    x = as_rows(x)
    return Rows.of(unary(name, x, **attrs), x.shape)


def broadcast(a, b):
    return tuple(torch.broadcast_shapes(a, b))


def split_axes(a, b):
    """The two lists of axes of rows of one shape, cut where either is cut."""
    a, b, out = list(a), list(b), []
    while a and b:
        (n, s), (m, t) = a.pop(), b.pop()  # innermost first
        k = math.gcd(n, m) if n != m else n
        if n % k or m % k or k == 1 and n != m:
            raise Refused("two tensors whose rows are cut in ways that do not meet")
        if n > k:
            a.append((n // k, s * k))
        if m > k:
            b.append((m // k, t * k))
        out.append((k, s, t))
    return list(reversed(out))


def raw_axes(x):
    return [a for d in x.dims for a in d if a[1] is not TEXT]


def b_as_seen(x, b):
    """How b [broadcast to x's shape] enters an op with x in order: (node, heads of x, heads of b)."""
    n = per_row(x.shape)
    axes = split_axes([(n, 1)] if n > 1 else [], raw_axes(b)) if n > 1 else []
    varies = [i for i, (_, _, t) in enumerate(axes) if t]
    if not varies:
        kept = Rows(b.node, [[]], b.start)
        return ordered(kept), 1, 1
    first, last = varies[0], varies[-1]
    inner = math.prod(k for k, _, _ in axes[last + 1:])
    outer = math.prod(k for k, _, _ in axes[:first])
    kept = Rows(b.node, [[(k, t) for k, _, t in axes[first:last + 1]]], b.start)
    node = ordered(kept)
    if inner == 1:
        return (node, n // node.n, 1) if outer > 1 else (node, None, None)
    if outer == 1:
        return node, node.n, node.n  # a number for each head
    return ordered(b), None, None


def binary(name, a, b):
    shape = broadcast(a.shape, b.shape)
    a, b = a.expand(shape), b.expand(shape)
    full = lambda x: all(t for _, t in raw_axes(x))
    if name in COMMUTES and not full(a) and full(b):
        a, b = b, a
    x = ordered(a)
    node, heads, seen = b_as_seen(Rows.of(Node("", n=x.n), shape), b)
    if heads is None:
        heads = seen = x.heads
    return Rows.of(Node(name, [(x, heads), (node, seen)], x.n, heads), shape)


def combine(name, a, b, shape):
    """add, mul or div of rows, constants and numbers."""
    x, y = number_of(a), number_of(b)
    if x is not None and y is not None:
        shape = () if shape is None else shape
        return Fill({"add": x + y, "mul": x * y, "div": x / y if y else math.inf}[name], shape)
    if y is not None:
        return a if y == (name != "add") else apply(name, a, number=y).expand(shape)
    if x is not None:
        if name == "div":
            return reciprocal(b, x)
        return combine(name, b, a, shape)
    inverse = lambda v: isinstance(v, Rows) and v.in_order() and v.node.op == "inverse"
    if name == "mul" and (inverse(a) or inverse(b)):
        over, of = (b, a) if inverse(b) else (a, b)
        (below, _), by = over.node.inputs[0], over.node.attrs["number"]
        quotient = divide_by_root(as_rows(of), Rows(below, over.dims), shape)
        return quotient if by == 1 else apply("mul", quotient, number=by)
    if name == "mul":
        weighted = norm_with(a, b) or norm_with(b, a)
        if weighted:
            return weighted
    return binary(name, as_rows(a), as_rows(b))


def norm_with(x, weight):
    """A norm of each row with no weight yet, times a weight."""
    if not isinstance(weight, Const) or not isinstance(x, Rows) or not x.in_order() or x.node.op != "rmsnorm":
        return None
    node, n = x.node, math.prod(weight.shape)
    if node.weights or x.node.n // node.heads != n or not weight.shape or weight.shape[-1] != n or x.shape[-1] != n:
        return None
    return Rows.of(Node("rmsnorm", node.inputs, node.n, node.heads, node.attrs,
                        {"weight": (weight.then(lambda w: w.reshape(-1), (n,), "flat") if len(weight.shape) > 1 else weight,
                                    None)}), x.shape)


def reciprocal(x, by=1.0):
    x = as_rows(x)
    node = ordered(x)
    return Rows.of(Node("inverse", [(node, node.heads)], node.n, node.heads, {"number": by}), x.shape)


def divide_by_root(x, below, shape):
    """x / below; where below is the root of the mean of x's squares, that is an RMS norm."""
    b = below.node
    if b.op == "sqrt" and b.inputs[0][0].op == "add" and "number" in b.inputs[0][0].attrs:
        plus = b.inputs[0][0]
        mean = plus.inputs[0][0]
        by = mean.attrs.get("number") if mean.op == "mul" else None
        total = mean.inputs[0][0] if by else None
        node = ordered(x)
        if total is not None and total.op == "sum" and abs(by * (node.n // total.n) - 1) < 1e-6:
            square = total.inputs[0][0]
            if square.op == "mul" and [i for i, _ in square.inputs] == [node, node]:
                return Rows.of(Node("rmsnorm", [(node, total.n)], node.n, total.n, {"eps": plus.attrs["number"]}), shape)
    return binary("div", x, below)


@op("add.Tensor", "add.Scalar")
def _(t, a, b, alpha=1):
    return combine("add", a, b if alpha == 1 else combine("mul", b, alpha, t.shape), t.shape)


@op("sub.Tensor", "sub.Scalar")
def _(t, a, b, alpha=1):
    minus = combine("mul", b, -float(alpha), getattr(b, "shape", ()))
    return combine("add", a, minus.number if isinstance(minus, Fill) else minus, t.shape)


@op("rsub.Scalar", "rsub.Tensor")
def _(t, a, b, alpha=1):
    return combine("add", combine("mul", a, -float(alpha), t.shape), b, t.shape)


@op("mul.Tensor", "mul.Scalar")
def _(t, a, b):
    if isinstance(a, Complex) or isinstance(b, Complex):
        return complex_product(t, a, b) if isinstance(a, Complex) else complex_product(t, b, a)
    return combine("mul", a, b, t.shape)


@op("div.Tensor", "div.Scalar")
def _(t, a, b):
    y = number_of(b)
    return combine("mul", a, 1 / y, t.shape) if y else combine("div", a, b, t.shape)


@op("neg.default")
def _(t, x):
    return combine("mul", x, -1.0, t.shape)


@op("reciprocal.default")
def _(t, x):
    return reciprocal(x)


@op("rsqrt.default")
def _(t, x):
    return reciprocal(apply("sqrt", x))


@op("pow.Tensor_Scalar")
def _(t, x, n):
    if n == 0.5:
        return apply("sqrt", x)
    if n in (2, 3, 4):
        out = x
        for _ in range(int(n) - 1):
            out = combine("mul", out, x, t.shape)
        return out
    if n == -0.5:
        return reciprocal(apply("sqrt", x))
    if n == -1:
        return reciprocal(x)
    raise Refused(f"x to the power of {n}")


@op("pow.Scalar")
def _(t, base, x):
    return apply("exp", combine("mul", x, math.log(base), t.shape))


for torch_name, name in {"silu.default": "silu", "relu.default": "relu", "sigmoid.default": "sigmoid",
                         "tanh.default": "tanh", "exp.default": "exp", "log.default": "log", "sqrt.default": "sqrt",
                         "floor.default": "floor", "cos.default": "cos", "sin.default": "sin"}.items():
    OPS[torch_name] = lambda t, x, name=name: apply(name, x)


@op("log1p.default")
def _(t, x):
    return apply("log", combine("add", x, 1.0, t.shape))


@op("expm1.default")
def _(t, x):
    return combine("add", apply("exp", x), -1.0, t.shape)


@op("log_sigmoid.default", "log_sigmoid_forward.default")
def _(t, x):
    return combine("mul", apply("softplus", combine("mul", x, -1.0, t.shape)), -1.0, t.shape)


@op("linalg_vector_norm.default")
def _(t, x, order=2, dims=None, keep=False, **_):
    if order != 2:
        raise Refused(f"a norm of order {order}")
    fake = type("At", (), {"name": "sum.dim_IntList", "shape": t.shape, "dtype": t.dtype})
    return apply("sqrt", OPS["sum.dim_IntList"](fake, combine("mul", x, x, x.shape), dims))


@op("square.default")
def _(t, x):
    return combine("mul", x, x, t.shape)


@op("gelu.default")
def _(t, x, approximate="none"):
    return apply("gelu" if approximate == "none" else "gelu_tanh", x)


@op("softplus.default")
def _(t, x, beta=1, threshold=20):
    if beta == 1:
        return apply("softplus", x)
    return combine("mul", apply("softplus", combine("mul", x, beta, t.shape)), 1 / beta, t.shape)


@op("clamp.default", "clamp_min.default", "clamp_max.default", "clip.default", "hardtanh.default")
def _(t, x, low=None, high=None):
    if t.name == "clamp_max.default":
        low, high = None, low
    return apply("clamp", x, low=-3e38 if low is None else float(low), high=3e38 if high is None else float(high))


@op("abs.default")
def _(t, x):
    return combine("add", apply("relu", x), apply("relu", combine("mul", x, -1.0, t.shape)), t.shape)


@op("maximum.default", "max.other")
def _(t, a, b):  # a + relu(b - a)
    return combine("add", a, apply("relu", combine("add", b, combine("mul", a, -1.0, a.shape), t.shape)), t.shape)


@op("minimum.default", "min.other")
def _(t, a, b):  # a - relu(a - b)
    less = apply("relu", combine("add", a, combine("mul", b, -1.0, getattr(b, "shape", ())), t.shape))
    return combine("add", a, combine("mul", less, -1.0, t.shape), t.shape)


# ---- over the last dimension

def last(x):
    """The node, and how many rows of the last dimension it holds."""
    node = ordered(x)
    return node, node.n // x.shape[-1]


def to_last(x, dim):
    dim %= len(x.dims)
    order = [i for i in range(len(x.dims)) if i != dim] + [dim]
    if x.shape[dim] == ROWS:
        raise Refused("a sum over the text")
    return x.permute(order), order


@op("sum.dim_IntList", "mean.dim")
def _(t, x, dims, keep=False, dtype=None):
    x = as_rows(x)
    divide = math.prod(x.shape[d] for d in dims) if t.name == "mean.dim" else 1
    for d in dims:
        y, _ = to_last(x, d)
        node, n = last(y)
        dims_out = list(x.shape)
        dims_out[d] = 1
        total = Rows.of(Node("sum", [(node, n)], n, n), y.shape[:-1])
        x = total.view(dims_out)
    x = x if divide == 1 else apply("mul", x, number=1 / divide)
    return x.view(t.shape)


@op("softmax.int", "_softmax.default")
def _(t, x, dim, dtype=None):
    y, order = to_last(as_rows(x), dim)
    node, n = last(y)
    back = [order.index(i) for i in range(len(order))]
    return Rows.of(Node("softmax", [(node, n)], node.n, n), y.shape).permute(back)


def normed(op_name, t, x, shape, weight, bias, eps):
    x = as_rows(x)
    node = ordered(x)
    n = node.n // math.prod(shape)
    weights = {"weight": (weight, bias)} if weight is not None else {}
    if weight is None and bias is not None:
        raise Refused("a norm with a bias and no weight")
    return Rows.of(Node(op_name, [(node, n)], node.n, n, {"eps": float(eps)}, weights), t.shape)


@op("layer_norm.default")
def _(t, x, shape, weight=None, bias=None, eps=1e-5, *_):
    return normed("layernorm", t, x, shape, weight, bias, eps)


@op("rms_norm.default")
def _(t, x, shape, weight=None, eps=None):
    return normed("rmsnorm", t, x, shape, weight, None, torch.finfo(torch.float32).eps if eps is None else eps)


# ---- products

def product(x, weight, bias, shape):
    """Each row of x's last dimension with weight [out, in]."""
    outs, ins = weight.shape
    node, n = last(x)
    parts = [node] if n == 1 else [Node("slice", [(node, 1)], ins, 1, {"start": i * ins, "n": ins}) for i in range(n)]
    out = None
    for part in parts:
        y = Node("linear", [(part, part.heads)], outs, 1, {}, {"weight": (weight, bias)})
        out = y if out is None else Node("concat", [(out, 1), (y, 1)], out.n + outs)
    return Rows.of(out, shape)


@op("linear.default")
def _(t, x, weight, bias=None):
    return product(as_rows(x), weight, bias, t.shape)


@op("addmm.default")
def _(t, bias, x, weight):
    return product(as_rows(x), weight.then(lambda w: w.t(), weight.shape[::-1], "t"), bias, t.shape)


@op("mm.default", "matmul.default", "bmm.default")
def _(t, a, b):
    if isinstance(a, Rows) and isinstance(b, Const) and len(b.shape) == 2:
        return product(a, b.then(lambda w: w.t(), b.shape[::-1], "t"), None, t.shape)
    if isinstance(a, Const) and isinstance(b, Rows) and len(a.shape) == 2:  # W x: the columns are rows of the text
        order = [*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2]
        y = b.permute(order)
        return product(y, a, None, (*y.shape[:-1], a.shape[0])).permute(order)
    raise Refused(f"a product of two tensors {a.shape} and {b.shape} that both depend on the text, outside of attention")


@op("embedding.default")
def _(t, weight, ids, *_):
    if isinstance(ids, Ids):
        table = weight if ids.plus == 0 else weight.then(lambda w: w[ids.plus:], (weight.shape[0] - ids.plus,
                                                                                  weight.shape[1]), f"from{ids.plus}")
        return make("embed", [], weight.shape[1], t.shape, attrs={"ids": ids.source}, weights={"weight": (table, None)})
    if isinstance(ids, Const):
        return Const.op(torch.ops.aten.embedding.default, (weight, ids), {}, t.shape, None)
    raise Refused("a table that is read at computed places")


# ---- tokens and positions as whole numbers

class Ids(Rows):
    """tokens or positions, plus a number."""

    def __init__(self, source, dims, plus=0):
        super().__init__(Node("numbers", attrs={"ids": source, "plus": plus}), dims)
        self.source, self.plus = source, plus

    def remade(self, x):
        return Ids(self.source, x.dims, self.plus)


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


@op("view.default", "reshape.default", "_unsafe_view.default")
def _(t, x, shape):
    return moved(x, lambda y: y.view(t.shape))


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


@op("clone.default", "contiguous.default", "to.dtype", "to.device", "to.dtype_layout", "type_as.default", "alias.default",
    "detach.default", "dropout.default", "_to_copy.default", "lift_fresh_copy.default", "native_dropout.default",
    "to.other", "float.default")
def _(t, x, *_, **more):
    if isinstance(x, Ids) and t.dtype.is_floating_point:
        return numbers(x)
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
    return moved(x, lambda y: y.narrow(dim % len(y.dims), start, t.shape[dim], step))


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


def joined(parts, dim, shape):
    parts = [as_rows(numbers(p)) for p in parts if math.prod(p.shape)]
    if len(parts) == 1:
        return parts[0]
    outer = math.prod(s for s in shape[:dim] if s != ROWS)
    node = ordered(parts[0])
    for p in parts[1:]:
        more = ordered(p)
        node = Node("concat", [(node, outer), (more, outer)], node.n + more.n, outer)
    return Rows.of(node, shape)


@op("cat.default")
def _(t, parts, dim=0):
    dim %= len(t.shape)
    if any(p.shape[dim] == ROWS for p in parts):
        raise Refused("texts joined end to end")
    return joined(parts, dim, t.shape)


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
    spread, wide = [], []
    for s, n in zip(shape, times):
        spread += [1, s]
        wide += [n, s]
    return x.view(spread).expand(wide).view(t.shape)


@op("repeat_interleave.self_int")
def _(t, x, n, dim=None, **_):
    dim %= len(x.shape)
    shape = list(x.shape)
    return x.view(shape[:dim + 1] + [1] + shape[dim + 1:]).expand(shape[:dim + 1] + [n] + shape[dim + 1:]).view(t.shape)


@op("index.Tensor")
def _(t, x, places):
    places = [p for p in places if p is not None]
    if len(places) == 1 and isinstance(x, Const) and isinstance(places[0], Ids):
        return OPS["embedding.default"](t, x, places[0])
    raise Refused("numbers at computed places")


@op("arange.default", "arange.start", "arange.start_step")
def _(t, *args, **_):
    if t.shape == (ROWS,):
        return Ids("positions", [[(ROWS, TEXT)]], args[0] if len(args) > 1 else 0)
    return Const.literal(torch.arange(*args))


@op("full.default", "ones.default", "zeros.default", "new_zeros.default", "new_ones.default", "zeros_like.default",
    "ones_like.default", "full_like.default", "new_full.default", "scalar_tensor.default")
def _(t, *args, **_):
    name = t.name.split(".")[0]
    if ROWS not in t.shape:
        number = 0.0 if "zeros" in name else 1.0 if "ones" in name else args[0] if name == "scalar_tensor" else args[-1]
        if not isinstance(number, (list, tuple)):
            return Const.literal(torch.full(t.shape, number, dtype=t.dtype))
    number = 0.0 if "zeros" in name else 1.0 if "ones" in name else float(args[0] if name == "scalar_tensor" else args[-1])
    return Fill(number, t.shape)


# ---- questions, as 1 and 0

BIG = 3e38


def above(a, b, shape):
    """1 where a > b."""
    minus = -number_of(b) if number_of(b) is not None else combine("mul", b, -1.0, getattr(b, "shape", ()))
    return apply("clamp", combine("mul", combine("add", a, minus, shape), BIG, shape), low=0.0, high=1.0)


def opposite(m, shape):
    return combine("add", combine("mul", m, -1.0, shape), 1.0, shape)


@op("gt.Scalar", "gt.Tensor")
def _(t, a, b):
    return above(a, b, t.shape)


@op("lt.Scalar", "lt.Tensor")
def _(t, a, b):
    return above(combine("mul", a, -1.0, a.shape), combine("mul", b, -1.0, getattr(b, "shape", ())).number
                 if number_of(b) is not None else combine("mul", b, -1.0, b.shape), t.shape)


@op("ge.Scalar", "ge.Tensor")
def _(t, a, b):
    return opposite(OPS["lt.Tensor"](t, a, b), t.shape)


@op("le.Scalar", "le.Tensor")
def _(t, a, b):
    return opposite(above(a, b, t.shape), t.shape)


@op("ne.Scalar", "ne.Tensor")
def _(t, a, b):
    return combine("add", OPS["gt.Tensor"](t, a, b), OPS["lt.Tensor"](t, a, b), t.shape)


@op("eq.Scalar", "eq.Tensor")
def _(t, a, b):
    return opposite(OPS["ne.Tensor"](t, a, b), t.shape)


@op("bitwise_not.default", "logical_not.default")
def _(t, m):
    if isinstance(m, Mask):
        return Mask(m.words, t.shape, not m.hidden)
    return opposite(m, t.shape)


@op("bitwise_and.Tensor", "logical_and.default")
def _(t, a, b):
    return combine("mul", a, b, t.shape)


def chosen(m, a, b, shape):
    """a where m is 1, b where it is 0; an infinite number is a very large one."""
    part = lambda keep, x: combine("mul", keep, max(-BIG, min(BIG, number_of(x))) if number_of(x) is not None else x, shape)
    first, second = part(m, a), part(opposite(m, shape), b)
    return combine("add", first, second, shape)


@op("where.self", "where.ScalarOther", "where.ScalarSelf")
def _(t, m, a, b):
    if isinstance(m, Mask) and not m.hidden and number_of(a) == 0 and number_of(b) is not None and number_of(b) < -1e4:
        return m  # to be added to scores
    return chosen(m, a, b, t.shape)


@op("masked_fill.Scalar", "masked_fill.Tensor")
def _(t, x, m, number):
    return chosen(m, number, x, t.shape)


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
    if step != 1:  # places between them stay
        x, y = as_rows(x).expand(t.shape), as_rows(y)
        last_place = start + (n - 1) * step
        one = lambda i: y.narrow(dim, (i - start) // step, 1) if start <= i <= last_place and (
            i - start) % step == 0 else x.narrow(dim, i, 1)
        return joined([one(i) for i in range(size)], dim, t.shape)
    x = as_rows(x).expand(t.shape)
    parts = [x.narrow(dim, 0, start)] if start else []
    parts += [as_rows(y)]
    parts += [x.narrow(dim, start + n, size - start - n)] if start + n < size else []
    return joined(parts, dim, t.shape)


@op("copy.default")
def _(t, x, y, *_):
    return as_rows(y).expand(t.shape)


@op("scatter.value")
def _(t, x, dim, places, number):
    """A number at the places of the largest: others are kept out by keep_groups, each number a group of its own."""
    node = ordered(places)
    if number_of(x) != 0 or number != 1 or node.op != "top" or per_row(t.shape) != node.inputs[0][0].n:
        raise Refused("numbers scattered to places that are not those of the largest")
    source = node.inputs[0][0]
    kept = Node("keep_groups", [(source, 1)], source.n, 1, {"groups": source.n, "kept": node.n, "best": 1})
    return Rows.of(unary("clamp", Rows.of(unary("add", Rows.of(kept, t.shape), number=1e30), t.shape), low=0.0, high=1.0),
                   t.shape)


# ---- complex numbers

@op("polar.default")
def _(t, magnitude, angle):
    part = lambda name: combine("mul", apply(name, angle), magnitude, t.shape)
    return Complex(part("cos"), part("sin"))


@op("view_as_complex.default")
def _(t, x):
    return Complex(*[x.narrow(len(x.dims) - 1, i, 1).view(t.shape) for i in (0, 1)])


@op("view_as_real.default")
def _(t, x):
    return joined([as_rows(p).view([*t.shape[:-1], 1]) for p in (x.re, x.im)], len(t.shape) - 1, t.shape)


def complex_product(t, a, b):
    if not isinstance(b, Complex):
        return Complex(combine("mul", a.re, b, t.shape), combine("mul", a.im, b, t.shape))
    of = lambda x, y: combine("mul", x, y, t.shape)
    return Complex(combine("add", of(a.re, b.re), combine("mul", of(a.im, b.im), -1.0, t.shape), t.shape),
                   combine("add", of(a.re, b.im), of(a.im, b.re), t.shape))


# ---- choosing experts

@op("topk.default")
def _(t, x, n, dim=-1, largest=True, sorted=True):
    x = as_rows(x)
    node, heads = last(x)
    if dim % len(x.dims) != len(x.dims) - 1 or not largest:
        raise Refused("the smallest numbers, or the largest of another dimension than the last")
    if heads != 1:  # only their numbers
        best = None
        for h in range(heads):
            row = Node("slice", [(node, 1)], node.n // heads, 1, {"start": h * (node.n // heads), "n": node.n // heads})
            top = Node("pick", [(row, 1), (Node("top", [(row, 1)], n, 1, {"n": n}), 1)], n)
            best = top if best is None else Node("concat", [(best, 1), (top, 1)], best.n + n)
        return [Rows.of(best, t.shape[0]), None]
    places = Node("top", [(node, 1)], n, 1, {"n": n})
    shape = t.shape[0]
    return [Rows.of(Node("pick", [(node, 1), (places, 1)], n), shape), Rows.of(places, shape)]


@op("gather.default")
def _(t, x, dim, places):
    x = as_rows(x)
    node, heads = last(x)
    if heads != 1 or dim % len(x.dims) != len(x.dims) - 1 or not isinstance(places, Rows):
        raise Refused("numbers gathered from several rows")
    return Rows.of(Node("pick", [(node, 1), (ordered(places), 1)], t.shape[-1]), t.shape)


@op("expert_linear.default")
def _(t, x, places, weight, bias, transposed):
    if transposed:
        e, i, o = weight.shape
        weight = weight.then(lambda w: w.transpose(1, 2), (e, o, i), "t")
    k = places.shape[1]
    node = ordered(x)
    heads = 1 if len(x.shape) == 2 else k
    return Rows.of(Node("experts", [(node, heads), (ordered(places), 1)], k * weight.shape[1], k, {},
                        {"weight": (weight, bias)}), t.shape)


# ---- along the text

def dim_of_text(x, shape):
    return next(i for i, s in enumerate(shape) if s == ROWS)


@op("conv.default")
def _(t, x, weight, bias, act):
    """x [1, d, text]; weight [d, taps]."""
    d, taps = weight.shape[0], weight.shape[-1]
    node = Node("conv", [(ordered(x), 1)], d, 1, {}, {"weight": (weight.then(lambda w: w.reshape(d, taps), (d, taps), "v"),
                                                                 bias)})
    y = Rows.of(node, t.shape)
    return apply(act, y) if act else y


@op("delta.default")
def _(t, q, k, v, g, beta, normed_):
    """q, k [1, text, h, dk], v [1, text, h, dv], g [1, text, h] or [1, text, h, dk], beta [1, text, h]."""
    h, dk = v.shape[2], k.shape[-1]
    if normed_:
        unit = lambda x: Rows.of(Node("rmsnorm", [(ordered(x), x.shape[2])], ordered(x).n, x.shape[2], {"eps": 1e-6 / dk}),
                                 x.shape)  # x / sqrt(sum of squares + 1e-6), times the root of dk
        q, k = (apply("mul", unit(x), number=dk ** -0.5) for x in (q, k))
    q = apply("mul", q, number=dk ** -0.5)
    decay = apply("exp", g if len(g.shape) == 4 else g.view([*g.shape, 1]))
    beta = beta.view([*beta.shape, 1])
    a = combine("mul", k, decay, k.shape)
    b = combine("mul", combine("mul", k, beta, k.shape), -1.0, k.shape)
    ins = [(ordered(q), q.shape[2]), (ordered(k), k.shape[2]), (ordered(combine("mul", v, beta, v.shape)), h),
           (ordered(decay), h), (ordered(a), h), (ordered(b), h)]
    return Rows.of(Node("scan", ins, h * v.shape[3], h), t.shape)


@op("ssm2.default")
def _(t, x, dt, A, B, C, D, dt_bias, softplus, low, high):
    """Mamba 2 (Dao and Gu 2024). x [1, text, h, p], dt [1, text, h], A [h], B and C [1, text, g, n], D [h]."""
    h = x.shape[2]
    dt = dt if dt_bias is None else combine("add", dt, dt_bias, dt.shape)
    dt = apply("softplus", dt) if softplus else dt
    if low > 0 or high < BIG:
        dt = apply("clamp", dt, low=low, high=min(high, BIG))
    decay = apply("exp", combine("mul", dt, A, dt.shape))
    v = combine("mul", x, dt.view([*dt.shape, 1]), x.shape)
    ins = [(ordered(C), C.shape[2]), (ordered(B), B.shape[2]), (ordered(v), h), (ordered(decay), h)]
    y = Rows.of(Node("scan", ins, ordered(x).n, h), t.shape)
    if D is None:
        return y
    column = lambda d: d.then(lambda w: w.reshape(h, -1)[:, :1], (h, 1), "column")
    return combine("add", y, combine("mul", x, column(D), x.shape), t.shape)


@op("ssm1.default")
def _(t, x, dt, A, B, C, D, z, bias, softplus):
    """Mamba (Gu and Dao 2023). x and dt [1, d, text], A [d, n], B and C [1, n, text], D [d]."""
    d, n = A.shape
    column = lambda c: c.then(lambda w: w.reshape(d, 1), (d, 1), "column")
    dt = dt if bias is None else combine("add", dt, column(bias), dt.shape)
    dt = apply("softplus", dt) if softplus else dt
    ins = [(ordered(v), 1) for v in (x, dt, B, C)]
    y = Rows.of(Node("selective_scan", ins, d, 1, {}, {"A": (A, None)}), t.shape)
    if D is not None:
        y = combine("add", y, combine("mul", x, column(D), x.shape), t.shape)
    return y if z is None else combine("mul", y, apply("silu", z), t.shape)


# ---- attention

@op("mask.default")
def _(t, q, kv, words):
    return Mask(words, t.shape)


@op("attend.default")
def _(t, q, k, v, mask, sinks, bias, scale, cap, causal):
    if bias is not None:
        raise Refused("attention with a bias for each place")
    words = set((mask.words if isinstance(mask, Mask) else "causal" if causal else "full").split("&"))
    if mask is not None and not isinstance(mask, Mask):
        raise Refused("attention with a mask that is computed")
    attrs = {"scale": scale, "cap": cap}
    for word in words - {"causal", "full"}:
        kind, _, n = word.rstrip(")").partition("(")
        attrs |= {"window": int(n), "window_style": {"sliding": "back", "chunked": "chunks"}[kind]}
    if "causal" not in words:
        attrs["sees"] = "all"
    heads = lambda x: (ordered(x), x.shape[1])
    weights = {"sinks": (sinks.then(lambda s: s.reshape(-1), (q.shape[1],), "flat"), None)} if sinks is not None else {}
    n = q.shape[1] * v.shape[3]
    return Rows.of(Node("attend", [heads(q), heads(k), heads(v)], n, q.shape[1], attrs, weights), t.shape)


# ---- a whole trace

class At:
    """What an op's handler sees of its place: name, shape and dtype of what it gives."""

    def __init__(self, node, name):
        value, self.name = node.meta.get("val"), name
        several = isinstance(value, (list, tuple))
        self.shape = [tuple(v.shape) for v in value] if several else tuple(getattr(value, "shape", ()))
        self.dtype = getattr(value[0] if several else value, "dtype", None)


def name_of(target):
    return f"{target._schema.name.split('::')[1]}.{target._overloadname}" if hasattr(target, "_schema") else target.__name__


class Lowering:
    def __init__(self, traced):
        self.traced, self.value = traced, {}

    def placeholder(self, node):
        t = self.traced
        if node.name in t.parameters:
            return Const.parameter(t.parameters[node.name], node.meta["val"].shape)
        if node.name in t.constants:
            if node.name in t.persistent and t.constants[node.name].dtype != torch.bool:
                return Const.parameter(t.persistent[node.name], node.meta["val"].shape)
            return Const.literal(t.constants[node.name])
        dims = [[], [(ROWS, TEXT)]]
        return Ids("tokens" if "tokens" in node.name else "positions", dims)

    def call(self, node):
        at = At(node, name_of(node.target))
        if node.target is operator.getitem:
            return self.arg(node.args[0])[node.args[1]]
        args, kwargs = [self.arg(a) for a in node.args], {k: self.arg(v) for k, v in node.kwargs.items()}
        flat = [x for a in [*args, *kwargs.values()] for x in (a if isinstance(a, (list, tuple)) else [a])]
        moving = [x for x in flat if isinstance(x, (Rows, Fill, Mask, Complex, scores.Scores))]
        if not moving and any(isinstance(x, Const) for x in flat):
            if isinstance(at.shape, list):
                return [Const.op(node.target, args, kwargs, s, i) for i, s in enumerate(at.shape)]
            return Const.op(node.target, args, kwargs, at.shape, None)
        if any(isinstance(x, scores.Scores) for x in flat):
            return scores.step(at, at.name, args, kwargs)
        if at.name not in OPS:
            raise Refused(f"torch's {at.name} has no op here")
        return self.ids(at, args) or OPS[at.name](at, *[self.plain(at, a) for a in args], **kwargs)

    def ids(self, at, args):
        """Whole numbers stay whole where they are moved, or shifted."""
        x = args[0] if args else None
        if not isinstance(x, Ids) or at.dtype is None or at.dtype.is_floating_point or at.dtype == torch.bool:
            return None
        if at.name in ("add.Tensor", "sub.Tensor") and number_of(args[1]) is not None:
            by = int(number_of(args[1]))
            return Ids(x.source, x.dims, x.plus + (by if at.name == "add.Tensor" else -by))
        moved = OPS[at.name](at, *args) if at.name in OPS and at.name not in ("add.Tensor", "mul.Tensor") else None
        return x.remade(moved) if isinstance(moved, Rows) else None

    def plain(self, at, x):
        keeps = ("embedding.default", "to.dtype", "_to_copy.default", "to.dtype_layout", "type_as.default")
        if isinstance(x, Fill) and at.name in MOVES:
            return as_rows(x)
        return x if at.name in keeps else numbers(x)

    def arg(self, a):
        if isinstance(a, torch.fx.Node):
            return self.value[a]
        return [self.arg(x) for x in a] if isinstance(a, (list, tuple)) else a

    def run(self):
        """The node that gives the scores; each node knows the module whose op made it."""
        for node in self.traced.nodes:
            if node.op == "placeholder":
                self.value[node] = self.placeholder(node)
            elif node.op == "call_function":
                self.step(node)
            elif node.op == "output":
                return ordered(self.value[node.args[0][0]])
        raise Refused("the trace gives nothing")

    def step(self, node):
        name = name_of(node.target)
        if name.startswith("_assert") or "sym_constrain" in name:
            return
        Node.place = trace.module_of(node)
        try:
            self.value[node] = self.call(node)
        except (Refused, KeyError, AttributeError, TypeError) as e:
            raise Refused(f"{trace.module_of(node) or 'the model'}: {name}: {e}") from e


MOVES = {"view.default", "expand.default", "unsqueeze.default", "reshape.default"}


from . import scores  # noqa: E402 - it adds to OPS
