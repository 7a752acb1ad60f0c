"""What layers consist of: products, tables, experts, what runs along the text, attention."""
import math

import torch

from . import distances, indexer, position_tables, text
from .ops_largest import rows_at, tops
from .ops_moves import Ids
from .ops_numbers import last, summed
from .rows import BIG, apply, as_rows, combine, joined, make, number_of, of_one_copy, op, ordered, per_row
from .values import Const, Fill, Mask, Node, Refused, Rows

# ---- products

def product(x, weight, bias, shape):
    """Each row of x's last dimension with weight [out, in]."""
    outs, ins = weight.shape
    node, n = last(x)
    if outs < n and bias is None:
        return by_columns(x, weight, shape)
    parts = [node] if n == 1 else [Node("slice", [(node, 1)], ins, 1, {"start": i * ins, "n": ins}) for i in range(n)]
    out = None
    for part in parts:
        y = Node("linear", [(part, part.heads)], outs, 1, {}, {"weight": (weight, bias)})
        out = y if out is None else Node("concat", [(out, 1), (y, 1)], out.n + outs)
    return Rows.of(out, shape)


def by_columns(x, weight, shape):
    """The same for few outputs of many rows: each is a sum of x's columns, as many numbers of weight tell."""
    (outs, ins), n = weight.shape, len(x.dims)
    columns = ordered(x.permute([n - 1, *range(n - 1)]))
    def one(i):
        by = weight.then(lambda w: w[i], (ins,), f"row{i}")
        return Rows.of(Node("mix", [(columns, ins), (ordered(as_rows(by)), 1)], columns.n // ins), (*shape[:-1], 1))
    return joined([one(i) for i in range(outs)], n - 1, shape)


def head_product(x, weight, shape):
    """x [heads.., text, in] with a matrix [heads.., in, out] for each head."""
    n = math.prod(weight.shape[:-2])
    ins, outs = weight.shape[-2:]
    if math.prod(s for s in x.shape[:-1] if s != text.ROWS) != n:
        raise Refused(f"a product of tensors {x.shape} and {weight.shape}")
    matrix = weight.then(lambda w: w.reshape(n, ins, outs).transpose(1, 2), (n, outs, ins), "by head")
    node = Node("head_linear", [(ordered(x), n)], n * outs, n, {}, {"weight": (matrix, None)})
    return Rows.of(node, shape)


@op("linear.default")
def _(t, x, weight, bias=None):
    return product(as_rows(x), weight, bias, t.shape)


@op("addmm.default")
def _(t, bias, x, weight):
    return product(as_rows(x), weight.then(lambda w: w.t(), weight.shape[::-1], "t"), bias, t.shape)


@op("mm.default", "matmul.default", "bmm.default", "mv.default")
def _(t, a, b):
    if a.shape[-1] == 1 and Const in (type(a), type(b)) and len(a.shape) > 1 < len(b.shape):
        return combine("mul", a, b, t.shape)
    if isinstance(b, Const) and len(b.shape) == 1:
        return product(as_rows(a), b.then(lambda w: w[None], (1, *b.shape), "row"), None, (*t.shape, 1)).view(t.shape)
    if isinstance(a, Rows) and isinstance(b, Const) and math.prod(b.shape[:-2]) == 1:
        return product(a, b.then(lambda w: w.reshape(w.shape[-2:]).t(), b.shape[:-3:-1], "t"), None, t.shape)
    if isinstance(a, Const) and isinstance(b, Rows) and len(a.shape) == 2:  # W x: the columns are rows of the text
        order = [*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2]
        y = b.permute(order)
        return product(y, a, None, (*y.shape[:-1], a.shape[0])).permute(order)
    if isinstance(a, Rows) and isinstance(b, Const):
        return head_product(a, b, t.shape)
    if isinstance(b, Rows) and isinstance(a, Const):
        last_two = lambda n: [*range(n - 2), n - 1, n - 2]
        order, turned = last_two(len(b.dims)), last_two(len(a.shape))
        columns = a.then(lambda w: w.transpose(-1, -2), [a.shape[i] for i in turned], "t")
        return head_product(b.permute(order), columns, [t.shape[i] for i in order]).permute(order)
    return mixed(as_rows(a), as_rows(b), t.shape)


def mixed(a, b, shape):
    """A product of two matrices that each row of the text has: one, two, ... columns of the smaller mix the other."""
    last_two = lambda x: x.permute([*range(len(x.dims) - 2), len(x.dims) - 1, len(x.dims) - 2])
    m, k, n = a.shape[-2], *b.shape[-2:]
    if text.ROWS in (m, k, n):
        raise Refused(f"a product of {a.shape} and {b.shape} that both depend on the text, outside of attention")
    if m < n:
        return last_two(mixed(last_two(b), last_two(a), (*shape[:-2], n, m)))
    if per_row(a.shape) != m * k or per_row(b.shape) != k * n:  # several of them in a row
        column = lambda j: last_two(b.narrow(len(b.dims) - 1, j, 1))
        parts = [summed(combine("mul", a, column(j), (*shape[:-2], m, k)), [len(shape) - 1]) for j in range(n)]
        return joined(parts, len(shape) - 1, shape)
    columns = [Node("mix", [(ordered(last_two(a)), k), (ordered(b.narrow(len(b.dims) - 1, j, 1)), 1)], m)
               for j in range(n)]
    return last_two(joined([Rows.of(c, (*shape[:-2], 1, m)) for c in columns], len(shape) - 2, (*shape[:-2], n, m)))


@op("embedding.default")
def _(t, weight, ids, *_):
    if isinstance(ids, Ids):
        weight = ids.source == "positions" and position_tables.grown(weight) or weight
        table = weight if ids.plus == 0 else weight.then(lambda w: w[ids.plus:], (weight.shape[0] - ids.plus,
                                                                                  weight.shape[1]), f"from{ids.plus}")
        return make("embed", [], weight.shape[1], t.shape, attrs={"ids": ids.source}, weights={"weight": (table, None)})
    if isinstance(ids, Const):
        return Const.op(torch.ops.aten.embedding.default, (weight, ids), {}, t.shape, None)
    if isinstance(ids, Fill):
        n = int(ids.number)
        return as_rows(weight.then(lambda w: w[n], (*[1] * (len(t.shape) - 1), t.shape[-1]), f"row{n}")).expand(t.shape)
    return Rows.of(rows_at(weight, ordered(ids)), t.shape)


@op("conv1d.default", "convolution.default")
def _(t, x, weight, bias=None, stride=(1,), padding=(0,), dilation=(1,), *more):
    """x [1, d, text] with [out, d / groups, 1]: a product at each place."""
    groups, (outs, ins, taps, *wide) = more[-1] if more else 1, weight.shape
    if taps != 1 or wide or len(x.shape) != 3:
        raise Refused("a convolution along the text")
    if groups == 1:
        matrix = weight.then(lambda w: w[..., 0], (outs, ins), "taps")
        return product(x.permute([0, 2, 1]), matrix, bias, (1, text.ROWS, outs)).permute([0, 2, 1])
    matrix = weight.then(lambda w: w.reshape(groups, -1, ins), (groups, outs // groups, ins), "by group")
    node = Node("head_linear", [(ordered(x.permute([0, 2, 1])), groups)], outs, groups, {}, {"weight": (matrix, None)})
    y = Rows.of(node, (1, text.ROWS, outs)).permute([0, 2, 1])
    column = bias and bias.then(lambda b: b.reshape(outs, 1), (outs, 1), "column")
    return combine("add", y, column, t.shape) if bias else y


@op("ngrams.default")
def _(t, ids, table, multipliers, sizes, offsets, end, n_tokens):
    """ids [1, text], table [rows, d]; of the hashes; the token that ends a text."""
    multipliers, sizes, offsets = (tuple(c.known().tolist()) for c in (multipliers, sizes, offsets))
    if not isinstance(ids, Ids) or ids.source != "tokens" or ids.plus:
        raise Refused("n-grams of other numbers than tokens")
    if min(multipliers) < 0 or max(multipliers) * n_tokens >= 1 << 63:
        raise Refused("hashes of n-grams that may have a sign")
    attrs = {"multipliers": multipliers, "sizes": sizes, "offsets": offsets, "end": end}
    n = len(sizes) * table.shape[1]
    return Rows.of(Node("ngrams", [], n, len(sizes), attrs, {"weight": (table, None)}), t.shape)


# ---- choosing experts

@op("expert_linear.default")
def _(t, x, places, weight, bias, transposed):
    """x [text, d] for all of a row's places, or [text, n, d]."""
    if transposed:
        e, i, o = weight.shape
        weight = weight.then(lambda w: w.transpose(1, 2), (e, o, i), "t")
    at, parts = 0, []
    for top in tops(ordered(places)):
        own = x if len(x.shape) == 2 else x.narrow(1, at, top.n)
        node = Node("experts", [(ordered(own), 1 if len(x.shape) == 2 else top.n), (top, 1)], top.n * weight.shape[1],
                    top.n, {}, {"weight": (weight, bias)})
        parts.append(Rows.of(node, (t.shape[0], top.n, weight.shape[1])))
        at += top.n
    return joined(parts, 1, t.shape)


@op("mix.default")
def _(t, y, weights):
    """y [text, n, d] with weights [text, n]."""
    n = y.shape[1]
    return Rows.of(Node("mix", [(ordered(y), n), (ordered(weights), 1)], t.shape[-1]), t.shape)


# ---- along the text

@op("conv.default")
def _(t, x, weight, bias):
    """x [1, d, text]; weight [d, taps]."""
    d, taps = weight.shape[0], weight.shape[-1]
    matrix = weight.then(lambda w: w.reshape(d, taps), (d, taps), "v")
    node = Node("conv", [(ordered(x), 1)], d, 1, {}, {"weight": (matrix, bias)})
    return Rows.of(node, t.shape)


def unit(x, eps):
    """[1, text, h, d]: x / sqrt(mean of squares + eps)."""
    def normed(one):
        node, h = ordered(one), one.shape[2]
        return Node("rmsnorm", [(node, h)], node.n, h, {"eps": eps})
    return of_one_copy(x, normed)


def per_head(x, h):
    """[1, text, fewer heads, d], each head as often as makes h."""
    fewer, d = x.shape[2:]
    return x.view((1, text.ROWS, fewer, 1, d)).expand((1, text.ROWS, fewer, h // fewer, d)).view((1, text.ROWS, h, d))


@op("delta.default")
def _(t, q, k, v, g, beta, normed_):
    """q, k [1, text, h, dk], v [1, text, h, dv], g [1, text, h] or [1, text, h, dk], beta [1, text, h]."""
    h, dk = v.shape[2], k.shape[-1]
    q, k, scale = per_head(q, h), per_head(k, h), dk ** -0.5
    if normed_:
        q, k, scale = unit(q, 1e-6 / dk), apply("mul", unit(k, 1e-6 / dk), number=scale), 1 / dk
    q = apply("mul", q, number=scale)
    decay = apply("exp", g if len(g.shape) == 4 else g.view([*g.shape, 1]))
    beta = beta.view([*beta.shape, 1])
    a = combine("mul", k, decay, k.shape)
    b = combine("mul", combine("mul", k, beta, k.shape), -1.0, k.shape)
    ins = [(ordered(q), q.shape[2]), (ordered(k), k.shape[2]), (ordered(combine("mul", v, beta, v.shape)), h),
           (ordered(decay), h), (ordered(a), h), (ordered(b), h)]
    return Rows.of(Node("scan", ins, h * v.shape[3], h), t.shape)


@op("faded_sum.default")
def _(t, q, k, v, decay):
    """q, k [1, text, h, dk], v [1, text, h, dv], decay [h], which no row changes."""
    h = v.shape[2]
    ins = [(ordered(x), h) for x in (q, k, v, as_rows(decay))]
    return Rows.of(Node("scan", ins, h * v.shape[3], h), t.shape)


@op("ssm2.default")
def _(t, x, dt, A, B, C, D, dt_bias, softplus, low, high):
    """Mamba 2 (Dao and Gu 2024). x [1, text, h, p], dt [1, text, h], A [h], B and C [1, text, g, n], D [h]."""
    h = x.shape[2]
    dt = dt if dt_bias is None else combine("add", dt, dt_bias, dt.shape)
    dt = apply("softplus", dt) if softplus else dt
    if low > 0 or high < BIG:
        dt = apply("clamp", dt, low=low, high=min(high, BIG))
    decay = apply("exp", combine("mul", dt, A, dt.shape))
    v = combine("mul", x, dt.view([*dt.shape, 1]), x.shape)
    ins = [(ordered(C), C.shape[2]), (ordered(B), B.shape[2]), (ordered(v), h), (ordered(decay), h)]
    y = Rows.of(Node("scan", ins, ordered(x).n, h), t.shape)
    if D is None:
        return y
    column = lambda d: d.then(lambda w: w.reshape(h, -1)[:, :1], (h, 1), "column")
    return combine("add", y, combine("mul", x, column(D), x.shape), t.shape)


@op("ssm1.default")
def _(t, x, dt, A, B, C, D, z, bias, softplus):
    """Mamba (Gu and Dao 2023). x and dt [1, d, text], A [d, n], B and C [1, n, text], D [d]."""
    d, n = A.shape
    column = lambda c: c.then(lambda w: w.reshape(d, 1), (d, 1), "column")
    dt = dt if bias is None else combine("add", dt, column(bias), dt.shape)
    dt = apply("softplus", dt) if softplus else dt
    ins = [(ordered(v), 1) for v in (x, dt, B, C)]
    y = Rows.of(Node("selective_scan", ins, d, 1, {}, {"A": (A, None)}), t.shape)
    if D is not None:
        y = combine("add", y, combine("mul", x, column(D), x.shape), t.shape)
    return y if z is None else combine("mul", y, apply("silu", z), t.shape)


# ---- attention

@op("mask.default")
def _(t, q, kv, words):
    return Mask(words, t.shape)


def sight(words):
    """attend's arguments for what a mask says in words."""
    attrs = {}
    for word in words - {"causal", "full"}:
        kind, _, n = word.rstrip(")").partition("(")
        style = {"sliding": "back", "chunked": "chunks", "middle": "middle", "begin": None}[kind]
        attrs |= {"window": int(n), "window_style": style} if style else {"begin": int(n)}
    return attrs if "causal" in words else attrs | {"sees": "all"}


MOST_BUCKETS = 1024


def buckets(n, both):
    """T5's bucket of each distance, key less query, of a square of places, as attend's `relative` has them."""
    half = n // 2 if both else n
    exact = half // 2
    distance = torch.arange(text.ROWS)[None] - torch.arange(text.ROWS)[:, None]
    far = distance.abs() if both else (-distance).clamp(min=0)
    wide = exact + (far.clamp(min=1) / exact).double().log() * (half - exact) / math.log(128 / exact)
    near = torch.where(far < exact, far, wide.long().clamp(max=half - 1))
    return near + (half * (distance > 0) if both else 0)


def relative_of(bias, heads, both):
    """The table [buckets, heads] where a bias [1, heads, text, text] is looked up by distance as T5 does it."""
    said = looked_up(bias, heads)
    n = int(said[0].max()) + 1
    seen = torch.ones(text.ROWS, text.ROWS).bool() if both else torch.ones(text.ROWS, text.ROWS).tril().bool()
    want = buckets(n, both) + MOST_BUCKETS * torch.arange(heads)[:, None, None]
    if n < 4 or not (said == want)[:, seen].all():
        return None
    return Const.parameter(bias.parameters[0], (n, heads))


def is_table(bias, heads):
    """Is it made of one parameter [buckets, heads]?"""
    return len(bias.parameters) == 1 and Const.shapes[bias.parameters[0]][1:] == (heads,)


def looked_up(bias, heads):
    """[heads, text, text]: which number of a table [buckets, heads] a bias of that shape is."""
    probe = torch.arange(MOST_BUCKETS)[:, None] + float(MOST_BUCKETS) * torch.arange(heads)[None]
    return bias.compute(lambda _: probe).reshape(heads, text.ROWS, text.ROWS)


def near_of(bias, heads):
    """Where distances pick a bias from a table, and all from some on the last of it: how much nearer ones differ from
    that, which is all that softmax sees: (rows of [heads, distances], heads); None: they do not."""
    said, n = looked_up(bias, heads), text.ROWS
    of, rows = said[0, -1].flip(0).long(), Const.shapes[bias.parameters[0]][0]
    away = (torch.arange(n)[:, None] - torch.arange(n)[None]).clamp(min=0)
    want = of[away] + MOST_BUCKETS * torch.arange(heads)[:, None, None]
    some = int((of != of[-1]).nonzero().max()) + 1 if (of != of[-1]).any() else 1
    if of[-1] != rows - 1 or some > n - 2 or not torch.equal(said.tril(), want.float().tril()):
        return None
    table = Const.parameter(bias.parameters[0], (rows, heads))
    each = table.then(lambda w: (w[of[:some]] - w[rows - 1]).t(), (heads, some), f"near{some}")
    return ordered(as_rows(each)), heads


def around_of(bias, heads):
    """(rows of [heads, 2 m + 1], heads), which of them a distance from -m to m has: a bias that is a distance's alone,
    and the same for all from some on; None: it is not."""
    n, places = text.ROWS, torch.arange(text.ROWS)
    some = bias.compute(Const.some).reshape(heads, n, n)
    each = distances.along(some)
    far = torch.cat([each[:, :1].expand(heads, n), each[:, -1:].expand(heads, n - 1)], -1)
    near = (each != far).any(0).nonzero()
    most = int((near - n + 1).abs().max()) + 1 if len(near) else 1
    if most > n - 2 or not torch.equal(some, each[:, places[:, None] - places[None] + n - 1]):
        return None
    nearest = lambda w: distances.along(w.reshape(heads, n, n))[:, n - 1 - most:n + most]
    table = bias.then(nearest, (heads, 2 * most + 1), f"around{most}")
    return (ordered(as_rows(table)), heads), Const.literal(torch.arange(2 * most + 1).float())


def distance_bias(bias, heads, both):
    """(inputs, weights) of an attend with a bias for each distance."""
    if not isinstance(bias, Const) or bias.shape[-2:] != (text.ROWS, text.ROWS):
        raise Refused("attention with a bias for each place")
    each = bias.shape[-3:-2] == (heads,)
    table = each and is_table(bias, heads)
    relative = relative_of(bias, heads, both) if table else None
    if relative:
        return [], {"relative": (relative, None)}
    near = near_of(bias, heads) if table and not both else None
    if near:
        return [near], {}
    rows, at = (around_of(bias, heads) if each and both else None) or distances.table_of(bias, heads, both)
    return [rows], {"near_at": (at, None)}


def own_heads(k, v):
    """Keys and values [1, heads, text, d] without heads that repeat the one before, as often in both."""
    def repeats(x):
        axes, n = list(x.dims[1]), 1
        while axes and axes[-1][1] == 0:
            n *= axes.pop()[0]
        return n
    n = math.gcd(repeats(k), repeats(v))
    heads = k.shape[1] // n
    return [x if n == 1 else x.view((1, heads, n, *x.shape[2:])).narrow(2, 0, 1).view((1, heads, *x.shape[2:]))
            for x in (k, v)]


@op("attend.default")
def _(t, q, k, v, mask, sinks, bias, scale, cap, causal, indices=None, most=0):
    if mask is not None and number_of(mask) == 0:  # nothing is kept out
        mask, causal = None, False
    words = set((mask.words if isinstance(mask, Mask) else "causal" if causal else "full").split("&"))
    if mask is not None and not isinstance(mask, Mask):
        raise Refused("attention with a mask that is computed")
    if mask is not None and mask.bias is not None:
        if bias is not None or not isinstance(mask.bias, Const):
            raise Refused("attention with a bias for each place")
        bias = mask.bias
    attrs = {"scale": scale, "cap": cap} | sight(words)
    heads = lambda x: (ordered(x), x.shape[1])
    weights = {"sinks": (sinks.then(lambda s: s.reshape(-1), (q.shape[1],), "flat"), None)} if sinks is not None else {}
    near = []
    if bias is not None and number_of(bias) is None:
        near, more = distance_bias(bias, q.shape[1], "causal" not in words)
        weights |= more
    n, (k, v) = q.shape[1] * v.shape[3], own_heads(k, v)
    only = [] if indices is None else [indexer.only(indices, most)]
    attrs |= {"only_span": node.attrs["span"] for node, _ in only if "span" in node.attrs}
    node = Node("attend", [heads(q), heads(k), heads(v), *only, *near], n, q.shape[1], attrs, weights)
    return Rows.of(node, (1, text.ROWS, q.shape[1], v.shape[3]))
