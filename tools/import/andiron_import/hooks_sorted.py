"""Rows sorted by their experts, and cut into as many as each has, told as the loops of hooks_loops.py.

`argsort` of the experts that rows chose gives their slots in order. What is made of those, slot by slot, remembers how
it would be made of one expert's rows alone. Each expert is said to have one row: a cut from e to e + 1 asks for those
of expert e. Tensors are marked: choices, of so many experts; slots; expert, rows: those of one.
"""
import torch
from torch.utils._pytree import tree_leaves, tree_map

from . import text
from .hooks import state_op

slot = state_op("slot(Tensor mask) -> Tensor", lambda mask: mask.new_empty([text.ROWS], dtype=torch.long))
where = state_op("where(Tensor mask, int dim) -> Tensor",
                 lambda mask, dim: mask.new_empty([text.ROWS], dtype=torch.long))


class Number(int):
    """A known number where a model expects a tensor of one."""

    def itself(self, *_, **__):
        return self
    item = tolist = squeeze = flatten = cpu = long = to = __getitem__ = itself


class Numbers(list):
    """The same of a row of them."""

    def itself(self, *_, **__):
        return self
    tolist = squeeze = flatten = view = cpu = numpy = unique = int = long = to = itself

    def __getitem__(self, index):
        return super().__getitem__(index) if isinstance(index, int) else self

    def numel(self):
        return len(self)

    @classmethod
    def __torch_function__(cls, *_, **__):  # torch takes them for a tensor; what it may be asked is in RULES
        return NotImplemented

    def cumsum(self, *_, **__):
        return Numbers(Number(i + 1) for i in range(len(self)))


def ones(n):
    return Numbers([Number(1)] * n)


class Slots:
    """chosen [text, k]: the experts; of(e): the same of expert e's rows; n: how many there are, 0: nothing says; back:
    in the text's order again."""

    def __init__(self, chosen, of, n=0, back=False):
        self.chosen, self.of, self.n, self.back = chosen, of, n, back

    def but(self, **of):
        return Slots(**(self.__dict__ | of))

    def weighed(self, weights):
        """Times a number of each slot."""
        if weights.numel() != self.chosen.numel():
            raise NotImplementedError("rows sorted by their experts, times others than a number of each slot")
        by = weights.reshape(self.chosen.shape)
        at = lambda mask: (where(mask, 0), where(mask, 1))
        return self.but(of=lambda e: self.of(e) * by[at(self.chosen == e)][:, None])

    def sum(self):
        """Of each row's slots."""
        first = self.of(0)
        y = first.new_zeros([text.ROWS, *first.shape[1:]])
        for e in range(self.n):
            y = y.index_add(0, where(self.chosen == e, 0), self.of(e))
        return y


def mark(x, **of):
    vars(x).update(of)
    return x


def said(x, name):
    return getattr(x, name, None) if isinstance(x, torch.Tensor) else None


def topk(function, x, k, dim=-1, *args, **named):
    out = function(x, k, dim, *args, **named)
    mark(out[1], choices=x.shape[dim])
    return out


def bincount(function, x, weights=None, minlength=0):
    n = max(minlength, said(x, "choices") or 0)
    return ones(n) if n and x.numel() % text.ROWS == 0 else NotImplemented


def histc(function, x, bins=100, *_, **__):
    return ones(bins) if said(x, "choices") == bins else NotImplemented


def counts(function, x, *_, **__):
    return ones(x.numel()) if x.dim() == 1 and said(x, "choices") == x.numel() else NotImplemented


def cumsum(function, x, *args, **named):
    return x.cumsum() if isinstance(x, Numbers) else NotImplemented


def argsort(function, x, *args, **named):
    if not said(x, "choices") or x.dim() != 1 or x.numel() % text.ROWS:
        return NotImplemented
    out = function(x, *args, **named)
    order, chosen = out if isinstance(out, torch.Tensor) else out[1], x.view(text.ROWS, -1)
    known = {"takes_back": True} if said(x, "slots") else {"slots": Slots(chosen, lambda e: slot(chosen == e))}
    mark(order, choices=x.choices, **known)
    return out


def part(x, e):
    """Those of one expert."""
    slots = said(x, "slots")
    y = slots.of(e)
    return mark(y, expert=e, chosen=slots.chosen, rows=y)


def get(function, x, index):
    """Those of the expert whose rows a slice asks for; or all in the text's order again."""
    slots, first = said(x, "slots"), index[0] if isinstance(index, tuple) else index
    if slots and said(first, "takes_back"):
        return mark(function(x, index), slots=slots.but(back=True))
    asks = slots and isinstance(first, slice) and isinstance(first.stop, int)
    return part(x, first.start or 0) if asks and first.stop - (first.start or 0) == 1 else NotImplemented


def put(function, x, index, value):
    """x[order] = value"""
    if not said(index, "slots"):
        return NotImplemented
    slots = said(value, "slots")
    mark(x, **({"slots": slots.but(back=True)} if slots else {"takes_back": True}))
    return None


def split(function, x, sizes, dim=0):
    return [part(x, e) for e in range(len(sizes))] if isinstance(sizes, Numbers) else NotImplemented


def cat(function, parts, *_, **__):
    """Each expert's rows, one after another."""
    parts = list(parts)
    if not parts or [said(p, "expert") for p in parts] != list(range(len(parts))):
        return NotImplemented
    chosen = said(parts[0], "chosen")
    whole = parts[0].new_zeros([chosen.numel(), *parts[0].shape[1:]])
    return mark(whole, slots=Slots(chosen, parts.__getitem__, len(parts)))


def grouped(function, x, weight, *_, **__):
    slots = said(x, "slots")
    if not slots:
        return NotImplemented
    whole = x.new_zeros([x.shape[0], weight.shape[-1]])
    return mark(whole, slots=slots.but(of=lambda e: slots.of(e) @ weight[e], n=len(weight)))


def index_add(function, x, dim, index, value, *args, **named):
    """Sorted rows, expert by expert."""
    slots, places = said(value, "slots"), said(index, "slots")
    if not slots or not places or slots.back:
        return NotImplemented
    for e in range(slots.n):
        x = function(x, dim, places.of(e), slots.of(e), *args, **named)
    return x


def scatter_add(function, x, dim, index, value, *_, **__):
    """At one row's place in all of its numbers."""
    rows = said(index, "rows")
    return NotImplemented if rows is None or dim else x.index_add_(0, rows, value)


def method(name):
    return getattr(torch.Tensor, name)


RULES = {torch.topk: topk, method("topk"): topk, torch.bincount: bincount, method("bincount"): bincount,
         torch.histc: histc, method("histc"): histc, method("numpy"): counts, method("tolist"): counts,
         torch.cumsum: cumsum, torch.argsort: argsort, method("argsort"): argsort, torch.sort: argsort,
         method("sort"): argsort, method("__getitem__"): get, method("__setitem__"): put, torch.split: split,
         method("split"): split, torch.cat: cat, torch._grouped_mm: grouped, method("index_add_"): index_add,
         method("index_add"): index_add, torch.index_add: index_add, method("scatter_add_"): scatter_add,
         method("scatter_reduce_"): scatter_add}
SHAPES = ("view", "reshape", "unflatten", "unsqueeze")
TIMES = ("mul", "mul_", "__mul__", "__rmul__")


def handled(function, args, kwargs):
    """NotImplemented: it is no function of these."""
    rule = RULES.get(function)
    return rule(function, *args, **kwargs) if rule else NotImplemented


def in_text_order(function, x, args, out):
    """What the function makes of slots that stand in the text's order."""
    slots, name = x.slots, getattr(function, "__name__", "")
    if name == "sum":
        return slots.sum()
    if name in TIMES:
        return mark(out, slots=slots.weighed(next(a for a in args if a is not x)))
    return mark(out, slots=slots) if name in SHAPES or out.shape == x.shape else out


def remembered(function, args, kwargs, out):
    """out, with the marks that it has of what it is made of."""
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    of = lambda name: next((x for x in given if said(x, name) is not None), None)
    if isinstance(out, (tuple, list)) and given:
        for i, x in enumerate(out):
            remembered(lambda *a, i=i, **k: function(*a, **k)[i], args, kwargs, x)
    if not isinstance(out, torch.Tensor):
        return out
    choices, one, slots = of("choices"), of("expert"), of("slots")
    if choices is not None:
        mark(out, choices=choices.choices)
    if one is not None:
        rows = {"rows": one.rows} if not out.is_floating_point() else {}
        mark(out, expert=one.expert, chosen=one.chosen, **rows)
    if slots is None:
        return out
    if slots.slots.back:
        return in_text_order(function, slots, args, out)
    held = tree_map(lambda x: said(x, "slots") or x, (args, kwargs))

    def replayed(e):
        args, kwargs = tree_map(lambda x: x.of(e) if isinstance(x, Slots) else x, held)
        return function(*args, **kwargs)
    return mark(out, slots=slots.slots.but(of=replayed, n=max(x.slots.n for x in given if said(x, "slots"))))
