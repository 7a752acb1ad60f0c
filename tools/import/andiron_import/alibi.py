"""Biases of scores that are slope * place (Press et al. 2022), recognized by their numbers."""
import torch

from . import text
from .masks import FAR, hidden_by
from .patterns import scale_of
from .rows import as_rows, combine, joined, ordered
from .values import TEXT, Const, Fill, Node, Refused, Rows


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


def rise_of(bias, heads):
    """[heads] or [1], where bias [heads, text, text] rises evenly along the keys up to a row's own, whatever is
    learned; None: it does not."""
    if not isinstance(bias, Const) or bias.shape[-2:] != (text.ROWS, text.ROWS):
        return None
    square = lambda b: b.reshape(-1, text.ROWS, text.ROWS)
    said = square(bias.compute(Const.some)).double()
    slope = lambda b: square(b)[:, -1, -1] - square(b)[:, -1, -2]
    seen = (said >= FAR).tril()
    even = torch.isclose(said.diff(dim=-1), slope(said)[:, None, None], rtol=1e-3, atol=1e-5)
    even = (even | ~(seen[..., 1:] & seen[..., :-1])).all()
    told = even and len(said) in (1, heads) and hidden_by(bias) is not None
    return bias.then(slope, (len(said),), "slope") if told else None


def alibi_of(bias, heads):
    """The largest exponent of slopes that are powers of one number (Press et al. 2022), where bias is slope * place."""
    return exponent_of(slopes_in(bias, heads))


def rising(q, k, slopes, scale):
    """Queries and keys with two numbers more, whose product is slope * (key's place - query's)."""
    longer = lambda x: (*x.shape[:3], x.shape[3] + 2)
    slope = as_rows(slopes.then(lambda s: (s / scale).float().reshape(1, -1, 1, 1), (1, *slopes.shape, 1, 1),
                                f"by{scale}"))
    place = Rows(Node("numbers", attrs={"ids": "positions"}), [[], [], [(text.ROWS, TEXT)], []])
    wide = lambda x, *more: joined([x, *(as_rows(y).expand((*x.shape[:3], 1)) for y in more)], 3, longer(x))
    back = combine("mul", combine("mul", place, -1.0, place.shape), slope, (1, slope.shape[1], text.ROWS, 1))
    return wide(q, slope, back), wide(k, place, Fill(1.0, place.shape))


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
