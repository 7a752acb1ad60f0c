"""Tokens of earlier rows, and hashes of them: rows of a table at a sum of tokens times numbers, modulo a size."""
import torch

from .ops_moves import Ids, numbers
from .ops_states import previous
from .rows import OPS, combine, number_of, op, text_dim
from .values import Aside, Const, Fill, Node, Refused, Rows
from .whole import Whole


class Gram(Aside):
    """sum of times[n] * (the token n rows before) + plus, or the products' xor; modulo a size, if any, + after.
    start: what counts as the tokens before the text; None: nothing does yet. wraps: the sum is one of 64 bits with a
    sign."""
    said = "hashes of neighbouring tokens"

    def __init__(self, times, dims, start, plus=0, xor=False, size=None, after=0, wraps=False):
        self.times, self.dims, self.start, self.plus, self.xor = times, dims, start, plus, xor
        self.size, self.after, self.wraps = size, after, wraps

    @property
    def shape(self):
        return Rows(None, self.dims).shape

    def but(self, **of):
        return Gram(**(self.__dict__ | of))

    def later(self, n, start):
        """As the row n before has it."""
        if self.plus or self.size or self.start not in (None, start):
            raise Refused("hashes of tokens that are moved along the text")
        return self.but(times={back + n: by for back, by in self.times.items()}, start=start)

    def rows(self):
        """As numbers of the row."""
        if self.size or self.xor or self.start != 0:
            raise Refused("hashes of tokens that no table is read at")
        out = None
        for back, by in self.times.items():
            x = numbers(Ids("tokens", self.dims))
            for _ in range(back):
                x = previous(x)
            x = combine("mul", x, float(by), x.shape)
            out = x if out is None else combine("add", out, x, x.shape)
        return combine("add", out, float(self.plus), out.shape)


def gram(x):
    """x as one, where it is a token, perhaps times a number and more."""
    if isinstance(x, Ids) and x.source == "tokens":
        return Gram({0: 1}, x.dims, None, x.plus)
    if isinstance(x, Whole) and x.source is None and not x.table.is_floating_point() and len(x.table) > 1:
        first, by = int(x.table[0]), int(x.table[1] - x.table[0])
        if torch.equal(x.table, first + by * torch.arange(x.n)):
            return Gram({0: by}, x.dims, None, first)
    return x


@op("byte_hash.default")
def _(t, x, n, prime, size):
    """The last n tokens, the first of them times 1, the next ones times the prime, its square, ..., in 64 bits."""
    return Gram({back: pow(prime, n - 1 - back, 1 << 64) for back in range(n)}, x.dims, 0, size=size, wraps=True)


@op("roll.default")
def _(t, x, shifts, dims=()):
    x = gram(x)
    if isinstance(x, Rows) and len(dims) == 1 and dims[0] % len(t.shape) != text_dim(x):  # within each row
        n = t.shape[dims[0]]
        at = -shifts[0] % n
        return OPS["cat.default"](t, [x.narrow(dims[0], at, n - at), x.narrow(dims[0], 0, at)], dims[0])
    if not isinstance(x, (Gram, Rows)) or len(dims) != 1 or dims[0] % len(t.shape) != text_dim(x) or shifts[0] < 1:
        raise Refused("numbers that are rolled, not from row to row")
    return Rolled(x, shifts[0])


class Rolled(Aside):
    """The rows n before; the first n are to be written yet."""
    said = "rows that are rolled"

    def __init__(self, x, n):
        self.x, self.n, self.shape, self.dims = x, n, x.shape, x.dims

    def begun(self, number):
        """With a number in those."""
        if isinstance(self.x, Gram):
            return self.x.later(self.n, int(number))
        if number:
            raise Refused("rolled rows that begin with another number than 0")
        x = self.x
        for _ in range(self.n):
            x = previous(x)
        return x


def scattered(x, y, dim=0, start=0, end=None):
    n = 1 if end is None else min(end, x.n + 1)
    known = y.known() if isinstance(y, Const) else None
    same = known is not None and (known == known.reshape(-1)[0]).all()
    number = float(known.reshape(-1)[0]) if same else number_of(y)
    if dim % len(x.shape) != text_dim(x) or (start or 0) != 0 or n != x.n or number is None:
        raise Refused("rolled rows of which others than the first ones are written")
    return x.begun(number)


MOVES = {"view.default", "unsqueeze.default", "squeeze.dim", "clone.default", "to.dtype", "_to_copy.default",
         "alias.default", "detach.default", "contiguous.default", "expand.default"}


HASHES = ("add.Tensor", "mul.Tensor", "remainder.Scalar", "bitwise_xor.Tensor", "__xor__.Tensor")


def step(at, name, args, n_tokens):
    """An op that reads these."""
    if isinstance(args[0], Rolled):
        x, dim, start, *_ = [*args, None, None]
        along = isinstance(x.x, Rows) and name == "slice.Tensor" and dim % len(x.shape) == text_dim(x)
        if along and (start or 0) >= x.n:
            return OPS[name](at, x.x, dim, start - x.n)
        if name in ("select.int", "slice.Tensor"):
            return Fill(0.0, at.shape)  # about to be written
        if name not in ("select_scatter.default", "slice_scatter.default"):
            raise Refused("rolled rows whose first ones are those of the text's end")
        return scattered(*args)
    a, b, *_ = [*map(gram, args), None]
    if name == "embedding.default":
        return read(a, b, n_tokens, at.shape)
    if name in ("eq.Scalar", "ne.Scalar"):
        is_it = (torch.arange(n_tokens) == b) == (name == "eq.Scalar")
        return read(Const.literal(is_it.float()[:, None]), a, n_tokens, (*at.shape, 1)).view(at.shape)
    if name == "roll.default":
        return OPS[name](at, a, *args[1:])
    if name in MOVES:
        return a.but(dims=OPS[name](at, Rows(None, a.dims), *args[1:]).dims)
    a, b = (a, b) if isinstance(a, Gram) else (b, a)
    number = number_of(b) if b is not None and not isinstance(b, Gram) else None
    if name in HASHES:
        made = joined(name, a, b) if isinstance(b, Gram) else None if number is None else with_number(name, a, number)
        if made:
            return made
    return OPS[name](at, *[x.rows() if isinstance(x, Gram) else x for x in args])


def joined(name, a, b):
    """Of two, in one sum."""
    xor, starts = "xor" in name, {x.start for x in (a, b)} - {None}
    plain = all(not x.size and (not x.xor or xor) for x in (a, b)) and len(starts) < 2 and name != "mul.Tensor"
    if not plain or xor and (set(a.times) & set(b.times) or any(len(x.times) > 1 and not x.xor or x.plus
                                                                for x in (a, b))):
        raise Refused("a hash of tokens that is no sum of them, each times a number, and no xor of such products")
    times = {back: a.times.get(back, 0) + b.times.get(back, 0) for back in {*a.times, *b.times}}
    return Gram(times, a.dims, min(starts, default=None), a.plus + b.plus, xor)


def with_number(name, a, number):
    number = int(number)
    if number == 0:
        return a if name == "add.Tensor" or "xor" in name else None
    if name == "remainder.Scalar" and not a.size:
        return a.but(size=number)
    if name == "add.Tensor":
        return a.but(after=a.after + number) if a.size or a.xor else a.but(plus=a.plus + number)
    if name == "mul.Tensor" and not a.size and not a.xor:
        return a.but(times={back: by * number for back, by in a.times.items()}, plus=a.plus * number)
    return None


def read(weight, x, n_tokens, shape):
    """Rows of a table."""
    d, size, n = weight.shape[1], x.size or weight.shape[0], max(x.times) + 1
    by = tuple(x.times.get(back, 0) for back in range(max(n, 2)))
    large = (min(by) < 0 or sum(by) * n_tokens >= 1 << 62) and not x.wraps
    if large or x.start is None and n > 1 or size + x.after > weight.shape[0]:
        raise Refused("hashes of tokens that may have a sign, or point out of the table")
    if not x.size and (sum(by) != 1 or x.xor):
        raise Refused("a table that is read at a sum of tokens that may be beyond its end")
    turned = lambda w: w[x.after:x.after + size].roll(-x.plus, 0)
    table = weight.then(turned, (size, d), f"from{x.after}{size}{x.plus}") if (size, x.plus) != (
        weight.shape[0], 0) else weight
    heads = len(by) - 1  # one for each number of tokens; the last is meant
    attrs = {"multipliers": by, "sizes": (*[1] * (heads - 1), size), "offsets": (0,) * heads, "end": x.start or 0,
             "join": "signed" if x.wraps else "xor" if x.xor else "sum", "resets": "no"}
    node = Node("ngrams", [], heads * d, heads, attrs, {"weight": (table, None)})
    return Rows.of(node, (*shape[:-1], heads, d)).narrow(len(shape) - 1, heads - 1, 1).view(shape)
