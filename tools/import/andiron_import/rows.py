"""What handlers of torch's ops are made of: rows in order, and numbers with numbers where shapes are broadcast."""
import math

import torch

from . import position_tables, text
from .values import TEXT, Const, Fill, Node, Refused, Rows, alike, is_text, words_of

OPS = {}


def op(*names):
    def put(function):
        OPS.update(dict.fromkeys(names, function))
        return function
    return put


def wrapped(*names):
    """A handler that comes before the one of that name: it is given that one first."""
    def put(function):
        for name in names:
            OPS[name] = lambda t, *a, plain=OPS[name], **k: function(plain, t, *a, **k)
        return function
    return put


def make(op_name, inputs, n, shape, heads=1, attrs=None, weights=None):
    return Rows.of(Node(op_name, inputs, n, heads, attrs, weights), shape)


def per_row(shape):
    return math.prod(s // text.ROWS if s % text.ROWS == 0 else s for s in shape)


def text_dim(x):
    return next((i for i, d in enumerate(x.dims) if is_text(d)), None)


# ---- rows in order

def steps_of(axes):
    """At most three axes of one row, innermost first, as arrange takes them; axes that can be joined are."""
    axes = [a for a in axes if a[0] > 1] or [(1, 0)]
    return list(reversed(axes))


def ordered(x):
    """The node whose numbers are x's, in the order of its dimensions; in one module always the same."""
    if x.in_order():
        return x.node
    key = Node.place, x.start, tuple(x.features())
    if key not in x.node.orders:
        x.node.orders[key] = put_in_order(x)
    return x.node.orders[key]


def put_in_order(x):
    axes, start, node = steps_of(x.features()), x.start, x.node
    n = math.prod(size for size, _ in axes)
    if node.n == 1:  # one number for all
        axes = [(n, 0)]
    if len(axes) == 1 and axes[0][1] == 1:
        return Node("slice", [(node, 1)], n, 1, {"start": start, "n": n})
    if len(axes) == 2 and axes[0][1] == 1 and node.n == axes[1][0] * axes[1][1] and start + axes[0][0] <= axes[1][1]:
        return Node("slice", [(node, axes[1][0])], n, axes[1][0], {"start": start, "n": axes[0][0]})
    while len(axes) > 3:  # the outermost: one part after another
        size, step = axes.pop()
        inner = [(s, st) for s, st in reversed(axes)]
        part = lambda i: ordered(Rows(node, [inner], start + i * step))
        out = part(0)
        for i in range(1, size):
            more = part(i)
            out = Node("concat", [(out, 1), (more, 1)], out.n + more.n)
        return out
    attrs = {"start": start}
    for i, (size, step) in enumerate(axes):
        attrs |= {f"n{i}": size, f"step{i}": step}
    return Node("arrange", [(node, 1)], n, n // axes[0][0], attrs)


def as_rows(x):
    """A value as rows: constants become nodes."""
    if isinstance(x, Rows):
        return x
    if isinstance(x, Const):
        n = math.prod(x.shape)
        if text.ROWS in x.shape:
            return position_tables.table_of(x)
        return Rows.of(Node("constant", n=n, weights={"weight": (x.then(lambda t: t.reshape(-1), (n,), "flat"), None)}),
                       x.shape)
    if isinstance(x, Fill):
        one = Rows(alike(1, x.number), [[] for _ in x.shape])
        return one.expand(x.shape)
    raise Refused(f"{words_of(x)} where numbers are read")


def number_of(x):
    """A Python number, where x is one number for all."""
    if isinstance(x, (int, float, bool)):
        return float(x)
    if isinstance(x, Fill):
        return x.number
    if isinstance(x, Const) and math.prod(x.shape) == 1 and not x.parameters:
        return float(x.known())
    return None


# ---- numbers with numbers

BIG = 3e38  # near enough to infinity
COMMUTES = {"add", "mul"}


def unary(name, x, **attrs):
    node = ordered(x)
    return Node(name, [(node, node.heads)], node.n, node.heads, attrs)


def is_same(x, y):
    return x.node is y.node and x.start == y.start and x.dims == y.dims


def without_copies(*rows):
    """Rows of one shape, of dimensions that repeat the same numbers in all of them the first place alone."""
    once = lambda i: all(stride == 0 for r in rows for _, stride in r.dims[i])
    return [Rows(r.node, [[] if once(i) else d for i, d in enumerate(r.dims)], r.start) for r in rows]


def of_one_copy(x, make_node):
    """x's shape of what a node gives that is made of x without the axes that repeat the same numbers."""
    is_copy = lambda axis: axis[1] is not TEXT and axis[1] == 0
    one = Rows(x.node, [[a for a in d if not is_copy(a)] for d in x.dims], x.start)
    made = Rows.like(make_node(one), one)
    again = lambda d, axes: [a if is_copy(a) else axes.pop(0) for a in d]
    return Rows(made.node, [again(d, list(axes)) for d, axes in zip(x.dims, made.dims)])


def apply(name, x, **attrs):
    return of_one_copy(as_rows(x), lambda one: unary(name, one, **attrs))


def broadcast(a, b):
    return tuple(torch.broadcast_shapes(a, b))


def split_axes(a, b):
    """The two lists of axes of rows of one shape, cut where either is cut."""
    a, b, out = list(a), list(b), []
    while a and b:
        (n, s), (m, t) = a.pop(), b.pop()  # innermost first
        k = math.gcd(n, m) if n != m else n
        if n % k or m % k or k == 1 and n != m:
            raise Refused("two tensors whose rows are cut in ways that do not meet")
        if n > k:
            a.append((n // k, s * k))
        if m > k:
            b.append((m // k, t * k))
        out.append((k, s, t))
    return list(reversed(out))


def raw_axes(x):
    return [a for d in x.dims for a in d if a[1] is not TEXT]


def b_as_seen(x, b):
    """How b [broadcast to x's shape] enters an op with x in order: (node, heads of x, heads of b)."""
    n = per_row(x.shape)
    axes = split_axes([(n, 1)] if n > 1 else [], raw_axes(b)) if n > 1 else []
    varies = [i for i, (_, _, t) in enumerate(axes) if t]
    if not varies:
        kept = Rows(b.node, [[]], b.start)
        return ordered(kept), 1, 1
    first, last = varies[0], varies[-1]
    inner = math.prod(k for k, _, _ in axes[last + 1:])
    outer = math.prod(k for k, _, _ in axes[:first])
    kept = Rows(b.node, [[(k, t) for k, _, t in axes[first:last + 1]]], b.start)
    node = ordered(kept)
    if inner == 1:
        return (node, n // node.n, 1) if outer > 1 else (node, None, None)
    if outer == 1:
        return node, node.n, node.n  # a number for each head
    return ordered(b), None, None


def binary(name, a, b):
    shape = broadcast(a.shape, b.shape)
    a, b = without_copies(a.expand(shape), b.expand(shape))
    full = lambda x: all(t for _, t in raw_axes(x))
    if name in COMMUTES and not full(a) and full(b):
        a, b = b, a
    x = ordered(a)
    node, heads, seen = b_as_seen(Rows.like(Node("", n=x.n), a), b)
    if heads is None:
        heads = seen = x.heads
    return Rows.like(Node(name, [(x, heads), (node, seen)], x.n, heads), a).expand(shape)


def spread(x, shape):
    """x, which what was put to it may have made wider."""
    if shape is None or not isinstance(x, (Rows, Const)) or math.prod(x.shape) == math.prod(shape):
        return x
    return as_rows(x).expand(shape)


def combine(name, a, b, shape):
    """add, mul or div of rows, constants and numbers."""
    x, y = number_of(a), number_of(b)
    if x is not None and y is not None:
        shape = () if shape is None else shape
        return Fill({"add": x + y, "mul": x * y, "div": x / y if y else math.inf}[name], shape)
    if y is not None:
        if name == "mul" and y == 0:
            return Fill(0.0, shape)
        return spread(a, shape) if y == (name != "add") else apply(name, a, number=y).expand(shape)
    if x is not None:
        if name == "div":
            return reciprocal(b, x)
        return combine(name, b, a, shape)
    inverse = lambda v: isinstance(v, Rows) and v.in_order() and v.node.op == "inverse"
    if name == "mul" and (inverse(a) or inverse(b)):
        over, of = (b, a) if inverse(b) else (a, b)
        (below, _), by = over.node.inputs[0], over.node.attrs["number"]
        quotient = divide_by_root(as_rows(of), Rows(below, over.dims), shape)
        return quotient if by == 1 else apply("mul", quotient, number=by)
    if name == "mul":
        weighted = norm_with(a, b) or norm_with(b, a)
        if weighted:
            return weighted
    return binary(name, as_rows(a), as_rows(b))


def norm_with(x, weight):
    """A norm of each row with no weight yet, times a weight."""
    if not isinstance(weight, Const) or not isinstance(x, Rows) or not x.in_order() or x.node.op != "rmsnorm":
        return None
    node, n = x.node, math.prod(weight.shape)
    if node.weights or x.node.n // node.heads != n or not weight.shape or weight.shape[-1] != n or x.shape[-1] != n:
        return None
    flat = weight.then(lambda w: w.reshape(-1), (n,), "flat") if len(weight.shape) > 1 else weight
    return Rows.of(Node("rmsnorm", node.inputs, node.n, node.heads, node.attrs,
                        {"weight": (flat, None)}), x.shape)


def reciprocal(x, by=1.0):
    x = as_rows(x)
    node = ordered(x)
    return Rows.like(Node("inverse", [(node, node.heads)], node.n, node.heads, {"number": by}), x)


def divide_by_root(x, below, shape):
    """x / below; where below is the root of the mean of x's squares, that is an RMS norm."""
    b = below.node
    if b.op == "sqrt" and b.inputs[0][0].op == "add" and "number" in b.inputs[0][0].attrs:
        plus = b.inputs[0][0]
        mean = plus.inputs[0][0]
        by = mean.attrs.get("number") if mean.op == "mul" else None
        total = mean.inputs[0][0] if by else None
        node = ordered(x)
        if total is not None and total.op == "sum" and abs(by * (node.n // total.n) - 1) < 1e-6:
            square = total.inputs[0][0]
            if square.op == "mul" and [i for i, _ in square.inputs] == [node, node]:
                eps = {"eps": plus.attrs["number"]}
                return Rows.of(Node("rmsnorm", [(node, total.n)], node.n, total.n, eps), shape)
    return binary("div", x, below)


def joined(parts, dim, shape):
    parts = [as_rows(p) for p in parts if math.prod(p.shape)]
    if len(parts) == 1:
        return parts[0]
    outer = per_row(shape[:dim])
    nodes = [ordered(p) for p in parts]
    if outer == 1 and all(n.op == "constant" for n in nodes):
        n, each = sum(n.n for n in nodes), [n.weights["weight"][0] for n in nodes]
        return Rows.of(Node("constant", n=n, weights={"weight": (Const.op(torch.cat, (each,), {}, (n,), None), None)}),
                       shape)
    node = nodes[0]
    for more in nodes[1:]:
        node = Node("concat", [(node, outer), (more, outer)], node.n + more.n, outer)
    return Rows.of(node, shape)
