"""torch's complex numbers, as pairs of rows."""
from . import position_tables
from .rows import apply, as_rows, combine, joined, op, wrapped
from .values import Complex, Const


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
