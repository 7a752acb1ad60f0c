"""What hooks_blocks.py made one op of, as andiron's ops; and one softmax over rows and over entries of blocks."""
import torch

from . import seen, text
from .ops_moves import Ids, numbers
from .ops_states import alone, larger, less, of, peak, previous, size
from .rows import apply, as_rows, combine, joined, op, ordered, wrapped
from .shifted import along_text
from .values import TEXT, Aside, Const, Mask, Node, Refused, Rows

NOTHING = -1e30  # the logarithm of nothing, near enough


def positions():
    return numbers(Ids("positions", [[], [(text.ROWS, TEXT)], []]))


def place_in(n):
    """Of each row in its block of n."""
    p = positions()
    block = apply("floor", of("mul", of("add", p, 0.5), 1 / n))
    return of("add", p, of("mul", block, -float(n)))


def flag(x):
    """1 where x, a whole number, is above 0."""
    return apply("clamp", x, low=0.0, high=1.0)


def bias_of(bias, place):
    """bias [n, d]: each row's."""
    n, d = bias.shape
    apart = combine("add", as_rows(Const.literal(torch.arange(n).float().reshape(1, 1, n))), of("mul", place, -1.0),
                    (1, text.ROWS, n))
    one = ordered(flag(combine("add", of("mul", size(apart), -1.0), 1.0, apart.shape)))
    node = Node("linear", [(one, 1)], d, 1, {}, {"weight": (bias.then(lambda b: b.t(), (d, n), "t"), None)})
    return Rows.of(node, (1, text.ROWS, d))


def running(kv, gate, place):
    """Of each number in its block so far: the largest gate, and the sums of exp(gate - it) kv and of exp(gate - it)."""
    d, shape = kv.shape[-1], kv.shape
    forget = of("mul", flag(combine("add", of("mul", place, -1.0), 1.0, place.shape)), NOTHING)
    top = peak(gate, as_rows(forget).expand(shape))
    share = apply("exp", less(gate, top))
    kept = apply("exp", less(combine("add", previous(top), forget, shape), top))
    column = lambda x: as_rows(x).view((*shape, 1))
    both = joined([column(of("mul", kv, share)), column(share)], 3, (*shape, 2))
    sums = Rows.of(Node("scan", [alone(), alone(), (ordered(both), d), (ordered(kept), d)], 2 * d, d), both.shape)
    return [top, *(sums.narrow(3, i, 1).view(shape) for i in (0, 1))]


def of_last_block(x, n):
    for _ in range(n):
        x = previous(x)
    return x


@op("block_mean.default")
def _(t, kv, gate, bias, n_series):
    """kv, gate [1, text, series * d], bias [n, series * d]: means of kv by softmax of gate + bias, each number its own,
    over the row's block; of two series over the block before and the row's."""
    n, d = bias.shape[0], kv.shape[2] // n_series
    place = place_in(n)
    top, total, below = running(kv, combine("add", gate, bias_of(bias, place), gate.shape), place)
    if n_series == 1:
        return combine("div", total, below, t.shape)
    if n_series != 2:
        raise Refused("entries of more than two series")
    part = lambda x, i: x.narrow(2, i * d, d)
    before = [of_last_block(part(x, 0), n) for x in (top, total, below)]
    none = of("mul", flag(combine("add", of("mul", positions(), -1.0), float(n), place.shape)), NOTHING)
    before[0] = combine("add", before[0], none, t.shape)
    most = larger(part(top, 1), before[0])
    old, new = apply("exp", less(before[0], most)), apply("exp", less(part(top, 1), most))
    mean = [of("add", of("mul", before[i], old), of("mul", part(x, 1), new)) for i, x in ((1, total), (2, below))]
    return combine("div", *mean, t.shape)


class Blocks(Aside):
    """A mask of entries: of blocks of so many rows, all that have ended, or those that `node` chose."""
    said = "a mask of blocks of rows"

    def __init__(self, size_, node, shape):
        self.size, self.node, self.shape = size_, node, tuple(shape)


class Two(Aside):
    """Two texts, or two masks, side by side."""
    said = "two texts side by side"

    def __init__(self, first, second, shape):
        self.first, self.second, self.shape = first, second, tuple(shape)


@op("block_mask.default")
def _(t, rows, chosen, n):
    return Blocks(n, chosen and chosen.node, t.shape)


@wrapped("cat.default", "concatenate.default", "concat.default")
def _(plain, t, parts, dim=0):
    masks = len(parts) == 2 and isinstance(parts[0], Mask) and isinstance(parts[1], (Blocks, Mask))
    texts = len(parts) == 2 and all(along_text(p, dim) and isinstance(p, Rows) for p in parts)
    return Two(*parts, t.shape) if masks or texts else plain(t, parts, dim)


@wrapped("attend.default")
def _(plain, t, q, k, v, mask, sinks, *more):
    if not isinstance(mask, Two):
        return plain(t, q, k, v, mask, sinks, *more)
    if not isinstance(k, Two) or not isinstance(v, Two):
        raise Refused("masks of two texts where keys and values are of one")
    first = plain(t, q, k.first, v.first, mask.first, sinks, *more).node
    first.attrs["open"], first.n = 1, first.n + 2 * first.heads
    entries, blocks = mask.second, isinstance(mask.second, Blocks)
    if blocks:
        entries = seen.Seen(entries.node, entries.shape) if entries.node else Mask("causal", entries.shape)
    out = plain(t, q, k.second, v.second, entries, None, *more)
    out.node.attrs |= {"every": mask.second.size} if blocks else {}
    out.node.inputs.append((first, first.heads))
    return out
