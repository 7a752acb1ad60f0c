"""torch's ops of numbers with numbers, over the last dimension, and questions, as andiron's."""
import math

import torch

from . import text
from .rows import BIG, OPS, apply, as_rows, combine, is_same, number_of, op, ordered, reciprocal
from .values import Const, Fill, Mask, Node, Refused, Rows

@op("add.Tensor", "add.Scalar")
def _(t, a, b, alpha=1):
    return combine("add", a, b if alpha == 1 else combine("mul", b, alpha, t.shape), t.shape)


@op("sub.Tensor", "sub.Scalar")
def _(t, a, b, alpha=1):
    if alpha == 1 and isinstance(a, Rows) and isinstance(b, Rows) and is_same(a.expand(t.shape), b.expand(t.shape)):
        return Fill(0.0, t.shape)
    minus = combine("mul", b, -float(alpha), getattr(b, "shape", ()))
    return combine("add", a, minus.number if isinstance(minus, Fill) else minus, t.shape)


@op("rsub.Scalar", "rsub.Tensor")
def _(t, a, b, alpha=1):
    return combine("add", combine("mul", a, -float(alpha), t.shape), b, t.shape)


@op("mul.Tensor", "mul.Scalar", "multiply.Tensor")
def _(t, a, b):
    return combine("mul", a, b, t.shape)


@op("div.Tensor", "div.Scalar")
def _(t, a, b):
    y = number_of(b)
    return combine("mul", a, 1 / y, t.shape) if y else combine("div", a, b, t.shape)


@op("div.Tensor_mode", "div.Scalar_mode", "floor_divide.default")
def _(t, a, b, rounding_mode="floor"):
    whole = t.dtype is not None and not t.dtype.is_floating_point  # of those, by none that lies just below
    a = combine("add", a, 0.5, t.shape) if whole and rounding_mode else a
    y = OPS["div.Tensor"](t, a, b)
    return y if rounding_mode is None else apply("floor", y)


@op("remainder.Scalar", "remainder.Tensor", "fmod.Scalar", "fmod.Tensor")
def _(t, a, b):
    times = OPS["div.Tensor_mode"](t, a, b)
    return OPS["sub.Tensor"](t, a, combine("mul", times, b, t.shape))


@op("round.default")
def _(t, x):
    return apply("floor", combine("add", x, 0.5, t.shape))


@op("neg.default")
def _(t, x):
    return combine("mul", x, -1.0, t.shape)


def one_by_one(a):
    if a.shape[-2:] != (1, 1):
        raise Refused("the inverse of a matrix that depends on tokens")
    return a


@op("linalg_solve_triangular.default")
def _(t, a, b, upper=False, left=True, unitriangular=False):
    """Of chunks of one row (chunks.py)."""
    return b if unitriangular and one_by_one(a) else combine("div", b, one_by_one(a), t.shape)


@op("linalg_inv_ex.default", "inverse.default")
def _(t, a, **_):
    inverse = combine("div", 1.0, one_by_one(a), a.shape)
    return [inverse, None] if isinstance(t.shape, list) else inverse


@op("reciprocal.default")
def _(t, x):
    return reciprocal(x)


@op("rsqrt.default")
def _(t, x):
    return reciprocal(apply("sqrt", x))


@op("pow.Tensor_Scalar")
def _(t, x, n):
    if n < 0:
        return reciprocal(OPS["pow.Tensor_Scalar"](t, x, -n))
    if n == 0.5:
        return apply("sqrt", x)
    if n == 0:
        return Fill(1.0, t.shape)
    if n in range(1, 9):
        out = x
        for _ in range(int(n) - 1):
            out = combine("mul", out, x, t.shape)
        return out
    if n == int(n):
        raise Refused(f"x to the power of {n}")
    return apply("exp", combine("mul", apply("log", apply("clamp", x, low=1e-37, high=BIG)), float(n), t.shape))


@op("pow.Scalar")
def _(t, base, x):
    return apply("exp", combine("mul", x, math.log(base), t.shape))


@op("pow.Tensor_Tensor")
def _(t, base, x):
    log = Const.op(torch.log, (base,), {}, base.shape, None) if isinstance(base, Const) else apply("log", base)
    return apply("exp", combine("mul", x, log, t.shape))


for torch_name, name in {"silu.default": "silu", "relu.default": "relu", "sigmoid.default": "sigmoid",
                         "tanh.default": "tanh", "exp.default": "exp", "log.default": "log", "sqrt.default": "sqrt",
                         "floor.default": "floor", "erf.default": "erf", "cos.default": "cos",
                         "sin.default": "sin"}.items():
    OPS[torch_name] = lambda t, x, name=name: apply(name, x)


@op("log1p.default")
def _(t, x):
    return apply("log", combine("add", x, 1.0, t.shape))


@op("expm1.default")
def _(t, x):
    return combine("add", apply("exp", x), -1.0, t.shape)


for torch_name, base in {"log2.default": 2, "log10.default": 10}.items():
    OPS[torch_name] = lambda t, x, base=base: combine("mul", apply("log", x), 1 / math.log(base), t.shape)


@op("exp2.default")
def _(t, x):
    return OPS["pow.Scalar"](t, 2, x)


@op("ceil.default")
def _(t, x):
    return combine("mul", apply("floor", combine("mul", x, -1.0, t.shape)), -1.0, t.shape)


@op("atan.default")
def _(t, x):
    """Of x / (1 + sqrt(1 + x^2)) it is half of that, and again: a series of 5 terms is left, below a fifth."""
    x = apply("clamp", x, low=-1e18, high=1e18)
    for _ in range(2):
        root = apply("sqrt", combine("add", combine("mul", x, x, t.shape), 1.0, t.shape))
        x = combine("div", x, combine("add", root, 1.0, t.shape), t.shape)
    square, out = combine("mul", x, x, t.shape), 1 / 9
    for n in (7, 5, 3, 1):
        out = combine("add", combine("mul", square, combine("mul", out, -1.0, t.shape), t.shape), 1 / n, t.shape)
    return combine("mul", combine("mul", x, out, t.shape), 4.0, t.shape)


@op("log_sigmoid.default", "log_sigmoid_forward.default")
def _(t, x):
    return combine("mul", apply("softplus", combine("mul", x, -1.0, t.shape)), -1.0, t.shape)


@op("linalg_vector_norm.default")
def _(t, x, order=2, dims=None, keep=False, **_):
    if order == 1:
        return summed(OPS["abs.default"](t, x), dims).view(t.shape)
    if order != 2:
        raise Refused(f"a norm of order {order}")
    return apply("sqrt", summed(combine("mul", x, x, x.shape), dims).view(t.shape))


@op("elu.default")
def _(t, x, alpha=1.0, scale=1.0, input_scale=1.0):
    below = apply("exp", minus_part(combine("mul", x, float(input_scale), t.shape)))
    below = combine("mul", combine("add", below, -1.0, t.shape), float(alpha), t.shape)
    return combine("mul", combine("add", apply("relu", x), below, t.shape), float(scale), t.shape)


@op("leaky_relu.default", "_prelu_kernel.default")
def _(t, x, slope=0.01):
    return combine("add", apply("relu", x), combine("mul", minus_part(x), slope, t.shape), t.shape)


def minus_part(x):
    """x where it is below 0."""
    return apply("clamp", x, low=-BIG, high=0.0)


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


@op("clamp.Tensor")
def _(t, x, low=None, high=None):
    x = x if low is None else OPS["maximum.default"](t, x, low)
    return x if high is None else OPS["minimum.default"](t, x, high)


@op("clamp.default", "clamp_min.default", "clamp_max.default", "clip.default", "hardtanh.default")
def _(t, x, low=None, high=None):
    if t.name == "clamp_max.default":
        low, high = None, low
    low, high = (-BIG if low is None else max(-BIG, float(low))), (BIG if high is None else min(BIG, float(high)))
    return apply("clamp", x, low=low, high=high)


@op("abs.default")
def _(t, x):
    return combine("add", apply("relu", x), apply("relu", combine("mul", x, -1.0, t.shape)), t.shape)


@op("sign.default", "sgn.default")
def _(t, x):
    return apply("clamp", combine("mul", x, BIG, t.shape), low=-1.0, high=1.0)


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
    if x.shape[dim] == text.ROWS:
        raise Refused("a sum over the text")
    return x.permute(order), order


def summed(x, dims):
    """Over those dimensions, which stay, each as 1."""
    for d in (d for d in dims if x.shape[d] > 1):
        y, _ = to_last(x, d)
        node, n = last(y)
        dims_out = list(x.shape)
        dims_out[d] = 1
        total = Rows.of(Node("sum", [(node, n)], n, n), y.shape[:-1])
        x = total.view(dims_out)
    return x


@op("sum.dim_IntList", "mean.dim")
def _(t, x, dims, keep=False, dtype=None):
    x = as_rows(x)
    divide = math.prod(x.shape[d] for d in dims) if t.name == "mean.dim" else 1
    x = summed(x, dims)
    x = x if divide == 1 else apply("mul", x, number=1 / divide)
    return x.view(t.shape)


@op("var.dim", "var.correction", "std.dim", "std.correction")
def _(t, x, dims, unbiased=True, keepdim=False, correction=None):
    x, n = as_rows(x), math.prod(x.shape[d] for d in dims)
    correction = correction if "correction" in t.name else float(unbiased)
    apart = combine("add", x, combine("mul", summed(x, dims), -1.0 / n, x.shape), x.shape)
    total = summed(combine("mul", apart, apart, x.shape), dims)
    out = apply("mul", total, number=1 / (n - (1 if correction is None else correction))).view(t.shape)
    return out if t.name.startswith("var") else apply("sqrt", out)


@op("softmax.int", "_softmax.default")
def _(t, x, dim, dtype=None):
    y, order = to_last(as_rows(x), dim)
    node, n = last(y)
    back = [order.index(i) for i in range(len(order))]
    return Rows.of(Node("softmax", [(node, n)], node.n, n), y.shape).permute(back)


def log_of_sum(x, dim):
    """Of shares p = exp(x) / sum(exp(x)), each x - log(p) is the same: their mean by p, where none is too small."""
    shares = OPS["softmax.int"](None, x, dim)
    logs = apply("log", apply("clamp", shares, low=1e-37, high=1.0))
    each = combine("add", x, combine("mul", logs, -1.0, x.shape), x.shape)
    return summed(combine("mul", shares, each, x.shape), [dim])


@op("logsumexp.default")
def _(t, x, dims, keep=False):
    if len(dims) != 1:
        raise Refused("a logarithm of sums over several dimensions")
    return log_of_sum(as_rows(x), dims[0]).view(t.shape)


@op("log_softmax.int", "_log_softmax.default")
def _(t, x, dim, *_):
    x = as_rows(x)
    return combine("add", x, combine("mul", log_of_sum(x, dim), -1.0, x.shape), t.shape)


def normed(op_name, x, shape, weight, bias, eps):
    x = as_rows(x)
    node = ordered(x)
    n = node.n // math.prod(shape)
    weights = {"weight": (weight, bias)} if weight is not None else {}
    if weight is None and bias is not None:
        raise Refused("a norm with a bias and no weight")
    return Rows.of(Node(op_name, [(node, n)], node.n, n, {"eps": float(eps)}, weights), x.shape)


@op("layer_norm.default")
def _(t, x, shape, weight=None, bias=None, eps=1e-5, *_):
    return normed("layernorm", x, shape, weight, bias, eps)


@op("native_group_norm.default")
def _(t, x, weight, bias, _, channels, places, groups, eps):
    if places != 1 or len(x.shape) != 2:
        raise Refused("a norm of groups over several places")
    shape = (channels // groups,)
    y = normed("layernorm", as_rows(x).view((*x.shape[:-1], groups, *shape)), shape,
               None, None, eps).view(x.shape)
    y = y if weight is None else combine("mul", y, weight, x.shape)
    return [y if bias is None else combine("add", y, bias, x.shape), None, None]


def batch_norm(var, mean, weight, bias, eps, dims):
    """(what each channel is multiplied by, what is then added), as trained."""
    by = (var + eps).rsqrt() * (1 if weight is None else weight)
    return [x.reshape(-1, *[1] * dims) for x in (by, (0 if bias is None else bias) - mean * by)]


@op("_native_batch_norm_legit_no_training.default")
def _(t, x, weight, bias, mean, var, momentum, eps):
    shape = t.shape[0]
    args, each = (var, mean, weight, bias, eps, len(shape) - 2), (shape[1], *[1] * (len(shape) - 2))
    by, plus = (Const.op(batch_norm, args, {}, each, i) for i in range(2))
    return [combine("add", combine("mul", x, by, shape), plus, shape), None, None]


@op("rms_norm.default")
def _(t, x, shape, weight=None, eps=None):
    return normed("rmsnorm", x, shape, weight, None, torch.finfo(torch.float32).eps if eps is None else eps)


# ---- questions, as 1 and 0

def above(a, b, shape):
    """1 where a > b; infinite numbers are very large ones."""
    a, b = (x if number_of(x) is None else max(-BIG, min(BIG, number_of(x))) for x in (a, b))
    minus = -number_of(b) if number_of(b) is not None else combine("mul", b, -1.0, getattr(b, "shape", ()))
    return apply("clamp", combine("mul", combine("add", a, minus, shape), BIG, shape), low=0.0, high=1.0)


def opposite(m, shape):
    return combine("add", combine("mul", m, -1.0, shape), 1.0, shape)


@op("gt.Scalar", "gt.Tensor")
def _(t, a, b):
    return above(a, b, t.shape)


@op("lt.Scalar", "lt.Tensor")
def _(t, a, b):
    if isinstance(a, Mask) and a.added and number_of(b) is not None and number_of(b) <= 0:
        return Mask(a.words, t.shape, hidden=True)
    return above(b, a, t.shape)


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


@op("bitwise_and.Tensor", "__and__.Tensor", "logical_and.default")
def _(t, a, b):
    return combine("mul", a, b, t.shape)


def chosen(m, a, b, shape):
    """a where m is 1, b where it is 0; an infinite number is a very large one."""
    finite = lambda x: x if number_of(x) is None else max(-BIG, min(BIG, number_of(x)))
    part = lambda keep, x: combine("mul", keep, finite(x), shape)
    first, second = part(m, a), part(opposite(m, shape), b)
    return combine("add", first, second, shape)


@op("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def _(t, m, a, b):
    if isinstance(m, Mask) and not m.hidden and number_of(a) == 0 and number_of(b) is not None and number_of(b) < -1e4:
        return Mask(m.words, t.shape, added=True)
    return chosen(m, a, b, t.shape)


@op("masked_fill.Scalar", "masked_fill.Tensor")
def _(t, x, m, number):
    is_zero = number_of(x) == 0
    if isinstance(m, Mask) and m.hidden and (is_zero or isinstance(x, Rows)) and number_of(number) < -1e4:
        return Mask(m.words, t.shape, added=True, bias=None if is_zero else x)
    return chosen(m, number, x, t.shape)
