"""Sums along the text, and numbers by which what was before a row fades (Sun et al. 2023)."""
import torch

from . import text
from .ops_layers import product
from .ops_moves import Ids, numbers
from .ops_states import summed
from .rows import apply, combine, joined, number_of, op, ordered, text_dim
from .values import TEXT, Const, Fill, Node, Refused, Rows, alike


@op("cumsum.default")
def _(t, x, dim, **_):
    if number_of(x) == 1 and t.shape[dim] == text.ROWS:  # places, counted from 1
        return Ids("positions", Rows(Node("numbers"), [[] for _ in t.shape]).expand(t.shape).dims, 1)
    if t.shape[dim] == 1:
        return x
    if not isinstance(x, Rows):
        raise Refused("a running sum of numbers that are no rows")
    dim %= len(t.shape)
    if dim == text_dim(x) and t.shape[dim] == text.ROWS:
        node = ordered(x)
        return Rows.like(so_far(node) if Node.in_source else summed(node, alike(node.n, 1)), x)
    order = [*(i for i in range(len(t.shape)) if i != dim), dim]
    n, y = t.shape[dim], x.permute(order)
    return product(y, Const.literal(torch.ones(n, n).tril()), None, y.shape).permute(
        [order.index(i) for i in range(len(order))])


def so_far(node):
    """A running sum over rows that come all at once: sigmoid of a score that is 32 for a row's own place, 64 more for
    each that is nearer to the beginning, so 1 up to there and 0 after it."""
    heads = next(h for h in range(1, node.n + 1) if node.n % h == 0 and node.n // h <= 256)
    place = numbers(Ids("positions", [[], [(text.ROWS, TEXT)], [], []]))
    shape = (1, text.ROWS, 1, 1)
    q = joined([combine("add", apply("mul", place, number=64.0), 32.0, shape), Fill(-64.0, shape)], 3, (*shape[:3], 2))
    k = joined([Fill(1.0, shape), place], 3, (*shape[:3], 2))
    ins = [(ordered(x.expand((1, text.ROWS, heads, 2))), heads) for x in (q, k)]
    return Node("attend", [*ins, (node, heads)], node.n, heads, {"scale": 1.0, "sees": "all", "by": "sigmoid"})


def summed_in(x):
    """What a running sum along the text is made of, seen as x; None: x is no such sum."""
    ins = [i for i, _ in x.node.inputs]
    ones = [i for i in ins if i.op == "geometric" and i.attrs["first"] == i.attrs["ratio"] == 1.0]
    return Rows(ins[2], x.dims, x.start) if x.node.op == "scan" and len(ins) == 4 and len(ones) == 3 else None


def rate_of(a, b):
    """Where a - b is one running sum's difference between rows: what it rises by in each."""
    return summed_in(a) if a.node is b.node and a.start == b.start else None


def decay_of(by, heads):
    """[heads], or one for all, where by [heads, text, text] is decay ** (row - earlier row), and 0 after it."""
    n = text.ROWS
    said = by.compute(Const.some).reshape(-1, n, n).double()
    ratio = said[:, 1, :1, None] / said[:, 0, :1, None]
    away = torch.arange(n)[:, None] - torch.arange(n)[None]
    want = torch.where(away >= 0, ratio ** away.clamp(min=0), 0.0)
    if len(said) not in (1, heads) or not torch.allclose(said, want, atol=1e-5):
        raise Refused("scores times numbers of pairs of places that are no powers of one number")
    return by.then(lambda w: (w.reshape(-1, n, n)[:, 1, 0]).expand(heads), (heads,), "decay")
