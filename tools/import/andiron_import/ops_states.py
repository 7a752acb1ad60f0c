"""What hooks_states.py made one op of, as andiron's ops."""
from . import text
from .ops_moves import Ids, numbers
from .rows import apply, as_rows, combine, joined, op, ordered, text_dim
from .values import STATEFUL, TEXT, Node, Refused, Rows, alike


def of(name, *args):
    """A sum or product of two values."""
    return combine(name, *args, args[0].shape)


def less(a, b):
    return of("add", a, of("mul", b, -1.0))


def larger(a, b):
    return of("add", a, apply("relu", less(b, a)))


def size(x):
    return of("add", apply("relu", x), apply("relu", of("mul", x, -1.0)))


def alone():
    """1, as q and k of a recurrence that has one number a head."""
    return alike(1, 1), 1


def peak(x, decay):
    return Rows.like(Node("peak", [(ordered(x), 1), (ordered(decay), 1)], ordered(x).n), x)


def previous(x):
    node = ordered(x)
    return Rows.like(Node("previous", [(node, node.heads)], node.n, node.heads), x)


@op("earlier.default")
def _(t, x, n):
    """What the row n before has, of numbers that positions alone make: the same of positions less n."""
    return Rows.like(at_earlier(ordered(x), n), x)


def at_earlier(node, n):
    if node.op == "numbers" and node.attrs["ids"] == "positions":
        return Node("add", [(node, 1)], attrs={"number": -float(n)})
    if node.op in STATEFUL or node.attrs.get("ids"):
        raise Refused("numbers of an earlier row that depend on tokens")
    return Node(node.op, [(at_earlier(i, n), h) for i, h in node.inputs], node.n, node.heads, node.attrs, node.weights)


def summed(node, decay):
    """Each number a state of its own: decay times what it was, and node's."""
    return Node("scan", [alone(), alone(), (node, node.n), (decay, node.n)], node.n, node.n)


@op("recur.default")
def _(t, x, decay):
    """[1, text, d] both."""
    return Rows.of(summed(ordered(as_rows(x)), ordered(as_rows(decay).expand(x.shape))), t.shape)


def is_first(dims):
    """1 in the text's first row, else 0."""
    return apply("clamp", of("add", of("mul", numbers(Ids("positions", dims)), -1.0), 1.0), low=0.0, high=1.0)


def nothing_before():
    """[1, text, 1]: in the first row the logarithm of what was summed before the text, else 0."""
    return of("mul", is_first([[], [(text.ROWS, TEXT)], []]), -1e30)


@op("cummax.default", "cummin.default")
def _(t, x, dim):
    if dim % len(x.shape) != text_dim(x):
        raise Refused("the largest so far within a row")
    sign = 1.0 if t.name == "cummax.default" else -1.0
    each = Rows.of(ordered(of("mul", x, sign)), (1, text.ROWS, ordered(x).n))
    most = peak(each, as_rows(nothing_before()).expand(each.shape))
    return [Rows.like(ordered(of("mul", most, sign)), x), None]


@op("cumprod.default")
def _(t, x, dim, **_):
    if dim % len(x.shape) != text_dim(x):
        raise Refused("a running product within a row")
    each = Rows.of(ordered(x), (1, text.ROWS, ordered(x).n))
    begin = of("mul", each, is_first([[], [(text.ROWS, TEXT)], []]))
    return Rows.like(summed(ordered(begin), ordered(each)), x)


@op("logcumsumexp.default")
def _(t, x, dim):
    if dim % len(t.shape) != text_dim(x):
        raise Refused("a running sum within a row, by logarithms")
    n = ordered(x).n
    each = Rows.of(ordered(x), (1, text.ROWS, n))
    nothing = as_rows(nothing_before()).expand(each.shape)
    top = peak(each, nothing)
    ins = [less(each, top), less(combine("add", previous(top), nothing, each.shape), top)]
    sums = summed(*(ordered(apply("exp", i)) for i in ins))
    return Rows.like(ordered(of("add", apply("log", Rows.of(sums, each.shape)), top)), x)


@op("wkv.default")
def _(t, decay, first, k, v):
    """RWKV 4 (Peng et al. 2023): exp(k) and exp(k) v summed over the text and decayed, divided by a running maximum."""
    d = k.shape[-1]
    decay = decay.then(lambda w: -w.exp(), decay.shape, "minus exp")
    nothing = nothing_before()
    top = peak(k, combine("add", decay, nothing, k.shape))
    before = combine("add", previous(top), nothing, k.shape)
    column = lambda x: as_rows(x).view((1, text.ROWS, d, 1))
    weight = apply("exp", less(k, top))
    both = joined([column(of("mul", weight, v)), column(weight)], 3, (1, text.ROWS, d, 2))
    kept = apply("exp", less(combine("add", before, decay, k.shape), top))
    sums = Rows.of(Node("scan", [alone(), alone(), (ordered(both), d), (ordered(kept), d)], 2 * d, d,
                        {"order": "before"}), both.shape)
    own = combine("add", k, first, k.shape)
    most = larger(own, before)  # in this order: before may be as good as minus infinity
    old, new = apply("exp", less(before, most)), apply("exp", less(own, most))
    part = lambda i: of("mul", sums.narrow(3, i, 1).view(k.shape), old)
    return combine("div", of("add", part(0), of("mul", new, v)), of("add", part(1), new), t.shape)


@op("mlstm.default")
def _(t, q, k, v, i, f, eps):
    """xLSTM (Beck et al. 2024): q, k [1, h, text, dk], v [1, h, text, dv], i and f [1, h, text]."""
    h, dk, dv = v.shape[1], k.shape[-1], v.shape[-1]
    q, k, v, i, f = (x.permute([0, 2, 1, 3][:len(x.shape)]) for x in (q, k, v, i, f))
    kept = of("mul", apply("softplus", of("mul", f, -1.0)), -1.0)
    top = peak(i, kept)
    weight = apply("exp", less(i, top)).view((1, text.ROWS, h, 1))
    both = joined([of("mul", v, weight), weight], 3, (1, text.ROWS, h, dv + 1))
    decay = apply("exp", less(of("add", kept, previous(top)), top))
    ins = [(ordered(of("mul", q, dk ** -0.5)), h), (ordered(k), h), (ordered(both), h), (ordered(decay), h)]
    sums = Rows.of(Node("scan", ins, h * (dv + 1), h), both.shape)
    below = sums.narrow(3, dv, 1)
    least = apply("exp", of("mul", top, -1.0)).view(below.shape)
    below = of("add", larger(size(below), least), eps)
    return combine("div", sums.narrow(3, 0, dv), below, v.shape).permute([0, 2, 1, 3])
