"""Attention that a model writes out: q . k, what is done to the scores, softmax and the product with v: one attend."""
import torch

from . import indexer, text
from .fuse import scale_of
from .ops_layers import own_heads, relative_of, sight
from .ops_moves import Ids
from .rows import OPS, as_rows, combine, joined, number_of, op, ordered, per_row, text_dim
from .values import TEXT, Aside, Const, Mask, Node, Refused, Rows

FAR = -9e3  # a score below is one of a place that is not seen


KEYS = 1 << 40  # the stride of the keys' text in a layout


class Scores:
    """scale * q . k and what followed. q, k: [1, heads, text, d] as rows; layout: where the heads and both texts stand
    among the dimensions of the scores, as the strides of rows that nobody has made."""

    def __init__(self, q, k, layout, **of):
        self.q, self.k, self.layout, self.shape = q, k, layout, layout.shape
        self.scale, self.cap, self.words, self.alibi, self.bias = 1.0, 0.0, (), 0.0, None
        self.exp = self.summed = False
        self.__dict__.update(of)

    def permute(self, order):
        return self.but(layout=self.layout.permute(order))

    def view(self, shape):
        return self.but(layout=self.layout.view(shape))

    def but(self, **of):
        mine = {k: v for k, v in self.__dict__.items() if k not in ("q", "k", "shape", "layout")}
        return Scores(self.q, self.k, of.pop("layout", self.layout), **(mine | of))


def is_scores(a, b):
    """[.., text, d] times [.., d, text]; or [.., text, heads, d] times [.., 1, d, text]."""
    both = isinstance(a, Rows) and isinstance(b, Rows)
    at = text_dim(a) if both else None
    return both and text_dim(b) == len(b.dims) - 1 and at is not None and (
        at == len(a.dims) - 2 or at == len(a.dims) - 3 and per_row(b.shape[:-2]) == 1)


def heads_of(x, dims):
    """x as [1, heads, text, d]: the axes of those dimensions but the text are the heads, the outermost first."""
    axes = [a for i in dims for a in x.dims[i] if a[1] is not TEXT]
    return Rows(x.node, [[], axes, [(text.ROWS, TEXT)], x.dims[-1]], x.start)


def begin(a, b):
    """a [.., queries, d] times b [.., d, keys]; heads may stand in one dimension with the queries."""
    keys = b.permute([*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2])
    lead, by = [*range(len(a.dims) - 2)], [*range(len(b.dims) - 2)]
    fewer = next((i for i in by if a.shape[i] != b.shape[i]), len(by))
    if len(a.dims) != len(b.dims) or any(b.shape[i] != 1 for i in by[fewer:]):  # heads that are not neighbours
        wide = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, keys = a.expand((*wide, *a.shape[-2:])), keys.expand((*wide, *keys.shape[-2:]))
        lead = by = [*range(len(wide))]
    q, k = heads_of(a, [*lead, len(a.dims) - 2]), heads_of(keys, by)
    return Scores(q, k, layout_of(a, q.shape[1]))


def layout_of(a, heads):
    """The queries' dimensions but the last, and one for the keys."""
    dims, stride = [], heads
    for d in a.dims[:-1]:
        dims.append([])
        for size, step in d:
            stride = stride if step is TEXT else stride // size
            dims[-1].append((size, TEXT if step is TEXT else stride))
    return Rows(None, [*dims, [(text.ROWS, KEYS)]])


def words_of(mask):
    """A square of known truths in words, or None: causal, perhaps with a window."""
    known = mask.known() if isinstance(mask, Const) else None
    if known is None or known.shape[-1] != text.ROWS or known.numel() != text.ROWS * text.ROWS:
        return None
    seen = known.reshape(text.ROWS, text.ROWS)
    if seen.dtype != torch.bool and not (seen < FAR).any() and not ((seen == 0) | (seen == 1)).all():
        return None
    if seen.dtype != torch.bool:
        seen = seen > FAR if (seen < FAR).any() else seen > 0.5
    n = int(seen[-1].sum())
    q, k = torch.arange(text.ROWS)[:, None], torch.arange(text.ROWS)[None]
    if torch.equal(seen, (k <= q) & (k > q - n)):
        return ("causal",) if n == text.ROWS else ("causal", f"sliding({n})")
    return None


def slopes_in(bias, heads):
    """Of a bias that is slope * place."""
    node, by = scale_of(ordered(bias))
    if node.op != "mul" or len(node.inputs) != 2:
        raise Refused("attention with a bias that is no ALiBi")
    ops = {n.op: n for n, _ in node.inputs}
    if set(ops) != {"constant", "numbers"} or ops["numbers"].attrs["ids"] != "positions":
        raise Refused("attention with a bias that is no ALiBi")
    slopes = ops["constant"].weights["weight"][0].known()
    if slopes is None or slopes.numel() != heads:
        raise Refused("attention with slopes that are learned")
    return slopes.reshape(-1) * by


def alibi_of(bias, heads):
    """The largest exponent of slopes that are powers of one number (Press et al. 2022), where bias is slope * place."""
    return exponent_of(slopes_in(bias, heads))


def rising(q, k, slopes, scale):
    """Queries and keys with a number more, whose product is slope * place: softmax sees only differences of those."""
    longer = lambda x: (*x.shape[:3], x.shape[3] + 1)
    slope = as_rows(Const.literal((slopes / scale).float().reshape(1, -1, 1, 1)))
    place = Rows(Node("numbers", attrs={"ids": "positions"}), [[], [], [(text.ROWS, TEXT)], []])
    column = lambda x, y: joined([x, y.expand((*x.shape[:3], 1))], 3, longer(x))
    return column(q, slope), column(k, place)


def exponent_of(slopes):
    heads = len(slopes)
    power = 2 ** (heads - 1).bit_length() if heads & (heads - 1) else heads
    if power != heads:
        power //= 2
    largest = float(-torch.log2(slopes[0].double())) * power
    want = [2.0 ** (-largest * (i + 1) / power) if i < power else 2.0 ** (-largest / 2 * (2 * (i - power) + 1) / power)
            for i in range(heads)]
    if not torch.allclose(slopes.double(), torch.tensor(want, dtype=torch.float64), rtol=1e-4):
        raise Refused("attention with slopes that are not ALiBi's")
    return largest


def slopes_of(bias, heads):
    """Of known numbers [heads, 1, text] that rise evenly along the text."""
    known = bias.known() if isinstance(bias, Const) else None
    if known is None or known.shape[-1] != text.ROWS or known.numel() != heads * text.ROWS:
        return None
    rise = known.reshape(heads, text.ROWS).double().diff(dim=-1)
    return rise[:, 0] if torch.allclose(rise, rise[:, :1].expand_as(rise), atol=1e-5) else None


def added(s, x):
    slopes = slopes_of(x, s.q.shape[1])
    if slopes is not None:
        return s.but(alibi=exponent_of(slopes))
    if isinstance(x, Mask):
        s = s if x.bias is None else added(s, x.bias)
        return s.but(words=s.words + tuple(x.words.split("&")))
    if number_of(x) is not None:
        return s  # softmax does not see it
    words = words_of(x)
    if words:
        return s.but(words=s.words + words)
    if isinstance(x, Const) and x.learned and s.bias is None:
        return s.but(bias=x)
    return s.but(alibi=alibi_of(as_rows(x), s.q.shape[1]))


def times(s, by):
    words = words_of(by)  # by 0 where a place is not seen; what is added next keeps it out of the sum
    if words:
        return s.but(words=s.words + words)
    by = number_of(by)
    if by is None or s.words or s.alibi or s.bias or s.cap:
        raise Refused("scores that are scaled after a mask or by what is no number")
    return s.but(scale=s.scale * by)


def masked(s, mask):
    words = tuple(mask.words.split("&")) if isinstance(mask, Mask) else words_of(mask)
    if not words:
        raise Refused("a mask of scores that has no words")
    return s.but(words=s.words + words)


def finished(s, v, shape):
    if not s.summed:
        raise Refused("scores that no softmax has seen, times values")
    if s.layout.dims[-1] != [(text.ROWS, KEYS)] or text_dim(v) != len(v.dims) - 2:
        raise Refused("scores times values in another order than that of their places")
    v = heads_of(v, range(len(v.dims) - 2))
    attrs = {"scale": s.scale, "cap": s.cap, "alibi": s.alibi} | sight(set(s.words))
    k, v = own_heads(s.k, v)
    ins = [(ordered(x), x.shape[1]) for x in (s.q, k, v)]
    both, d = attrs.get("sees") == "all", v.shape[3]
    weights = {"relative": (relative_of(s.bias, s.q.shape[1], both), None)} if s.bias else {}
    node = Node("attend", ins, s.q.shape[1] * d, s.q.shape[1], attrs, weights)
    in_head = lambda axes: [(size, stride if stride is TEXT else stride * d) for size, stride in axes]
    return Rows(node, [*map(in_head, s.layout.dims[:-1]), [(d, 1)]]).view(shape)


def exponentials(name, args):
    """A softmax that is written out: exp(s), perhaps less the largest, by its sum."""
    s, other = args[0], args[1] if len(args) > 1 else None
    if name in ("amax.default", "max.dim", "sum.dim_IntList"):
        of_exp = name == "sum.dim_IntList"
        dims = other if isinstance(other, (list, tuple)) else [other]
        if s.exp != of_exp or s.summed or [s.layout.dims[d] for d in dims] != [[(text.ROWS, KEYS)]]:
            raise Refused("a sum of scores, or the largest of them, over other dimensions than the keys")
        return [Over(s), None] if name == "max.dim" else Over(s)
    if name == "exp.default":
        return s.but(exp=True)
    if name in ("sub.Tensor", "div.Tensor") and isinstance(other, Over) and s.exp == (name == "div.Tensor"):
        return s.but(summed=s.exp, exp=False)
    return None


class Over(Aside):
    """The largest of the scores, or their sum, that a softmax would find."""

    def __init__(self, of):
        self.of = of


MOVES = {"view.default", "_unsafe_view.default", "reshape.default", "expand.default", "unsqueeze.default",
         "squeeze.dim", "squeeze.default", "permute.default", "transpose.int", "unflatten.int", "flatten.using_ints"}
KEEPS = {"to.dtype", "_to_copy.default", "dropout.default", "type_as.default", "clone.default", "contiguous.default",
         "alias.default", "to.dtype_layout", "detach.default", "nan_to_num.default"}


def step(at, name, args, kwargs):
    """An op that reads scores."""
    if any(isinstance(a, indexer.Relevance) for a in args):
        return indexer.step(at, name, args)
    if name == "einsum.default":
        return OPS[name](at, *args)
    s, by_hand = args[0], exponentials(name, args)
    if by_hand is not None:
        return by_hand
    if name in KEEPS:
        return s
    if name in MOVES:
        return s.but(layout=OPS[name](at, s.layout, *args[1:]))
    if name in ("max.other", "maximum.default") and number_of(args[1]) is not None and number_of(args[1]) < FAR:
        return s  # what a mask has put there is as far away
    if name == "add.Tensor":
        return added(*args[:2]) if isinstance(s, Scores) else added(args[1], s)
    if name in ("mul.Tensor", "mul.Scalar"):
        return times(s, args[1]) if isinstance(s, Scores) else times(args[1], s)
    if name in ("div.Tensor", "div.Scalar"):
        return times(s, 1 / number_of(args[1]))
    if name == "relu.default" and s.scale > 0 and not s.words and not s.alibi and not s.cap:
        return indexer.Relevance(s.q, s.k, at.shape)
    if name == "tanh.default":
        return s.but(cap=1.0)
    if name in ("softmax.int", "_softmax.default"):
        return s.but(summed=True)
    if name in ("masked_fill.Scalar", "masked_fill.Tensor"):
        if number_of(args[1]) == 0:
            return s  # nothing is kept out
        if isinstance(args[1], Const):
            args[1] = args[1].then(torch.logical_not, args[1].shape, "not")
        elif not getattr(args[1], "hidden", False):
            raise Refused("scores masked where they are seen")
        return masked(s, args[1])
    if name in ("where.self", "where.ScalarOther") and isinstance(args[1], Scores):
        return masked(args[1], s)
    if name in ("matmul.default", "bmm.default"):
        return finished(s, args[1], at.shape)
    raise Refused(f"torch's {name} of scores")


def products(name):
    plain = OPS[name]

    def run(t, *args, **more):
        if is_scores(*args[:2]):
            return begin(*args[:2])
        return plain(t, *args, **more)
    OPS[name] = run


for _name in ("matmul.default", "bmm.default"):
    products(_name)


@op("baddbmm.default")
def _(t, bias, a, b, beta=1, alpha=1):
    if is_scores(a, b):
        s = begin(a, b).but(scale=float(alpha))
        return s if beta == 0 else added(s, bias)
    y = combine("mul", OPS["bmm.default"](t, a, b), float(alpha), t.shape)
    return y if beta == 0 else combine("add", y, combine("mul", as_rows(bias), float(beta), bias.shape), t.shape)


@op("scaled_dot_product_attention.default")
def _(t, q, k, v, mask=None, dropout=0.0, causal=False, scale=None, enable_gqa=False):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if mask is not None and not isinstance(mask, Mask):
        words = words_of(mask)
        if not words:
            raise Refused("attention with a mask that is computed")
        mask = Mask("&".join(words), mask.shape)
    if mask is not None and mask.bias is not None:
        q, k = rising(q, k, slopes_in(mask.bias, q.shape[1]), scale)
        mask = Mask(mask.words, mask.shape)
    return OPS["attend.default"](t, q, k, v, mask, None, None, scale, 0.0, causal).permute([0, 2, 1, 3])


@op("cumsum.default")
def _(t, x, dim, **_):
    """Ones summed along the text: places, counted from 1."""
    if number_of(x) == 1 and t.shape[dim] == text.ROWS:
        return Ids("positions", Rows(Node("numbers"), [[] for _ in t.shape]).expand(t.shape).dims, 1)
    raise Refused("a running sum along the text")
