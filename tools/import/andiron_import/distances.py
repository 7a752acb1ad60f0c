"""Biases of scores that a distance alone decides, whatever of it is computed: a number for each distance."""
import torch

from . import text
from .rows import as_rows, ordered
from .values import Const, Refused

TRIED = 3  # so many lengths of the trace are looked at before the weights are at hand


def along(square):
    """Of [heads, text, text] what distances have, from the farthest key ahead to the farthest behind."""
    return torch.cat([square[:, 0, 1:].flip(-1), square[:, :, 0]], -1)


def alike(a, b):
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)


def of_keys(bias, heads, load, ahead, behind):
    """[heads, text]: of keys so much farther behind, or ahead, than `ahead`; masks may change what others have."""
    n, places = text.ROWS, torch.arange(text.ROWS)
    with Const.queries_ahead(ahead if behind else -ahead):
        square = bias.compute(load).float().expand(*bias.shape[:-3], heads, n, n).reshape(heads, n, n)
    square = square if behind else square.mT
    out = square[:, :, 0]
    if not alike(square.tril(), out[:, (places[:, None] - places[None]).clamp(min=0)].tril()):
        raise Refused("attention with a bias that distances alone do not decide, but the places themselves")
    return out


def one_side(bias, heads, load, most, behind):
    """[heads, most + 1]: of all keys behind, or ahead, as queries are moved away from them by half a text at a time."""
    step, out = (text.ROWS - 1) // 2, None
    for ahead in range(0, most + 1, step):
        each = of_keys(bias, heads, load, ahead, behind)
        if out is not None and not alike(each[:, :text.ROWS - step], out[:, ahead:]):
            raise Refused("attention with a bias that distances alone do not decide, beyond the traced text")
        out = each if out is None else torch.cat([out[:, :ahead], each], -1)
    return out[:, :most + 1]


def table_of(bias, heads, both):
    """((rows of [heads, distances], heads), which of them a distance from -m to m has), for the longest text."""
    most = text.CONTEXT - 1
    if most < 1:
        raise Refused("attention with a bias for each distance, in a model whose configuration names no longest text")

    def each(load, most):
        back = one_side(bias, heads, load, most, True)
        return torch.cat([one_side(bias, heads, load, most, False)[:, 1:].flip(-1), back], -1) if both else back
    each(lambda name: Const.some(name).abs(), min(most, TRIED * text.ROWS))
    shape = (heads, most + 1 + both * most)
    table = Const(shape, f"distances{shape}({bias.key})", lambda load: each(load, most), bias.parameters, bias.learned)
    at = torch.arange(-most, most + 1)
    at = at + most if both else at.clamp(min=0)
    return (ordered(as_rows(table)), heads), Const.literal(at.float())


def are_beyond(nodes):
    """Is anything told of more distances than the trace has?"""
    return any(n.weights["near_at"][0].shape[0] > 2 * text.ROWS for n in nodes if "near_at" in n.weights)
