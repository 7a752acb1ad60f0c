"""Loops over experts in Python: which rows chose an expert depends on the numbers, so a trace has all rows for each.

`torch.where(mask)` gives as many places as the text has; what is read there is each row's own, and what is put back is
put back where the mask holds (routed.py). How many rows there are is not asked for: no expert is passed over.
"""
import torch
from torch.overrides import TorchFunctionMode

from . import hooks_sorted, text
from .hooks_sorted import Number, Numbers, where
from .values import Refused

def is_text(x):
    return isinstance(x, torch.Tensor) and x.dim() > 0 and list(x.shape).count(text.ROWS) == 1


def places(mask):
    return tuple(where(mask, dim) for dim in range(mask.dim()))


def where_(condition, *rest, **named):
    return places(condition) if is_text(condition) and not rest and not named else NotImplemented


def nonzero(x, *, as_tuple=False, **_):
    if is_text(x):
        return places(x) if as_tuple else torch.stack(places(x), -1)
    if any(n > text.ROWS and n % text.ROWS == 0 for n in x.shape):
        raise Refused("parts of the text's rows that choose their experts apart")
    if max(x.shape, default=1) == x.numel():  # which experts were chosen: any may be
        return Numbers(Number(i) for i in range(x.numel()))
    return NotImplemented


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


def bilinear(a, b, weight, bias=None):
    """As a product with every pair of numbers."""
    pairs = (a[..., :, None] * b[..., None, :]).flatten(-2)
    return torch.nn.functional.linear(pairs, weight.flatten(1), bias)


RULES = {torch.where: where_, torch.nonzero: nonzero, torch.Tensor.nonzero: nonzero, torch.any: any_,
         torch.Tensor.any: any_, torch.Tensor.__getitem__: get, torch.Tensor.__setitem__: put,
         torch.nn.functional.bilinear: bilinear}



class Loops(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = hooks_sorted.handled(function, args, kwargs)
        if out is not NotImplemented:
            return out
        out = RULES[function](*args, **kwargs) if function in RULES else NotImplemented
        out = function(*args, **kwargs) if out is NotImplemented else out
        return hooks_sorted.remembered(function, args, kwargs, out)
