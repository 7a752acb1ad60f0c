"""What a model computes of whole numbers alone, tokens or places of the largest: a table of all that it can be."""
import torch

from .ops_moves import Ids
from .rows import combine, number_of, wrapped
from .values import Const, Fill, Node, Refused, Rows

ALIKE = {"eq.Scalar", "ne.Scalar", "lt.Scalar", "le.Scalar", "gt.Scalar", "ge.Scalar", "eq.Tensor", "ne.Tensor",
         "lt.Tensor", "le.Tensor", "gt.Tensor", "ge.Tensor", "where.self", "where.ScalarOther", "where.ScalarSelf",
         "masked_fill.Scalar", "masked_fill.Tensor", "add.Tensor", "sub.Tensor", "mul.Tensor", "remainder.Scalar",
         "floor_divide.default", "div.Tensor_mode", "clamp.default", "minimum.default", "maximum.default",
         "bitwise_and.Tensor", "bitwise_or.Tensor", "bitwise_xor.Tensor", "__xor__.Tensor", "bitwise_not.default",
         "__rshift__.Scalar", "__lshift__.Scalar", "__and__.Scalar", "bitwise_and.Scalar", "bitwise_xor.Scalar",
         "logical_and.default", "logical_or.default", "logical_not.default", "to.dtype", "_to_copy.default"}


class Whole(Rows):
    """function(v) for each whole number v below n that the source gives; the source None: the tokens."""

    def __init__(self, x, source, n, function):
        self.source, self.n, self.function = source, n, function
        self.table = function(torch.arange(n))
        numbers = Const.literal(self.table.float())
        if source is None:
            column = numbers.then(lambda c: c[:, None], (n, 1), "column")
            node = Node("embed", attrs={"ids": "tokens"}, weights={"weight": (column, None)})
        else:
            known = Node("constant", n=n, weights={"weight": (numbers, None)})
            node = Node("pick", [(known, 1), (source, 1)], source.n)
        super().__init__(node, x.dims, x.start)

    def turned(self, order):
        """With its dimensions in another order."""
        return Whole(self.permute(order), self.source, self.n, self.function)


def whole(x, n_tokens):
    """x as such a value, if it is one."""
    if isinstance(x, Whole):
        return x
    if isinstance(x, Ids):
        one = x.source == "tokens" and n_tokens
        return Whole(x, None, n_tokens, lambda v: v + x.plus) if one else None
    if isinstance(x, Rows) and x.node.op == "top":
        return Whole(x, x.node, x.node.inputs[0][0].n, lambda v: v)
    return None


def computed(at, target, args, kwargs, n_tokens):
    """A whole number or a truth that is computed of one such value, number by number; None: it is none."""
    found = [whole(a, n_tokens) for a in args]
    given = [w for w in found if w]
    if not given or at.dtype is None or at.dtype.is_floating_point:
        return None
    first = given[0]
    if at.name not in ALIKE or any(w.source is not first.source or w.dims != first.dims for w in given):
        return None
    if any(not w and isinstance(a, (Rows, Const)) and number_of(a) is None for w, a in zip(found, args)):
        return None
    plain = lambda a: torch.tensor(a.number).long() if isinstance(a, Fill) else a
    known = [a.known() if isinstance(a, Const) else plain(a) for a in args]
    run = lambda v: target(*[w.function(v) if w else k for w, k in zip(found, known)], **kwargs)
    out = Whole(first, first.source, first.n, run)
    if not torch.equal(out.table, torch.arange(first.n)):
        return out
    if first.source is None:
        return Ids("tokens", first.dims)
    x = args[found.index(first)]  # which may know more of the same places: Routes
    return x if isinstance(x, Rows) and x.node is first.source else Rows(first.source, first.dims, first.start)


def moved(x, y):
    """y, which is x, perhaps seen in another shape."""
    same = isinstance(x, Whole) and isinstance(y, Rows) and y.node is x.node
    return Whole(y, x.source, x.n, x.function) if same else y


@wrapped("embedding.default")
def _(plain, t, weight, ids, *more):
    if not isinstance(ids, Whole) or not isinstance(weight, Const) or ids.source is not None:
        return plain(t, weight, ids, *more)
    table, n = ids.table, ids.n
    read = weight.then(lambda w: w[table], (n, weight.shape[1]), f"at{hash(tuple(table.tolist()))}")
    return Rows.of(Node("embed", [], weight.shape[1], 1, {"ids": "tokens"}, {"weight": (read, None)}), t.shape)


@wrapped("index.Tensor")
def _(plain, t, x, places):
    """Experts of each token, x [tokens, n]: the places of the largest of numbers that say which comes when."""
    known = x.known() if isinstance(x, Const) and len(x.shape) == 2 else None
    by_token = known is not None and not known.is_floating_point() and isinstance(places[0], Ids) and len(places) == 1
    if not by_token or places[0].source != "tokens" or places[0].plus:
        return plain(t, x, places)
    return Routes(known, t.shape)


class Routes(Rows):
    """The experts that a table has for each token; one that stands there twice counts twice, in its first place."""

    def __init__(self, known, shape):
        n, n_experts = known.shape[1], max(int(known.max()) + 1, known.shape[1])
        slots = torch.nn.functional.one_hot(known, n_experts)
        ranks = (slots * torch.arange(n + 1, 1, -1)[:, None]).amax(1)
        table = lambda x: Node("embed", [], n_experts, 1, {"ids": "tokens"},
                               {"weight": (Const.literal(x.float()), None)})
        self.times = table(slots.sum(1))
        place = Node("top", [(table(ranks), 1)], n, 1, {"n": n})
        super().__init__(place, Rows.of(place, shape).dims)


@wrapped("gather.default")
def _(plain, t, x, dim, places):
    y = plain(t, x, dim, places)
    if not isinstance(places, Routes):
        return y
    times = Node("pick", [(places.times, 1), (places.node, 1)], places.node.n)
    return combine("mul", y, Rows.of(times, t.shape), t.shape)


@wrapped("expert_linear.default")
def _(plain, t, x, places, weight, bias, transposed):
    if isinstance(places, Whole):  # an expert for each place
        table, n = places.table, places.n
        of = lambda w: w and w.then(lambda e: e[table], (n, *w.shape[1:]), f"at{tuple(table.tolist())}")
        places, weight, bias = Rows(places.source, places.dims, places.start), of(weight), of(bias)
    return plain(t, x, places, weight, bias, transposed)
