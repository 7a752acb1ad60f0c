"""torch's functions that andiron has no op for, written in others: what a trace is taken apart by, beside torch's own
decompositions."""
import functools
import itertools
import math
import operator

import torch

from . import text

A = torch.ops.aten
MOST_PARTS = 64  # of a row whose numbers are taken one after another


def asin(x):
    return torch.atan(x * ((1 - x) * (1 + x)).rsqrt())


def atan2(y, x):
    return torch.atan(y / x) + torch.where(x < 0, torch.where(y < 0, -math.pi, math.pi), 0.0)


def product(x, dim, keepdim=False, **_):
    return functools.reduce(operator.mul, x.split(1, dim) if keepdim else x.unbind(dim))


def of_row(function):
    """Of a row's numbers so far; along the text it stays as it is."""
    def run(x, dim, **_):
        if x.shape[dim] % text.ROWS == 0 or x.shape[dim] > MOST_PARTS:
            return NotImplemented
        out = torch.cat(list(itertools.accumulate(x.split(1, dim), function)), dim)
        return (out, torch.zeros_like(out, dtype=torch.long)) if function in (torch.maximum, torch.minimum) else out
    return run


def scatter_add(x, dim, places, source):
    if dim % x.dim() != x.dim() - 1:
        return NotImplemented
    marks = torch.nn.functional.one_hot(places, x.shape[dim]).to(x.dtype)
    return x + (marks * source.unsqueeze(-1)).sum(-2)


def among(x, boundaries, *, right=False, **_):
    """How many of sorted numbers are below."""
    x = x.unsqueeze(-1)
    return torch.where(x >= boundaries if right else x > boundaries, 1, 0).sum(-1)


def unfold(x, dim, size, step):
    """Within a row."""
    if x.shape[dim] >= text.ROWS:
        return NotImplemented
    dim, at = dim % x.dim(), range(0, x.shape[dim] - size + 1, step)
    return torch.stack([x.narrow(dim, i, size) for i in at], dim).movedim(dim + 1, -1)


def smallest(x, k, dim=-1, keepdim=False):
    """The k-th."""
    values, places = x.sort(dim)
    pick = lambda y: y.narrow(dim, k - 1, 1) if keepdim else y.select(dim, k - 1)
    return pick(values), pick(places)


def norm(x, order=2, dim=None, keepdim=False, **_):
    if dim is None or order in (1, 2):
        return NotImplemented
    return x.abs().amax(dim, keepdim) if order == math.inf else x.abs().pow(order).sum(dim, keepdim).pow(1 / order)


def finite(x):
    return torch.zeros_like(x, dtype=torch.bool)


WRITTEN = {
    A.tan.default: lambda x: x.sin() / x.cos(),
    A.sinh.default: lambda x: (x.exp() - (-x).exp()) * 0.5,
    A.cosh.default: lambda x: (x.exp() + (-x).exp()) * 0.5,
    A.asin.default: asin,
    A.acos.default: lambda x: math.pi / 2 - asin(x),
    A.atan2.default: atan2,
    A.asinh.default: lambda x: x.sign() * (x.abs() + (x * x + 1).sqrt()).log(),
    A.acosh.default: lambda x: (x + (x * x - 1).sqrt()).log(),
    A.atanh.default: lambda x: ((1 + x) / (1 - x)).log() * 0.5,
    A.erfc.default: lambda x: 1 - x.erf(),
    A.hypot.default: lambda x, y: (x * x + y * y).sqrt(),
    A.trunc.default: lambda x: x.sign() * x.abs().floor(),
    A.round.decimals: lambda x, *, decimals: (x * 10.0 ** decimals).round() / 10.0 ** decimals,
    A.copysign.Tensor: lambda x, y: torch.where(y < 0, -x.abs(), x.abs()),
    A.signbit.default: lambda x: x < 0,
    A.fmax.default: torch.maximum,
    A.fmin.default: torch.minimum,
    A.isnan.default: finite,
    A.isinf.default: finite,
    A.logical_or.default: torch.maximum,
    A.bitwise_or.Tensor: torch.maximum,
    A.logical_xor.default: torch.ne,
    A.bitwise_xor.Tensor: torch.ne,
    A.var_mean.correction: lambda x, dim, *, correction=1, keepdim=False: (
        x.var(dim, correction=correction, keepdim=keepdim), x.mean(dim, keepdim)),
    A.linalg_vector_norm.default: norm,
    A.prod.dim_int: product,
    A.cumprod.default: of_row(operator.mul),
    A.cummax.default: of_row(torch.maximum),
    A.cummin.default: of_row(torch.minimum),
    A.logcumsumexp.default: of_row(torch.logaddexp),
    A.scatter_add.default: scatter_add,
    A.scatter_reduce.two: lambda x, dim, places, source, reduce, **_: (
        scatter_add(x, dim, places, source) if reduce == "sum" else NotImplemented),
    A.bucketize.Tensor: among,
    A.searchsorted.Tensor: lambda boundaries, x, *, right=False, **_: (
        among(x, boundaries, right=right) if boundaries.dim() == 1 else NotImplemented),
    A.unfold.default: unfold,
    A.kthvalue.default: smallest,
    A.median.dim: lambda x, dim, keepdim=False: smallest(x, (x.shape[dim] + 1) // 2, dim, keepdim),
    A.argmin.default: lambda x, dim=None, keepdim=False: NotImplemented if dim is None else (-x).argmax(dim, keepdim),
}
