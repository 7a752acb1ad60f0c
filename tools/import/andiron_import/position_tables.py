"""What is known of each place of the text: a table, read at positions."""
import math

import torch

from . import text
from .values import Complex, Const, Node, Refused, Rows


def grown(const):
    """The same tensor for the longest text that it can be made for; None: it is made for the traced one alone."""
    made_by = const.made_by
    if text.ROWS not in const.shape:
        return const
    if made_by is None:
        return None
    target, args, kwargs, tag = made_by
    name = target._schema.name if hasattr(target, "_schema") else ""
    if name == "aten::slice" and cut_to_text(const, args):
        return grown(args[0])
    inner = [grown(a) for a in args if isinstance(a, Const)]
    sizes = {length(new, old) for new, old in zip(inner, (a for a in args if isinstance(a, Const))) if new}
    if None in inner or len(sizes - {None}) != 1:
        return None
    n, consts = (sizes - {None}).pop(), iter(inner)
    longer = [next(consts) if isinstance(a, Const) else for_text(a, n) for a in args]
    shape = tuple(s // text.ROWS * n if s % text.ROWS == 0 else s for s in const.shape)
    return Const.op(target, longer, kwargs, shape, tag)


def cut_to_text(const, args):
    """Is it the beginning of a tensor that is longer than the text?"""
    dims = [i for i, (s, whole) in enumerate(zip(const.shape, args[0].shape)) if s != whole]
    return len(dims) == 1 and const.shape[dims[0]] == text.ROWS and (len(args) < 3 or args[2] in (None, 0))


def length(new, old):
    return next((n for n, s in zip(new.shape, old.shape) if s == text.ROWS), None)


def for_text(a, n):
    if isinstance(a, (list, tuple)):
        return [for_text(x, n) for x in a]
    return n if type(a) is int and a == text.ROWS else a


def table_of(const):
    """Rows that positions pick; its text stands in one dimension."""
    at = [i for i, s in enumerate(const.shape) if s == text.ROWS]
    whole = grown(const) if len(at) == 1 else None
    if whole is None:
        raise Refused(f"a tensor {const.shape} that differs from place to place in the text and is computed of nothing")
    n, shape = whole.shape[at[0]], (text.ROWS, *const.shape[:at[0]], *const.shape[at[0] + 1:])
    table = whole.then(lambda w: w.movedim(at[0], 0).reshape(n, -1), (n, math.prod(shape[1:])), "places")
    node = Node("embed", [], table.shape[1], 1, {"ids": "positions"}, {"weight": (table, None)})
    order = [*range(1, at[0] + 1), 0, *range(at[0] + 1, len(shape))]
    return Rows.of(node, shape).permute(order)


def parts_of(const):
    """Complex numbers that are known, as two tensors."""
    return Complex(*[Const.op(part, (const,), {}, const.shape, None) for part in (torch.real, torch.imag)])
