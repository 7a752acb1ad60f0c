"""Loops over experts in Python: which rows chose an expert depends on the numbers, so a trace has all rows for each.

`torch.where(mask)` gives as many places as the text has; what is read there is each row's own, and what is put back is
put back where the mask holds (routed.py). How many rows there are is not asked for: no expert is passed over.
"""
import torch
from torch.overrides import TorchFunctionMode

from . import text
from .hooks import state_op

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
    tolist = squeeze = flatten = view = cpu = numpy = unique = itself

    def __getitem__(self, index):
        return super().__getitem__(index) if isinstance(index, int) else self

    def numel(self):
        return len(self)


def is_text(x):
    return isinstance(x, torch.Tensor) and x.dim() > 0 and list(x.shape).count(text.ROWS) == 1


def places(mask):
    return tuple(where(mask, dim) for dim in range(mask.dim()))


def where_(condition, *rest, **named):
    return places(condition) if is_text(condition) and not rest and not named else NotImplemented


def nonzero(x, *, as_tuple=False, **_):
    if is_text(x):
        return places(x) if as_tuple else torch.stack(places(x), -1)
    if max(x.shape, default=1) == x.numel():  # which experts were chosen: any may be
        return Numbers(Number(i) for i in range(x.numel()))
    return NotImplemented


def bincount(x, weights=None, minlength=0):
    return Numbers([Number(1)] * minlength) if minlength and x.numel() % text.ROWS == 0 else NotImplemented


def any_(x, *args, **named):
    return Number(1) if is_text(x) and not args and not named else NotImplemented


def by_mask(x, index):
    """x[mask] as x[places]."""
    several = isinstance(index, tuple)
    masks = [i for i in (index if several else (index,)) if is_text(i) and i.dtype == torch.bool]
    if len(masks) != 1 or (index[0] if several else index) is not masks[0]:
        return None
    return (*places(masks[0]), *(index[1:] if several else ()))


def get(x, index):
    by = by_mask(x, index)
    return NotImplemented if by is None else x[by]


def put(x, index, value):
    by = by_mask(x, index)
    if by is None:
        return NotImplemented
    x[by] = value
    return None


def split(x, sizes, dim=0):
    if isinstance(sizes, Numbers):
        raise NotImplementedError("rows that are sorted by their experts, and cut into as many as each has")
    return NotImplemented


def bilinear(a, b, weight, bias=None):
    """As a product with every pair of numbers."""
    pairs = (a[..., :, None] * b[..., None, :]).flatten(-2)
    return torch.nn.functional.linear(pairs, weight.flatten(1), bias)


RULES = {torch.split: split, torch.Tensor.split: split, torch.where: where_, torch.nonzero: nonzero,
         torch.Tensor.nonzero: nonzero, torch.bincount: bincount, torch.Tensor.bincount: bincount, torch.any: any_,
         torch.Tensor.any: any_, torch.Tensor.__getitem__: get, torch.Tensor.__setitem__: put,
         torch.nn.functional.bilinear: bilinear}


class Loops(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        rule = RULES.get(function)
        out = rule(*args, **(kwargs or {})) if rule else NotImplemented
        return function(*args, **(kwargs or {})) if out is NotImplemented else out


def moe_infer(self, x, topk_ids, topk_weight):
    """DeepSeek's own files sort rows by expert."""
    y = torch.zeros_like(x)
    for e, expert in enumerate(self.experts):
        rows, slots = torch.where(topk_ids == e)
        y.index_add_(0, rows, expert(x[rows]) * topk_weight[rows, slots, None].to(x.dtype))
    return y
