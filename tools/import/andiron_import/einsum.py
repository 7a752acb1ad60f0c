"""torch.einsum: products with matrices, scores and their sums of values, and products within a row, by its letters."""
import math

from . import indexer, text
from .ops_layers import mixed, product
from .ops_numbers import summed
from .rows import OPS, as_rows, combine, op, text_dim
from .scores import Scores, are_pairs, begin, of_pairs
from .shares import KEYS, Mixture, finished, talking
from .values import Const, Refused, Rows


class Shape:
    """What a handler sees of its place."""

    def __init__(self, name, shape):
        self.name, self.shape = name, tuple(shape)


def letters_of(equation, n_dims):
    """The letters of each input and of the result; "..." becomes letters of its own."""
    given, _, out = equation.replace(" ", "").partition("->")
    ins = given.split(",")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    more = max(n - len(i.replace("...", "")) if "..." in i else 0 for i, n in zip(ins, n_dims))
    dots = lambda n: "".join(free[more - n:more])
    ins = [i.replace("...", dots(n - len(i.replace("...", "")))) for i, n in zip(ins, n_dims)]
    if "->" not in equation:
        once = sorted(c for c in set("".join(ins)) if "".join(ins).count(c) == 1 and c not in free[:more])
        out = ("..." if "..." in given else "") + "".join(once)
    return ins, out.replace("...", dots(more))


def in_order(x, have, want):
    """x with its dimensions in another order; those that it has not are 1."""
    dims = [have.index(c) for c in want if c in have]
    y = x.permute(dims) if isinstance(x, (Rows, Scores, Mixture)) else moved_const(x, dims)
    shape = iter(y.shape)
    wide = tuple(next(shape) if c in have else 1 for c in want)
    return y if wide == tuple(y.shape) else y.then(lambda w: w.reshape(wide), wide, f"as {wide}") if isinstance(
        y, Const) else y.view(wide)


def moved_const(x, dims):
    if dims == [*range(len(dims))]:
        return x
    return x.then(lambda w: w.permute(dims), [x.shape[i] for i in dims], f"permute{dims}")


def without(x, have, keep):
    """x summed over the letters that are not kept."""
    lost = [i for i, c in enumerate(have) if c not in keep]
    if not lost:
        return x, have
    if isinstance(x, Const):
        shape = [s for i, s in enumerate(x.shape) if i not in lost]
        x = x.then(lambda w: w.sum(lost), shape, f"sum{lost}")
    else:
        x = summed(x, lost).view([s for i, s in enumerate(x.shape) if i not in lost])
    return x, "".join(c for c in have if c in keep)


def with_matrix(x, a, weight, b, out, size):
    """Rows with a tensor that no row changes."""
    both, sums = [c for c in a if c in b and c in out], [c for c in a if c in b and c not in out]
    own, new = [c for c in a if c not in b], [c for c in b if c not in a]
    count = lambda letters: math.prod(size[c] for c in letters)
    if not sums:
        order = "".join([*own, *both, *new])
        y = combine("mul", as_rows(in_order(x, a, order)), in_order(weight, b, order), [size[c] for c in order])
        return in_order(y, order, out)
    shape = lambda letters: tuple(size[c] for c in letters)
    x = in_order(x, a, [*both, *own, *sums])
    if not both:
        matrix = in_order(weight, b, [*new, *sums])
        flat = matrix.then(lambda w: w.reshape(count(new), count(sums)), (count(new), count(sums)), "matrix")
        y = product(x.view((*shape(own), count(sums))), flat, None, (*shape(own), count(new)))
        return in_order(y.view(shape([*own, *new])), [*own, *new], out)
    matrix = in_order(weight, b, [*both, *sums, *new])
    flat = (count(both), count(sums), count(new))
    y = OPS["matmul.default"](Shape("matmul.default", (count(both), count(own), count(new))),
                              x.view((count(both), count(own), count(sums))),
                              matrix.then(lambda w: w.reshape(flat), flat, "by head"))
    return in_order(y.view(shape([*both, *own, *new])), [*both, *own, *new], out)


def with_scores(a, b, x, y, out, texts):
    """Queries with keys: the letters of the heads, those of the queries alone last."""
    q_text, k_text = texts
    both = [c for c in a if c in b and c in out]
    own = [c for c in a if c not in b and c != q_text]
    sums = [c for c in a if c in b and c not in out]
    if set(b) != {*both, *sums, k_text} or not sums:
        raise Refused("scores of keys that have more dimensions than queries")
    flat = lambda v, dims: v.view((*v.shape[:dims], math.prod(v.shape[dims:])))
    q = flat(in_order(x, a, [*both, *own, q_text, *sums]), len(both) + len(own) + 1)
    k = flat(in_order(y, b, [*both, *[""] * len(own), *sums, k_text]).permute(
        [*range(len(both) + len(own)), len(b) + len(own) - 1, *range(len(both) + len(own), len(b) + len(own) - 1)]),
             len(both) + len(own) + 1)
    n = len(k.dims)
    return in_order(begin(q, k.permute([*range(n - 2), n - 1, n - 2])), [*both, *own, q_text, k_text], out)


def with_values(s, a, v, b, out, size):
    """Shares of the places times what stands there."""
    k_text = a[next(i for i, d in enumerate(s.layout.dims) if (text.ROWS, KEYS) in d)]
    both = [c for c in a if c in b and c != k_text]
    own, new = [c for c in a if c not in b], [c for c in b if c not in a]
    if k_text not in b and isinstance(v, Const) and len(v.shape) == 2 and all(c in out for c in own + new):
        (mine,), (heads,) = [c for c in a if c not in out], new
        weight = in_order(v, b, [heads, mine])
        return in_order(talking(s, weight, a.index(mine)), [heads if c == mine else c for c in a], out)
    if k_text not in b and s.by == "relu" and len(own := [c for c in a if c not in out]) == 1:
        return indexer.weighed(in_order(v, b, [c for c in out if c != k_text] + own), s, [size[c] for c in out])
    if k_text not in b or k_text in out:
        raise Refused("scores that are summed over no place")
    s = in_order(s, a, [*both, *own, k_text])
    v = in_order(v, b, [*both, *[""] * len(own[:-1]), k_text, *new])
    order = [*both, *own, *new]
    v = v.view((*v.shape[:len(both) + max(len(own) - 1, 0) + 1], math.prod(size[c] for c in new)))
    return in_order(finished(s, v, [size[c] for c in order]), order, out)


def within_row(x, a, y, b, out, size):
    """Of rows with rows of the same place."""
    order = "".join(dict.fromkeys(out + a + b))
    sums = [i for i, c in enumerate(order) if c not in out]
    if any(size[order[i]] == text.ROWS for i in sums):
        raise Refused("a sum over the text")
    both = [c for c in out if c in a and c in b and size[c] > 1]
    if sums and len(both) == 1:
        return columns(x, a, y, b, out, size, both)
    wide = [in_order(as_rows(v), have, order) for v, have in ((x, a), (y, b))]
    product_ = combine("mul", *wide, [size[c] for c in order])
    return summed(product_, sums).view([size[c] for c in out]) if sums else product_


def columns(x, a, y, b, out, size, both):
    """A product of two matrices that each row has."""
    sums = [c for c in a if c in b and c not in out]
    own, new = [c for c in a if c not in b], [c for c in b if c not in a]
    shape = lambda letters: [size[c] for c in letters]
    count = lambda letters: math.prod(shape(letters))
    left = in_order(x, a, [*both, *own, *sums]).view((*shape(both), count(own), count(sums)))
    right = in_order(y, b, [*both, *sums, *new]).view((*shape(both), count(sums), count(new)))
    order = [*both, *own, *new]
    return in_order(mixed(left, right, (*shape(both), count(own), count(new))).view(shape(order)), order, out)


def pair(x, a, y, b, out):
    """Two factors, as one tensor of the letters `out`."""
    size = dict(zip(a, x.shape)) | dict(zip(b, y.shape))
    if hasattr(x, "times_rows"):
        x, a, y, b = y, b, x, a
    if hasattr(y, "times_rows"):
        return y.times_rows(x, a, b, out)
    if isinstance(y, (Scores, Mixture)) or isinstance(x, Const):
        x, a, y, b = y, b, x, a
    if isinstance(x, (Scores, Mixture)):
        return with_values(x, a, y, b, out, size)
    x, a = without(x, a, out + b)
    y, b = without(y, b, out + a)
    if are_pairs(y) and a[text_dim(x)] not in out:
        order = sorted(b, key=lambda c: (size[c] == text.ROWS, c in a))
        return with_values(of_pairs(in_order(y, b, order)), order, x, a, out, size)
    if isinstance(y, Const) and text.ROWS not in y.shape:
        return with_matrix(x, a, y, b, out, size)
    x, y = as_rows(x), as_rows(y)
    texts = [None if text_dim(v) is None else have[text_dim(v)] for v, have in ((x, a), (y, b))]
    if None not in texts and texts[0] != texts[1] and texts[0] in out and texts[1] in out:
        turn = out.index(texts[0]) > out.index(texts[1])
        return with_scores(b, a, y, x, out, texts[::-1]) if turn else with_scores(a, b, x, y, out, texts)
    return within_row(x, a, y, b, out, size)


@op("einsum.default")
def _(t, equation, values, path=None):
    ins, out = letters_of(equation, [len(v.shape) for v in values])
    if any(len(set(i)) < len(i) for i in ins):
        raise Refused(f"einsum {equation}: the diagonal of a tensor")
    x, a = values[0], ins[0]
    for i, y in enumerate(values[1:], 1):
        later = "".join(ins[i + 1:]) + out
        keep = out if i == len(values) - 1 else "".join(c for c in dict.fromkeys(a + ins[i]) if c in later)
        x, a = pair(x, a, y, ins[i], keep), keep
    if len(values) == 1:
        x, a = without(x, a, out)
    return in_order(x, a, out).view(t.shape) if isinstance(x, Rows) else in_order(x, a, out)
