"""What hooks_cpmant.py made one op of, as andiron's ops."""
from . import text
from .near import ByDistance
from .ops_numbers import opposite
from .rows import OPS, as_rows, combine, joined, op
from .values import Const, Mask, Node

FAR = -3e4  # a score of what is not seen, which F16 has, too


@op("in_parts.default")
def _(t, q, k, v, first, near, at, from_first, to_first, scale):
    """One softmax over the rows of a row's own part, by distances near [heads, n], and over those of the other."""
    h, shape = q.shape[1], (1, q.shape[1], text.ROWS, 1)
    column = lambda x: x.view((1, 1, text.ROWS, 1)).expand(shape)
    each = lambda x, by: combine("mul", column(x), by, shape)
    wide = lambda x, a, b: joined([x, a, b], 3, (*shape[:3], x.shape[3] + 2))
    score = lambda c: c.then(lambda w: w.reshape(1, h, 1, 1), (1, h, 1, 1), "score")
    then, far = opposite(first, first.shape), lambda x: each(x, FAR)
    queries = wide(q, each(first, 1 / scale), each(then, 1 / scale))

    def attend(of_first, of_then):
        """With what the first rows' queries, and others', have of each key."""
        keys = wide(k, of_first, of_then)
        return OPS["attend.default"](t, queries, keys, v, Mask("full", ()), None, None, scale, 0.0, False)
    own = attend(far(then), far(first)).node
    rows = as_rows(near.then(lambda w: w[:, None][None], (1, h, 1, near.shape[1]), "near"))
    ByDistance(rows, None, Const.literal(at.known().float()), t.shape).put(own)
    own.attrs["open"], own.n = 1, own.n + 2 * own.heads
    Node.count += 1
    own.order = Node.count  # after what it is given
    both = lambda seen, by, hidden: combine("add", each(seen, score(by)), far(hidden), shape)
    out = attend(both(then, from_first, first), both(first, to_first, then))
    out.node.inputs.append((own, own.heads))
    return out
