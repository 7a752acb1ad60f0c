"""torch's complex numbers, as pairs of rows."""
import math

import torch

from . import position_tables
from .ops_layers import product
from .rows import OPS, apply, as_rows, combine, joined, op, ordered, wrapped
from .shifted import along_text
from .values import Aside, Complex, Const, Fill, Node, Refused, Rows


@op("polar.default")
def _(t, magnitude, angle):
    part = lambda name: combine("mul", apply(name, angle), magnitude, t.shape)
    return Complex(part("cos"), part("sin"))


@wrapped("to.dtype", "_to_copy.default")
def _(plain, t, x, *args, **more):
    to_complex = t.dtype.is_complex and isinstance(x, Rows)
    return Complex(x, Fill(0.0, x.shape)) if to_complex else plain(t, x, *args, **more)


@op("complex.default")
def _(t, re, im):
    return Complex(re, im)


@wrapped("abs.default")
def _(plain, t, x):
    if not isinstance(x, Complex):
        return plain(t, x)
    squares = [combine("mul", part, part, t.shape) for part in (x.re, x.im)]
    return apply("sqrt", combine("add", *squares, t.shape))


@op("view_as_complex.default")
def _(t, x):
    return Complex(*[x.narrow(len(x.dims) - 1, i, 1).view(t.shape) for i in (0, 1)])


class Pairs(Aside):
    """Of complex numbers both parts, as the last dimension."""
    said = "both parts of complex numbers"
    TAKES = ("select.int",)

    def __init__(self, of):
        self.of, self.shape = of, (*of.shape, 2)

    def rows(self):
        return joined([as_rows(p).view([*self.of.shape, 1]) for p in (self.of.re, self.of.im)], len(self.of.shape),
                      self.shape)


@op("view_as_real.default")
def _(t, x):
    return Pairs(x)


@wrapped("select.int")
def _(plain, t, x, dim, i):
    one_part = isinstance(x, Pairs) and dim % len(x.shape) == len(x.of.shape)
    return (x.of.re, x.of.im)[i] if one_part else plain(t, x, dim, i)


def complex_product(t, a, b):
    if isinstance(b, Const) and not b.learned and b.known().is_complex():
        b = position_tables.parts_of(b)
    if not isinstance(b, Complex):
        return Complex(combine("mul", a.re, b, t.shape), combine("mul", a.im, b, t.shape))
    of = lambda x, y: combine("mul", x, y, t.shape)
    return Complex(combine("add", of(a.re, b.re), combine("mul", of(a.im, b.im), -1.0, t.shape), t.shape),
                   combine("add", of(a.re, b.im), of(a.im, b.re), t.shape))


@wrapped("mul.Tensor")
def _(plain, t, a, b):
    if isinstance(a, Complex):
        return complex_product(t, a, b)
    return complex_product(t, b, a) if isinstance(b, Complex) else plain(t, a, b)


# ---- Fourier transforms

def turns(n):
    """(cosines, sines) of all products of two places among n, of a whole turn."""
    angle = 2 * math.pi * (torch.arange(n)[:, None] * torch.arange(n)[None] % n).double() / n
    return [Const.literal(x.float()) for x in (angle.cos(), angle.sin())]


def transformed(x, dim):
    """x times exp(-2 pi i j k / n), summed over that dimension."""
    if along_text(x.re, dim):
        of = lambda a, b: Rows.like(Node("fourier", [(ordered(a), 1), (ordered(b), 1)], ordered(a).n), a)
        return Complex(of(x.re, x.im), of(x.im, combine("mul", x.re, -1.0, x.shape)))
    order = [i for i in range(len(x.shape)) if i != dim] + [dim]
    shape, back = [x.shape[i] for i in order], [order.index(i) for i in range(len(order))]
    cos, sin = turns(x.shape[dim])
    of = lambda part, by: part if isinstance(part, Fill) else product(part.permute(order), by, None, shape)
    re = combine("add", of(x.re, cos), of(x.im, sin), shape)
    im = combine("add", of(x.im, cos), combine("mul", of(x.re, sin), -1.0, shape), shape)
    return Complex(re.permute(back), im.permute(back))


@op("_fft_c2c.default")
def _(t, x, dims, normalization, forward):
    if normalization or not forward:
        raise Refused("a Fourier transform back, or divided by its length")
    for dim in sorted(dims, key=lambda d: along_text(x.re, d)):
        x = transformed(x, dim)
    return x


@op("_fft_r2c.default")
def _(t, x, dims, normalization, one_sided):
    y, last = OPS["_fft_c2c.default"](t, Complex(x, Fill(0.0, x.shape)), dims, normalization, True), dims[-1]
    return Complex(*(as_rows(part).narrow(last, 0, t.shape[last]) for part in (y.re, y.im)))
