"""Rotations (Su et al. 2021) that a model writes out, as rope: by their numbers, whatever their writing."""
import torch

from .patterns import is_part, of, scale_of, times
from .values import Const, Node

STILL = 1e30  # a factor of numbers that are not turned


def rows_back(node):
    """k where the node is positions - k, a whole number from 0 on, or None."""
    if of(node, "add", 1):
        k = -node.attrs["number"]
        return k if rows_back(node.inputs[0][0]) == 0 and k >= 0 and k == int(k) else None
    return 0 if node.op == "numbers" and node.attrs == {"ids": "positions"} else None


def half_of(node):
    """The row that the node is twice, or None."""
    return node.inputs[0][0] if of(node, "concat", 2) and node.inputs[0][0] is node.inputs[1][0] else None


def angles_of(node, op):
    """(angles, m) where the node is m * op(angles), twice, or None."""
    whole, by = scale_of(node)
    inner, more = scale_of(half_of(whole) or whole)
    if inner.op != op:
        return None
    half = inner.inputs[0][0] if inner is not whole else half_of(inner.inputs[0][0])
    return half and (half, by * more)


def frequencies(angles):
    """(the [d / 2] frequencies, k) where the node is (positions - k) * frequencies, or None."""
    half, by = scale_of(angles)
    pair = times(half, lambda n: n.op == "constant", lambda n: rows_back(n) is not None)
    known = pair and pair[0].weights["weight"][0].known()
    return None if known is None else (known.reshape(-1).double() * by, rows_back(pair[1]))


def turned_by(node):
    """(v, heads, start, half) where the node is a part of v turned a quarter, its halves as coordinates: (-second,
    first)."""
    if not of(node, "concat", 2):
        return None
    (minus, _), (first, _) = node.inputs
    second, by = scale_of(minus)
    if by != -1 or second.op != "slice" or first.op != "slice" or second.inputs != first.inputs:
        return None
    v, heads = first.inputs[0]
    start, half = first.attrs["start"], first.attrs["n"]
    return (v, heads, start, half) if second.attrs == {"start": start + half, "n": half} else None


def base_of(f):
    """The base whose powers the frequencies are, and the factors that divide those where they are not."""
    half = len(f)
    powers = lambda base: base ** (-torch.arange(half, dtype=torch.float64) / half)
    if half > 1 and (f > 0).all():
        exact = float(f[-1] / f[0]) ** (-half / (half - 1))
        for base in (float(f"{exact:.{digits}g}") for digits in (6, 9)):
            if torch.allclose(f, powers(base), rtol=1e-6, atol=0):
                return base, None
    base = 10000.0
    return base, torch.where(f != 0, powers(base) / f, STILL)


def other_of(node, x):
    return next(n for n, _ in node.inputs if n is not x)


# ---- neighbours as coordinates

def twice(node):
    """(row, n) where the node has its n numbers twice each, perhaps for each of some heads, or None."""
    n = node.attrs.get("n1", 1)
    each = {"start": 0, "n0": 2, "step0": 0} | ({"n1": n, "step1": 1} if n > 1 else {})
    if node.op != "arrange" or node.attrs not in (each, each | {"n2": node.attrs.get("n2"), "step2": 0}):
        return None
    row = node.inputs[0][0]
    return row if row.n == n else half_of(row), n


def angles_of_pairs(node, op):
    """(angles, m) where the node is m * op(angles), each twice, or None."""
    whole, by = scale_of(node)
    row = whole.inputs[0][0] if whole.op in ("arrange", op) else None
    if whole.op == op and twice(row):
        return twice(row)[0] and (twice(row)[0], by)
    if row is None or not twice(whole):
        return None
    inner, more = scale_of(row)
    n, angles = twice(whole)[1], inner.inputs[0][0] if inner.op == op else None
    half = angles and (angles if angles.n == n else half_of(angles))
    return half and half.n == n and (half, by * more) or None


def turned_pairs(node):
    """As turned_by, of pairs of neighbours: (-second, first) of each; heads that are turned whole are one."""
    if not of(node, "concat", 2) or 2 * node.inputs[0][1] != node.n:
        return None
    (minus, _), (first, _) = node.inputs
    second, by = scale_of(minus)
    if by != -1 or second.op != "arrange" or first.op != "arrange" or second.inputs != first.inputs:
        return None
    at, v = first.attrs, first.inputs[0][0]
    heads = at.get("n1", 1)
    every = {"start": at["start"], "n0": at["n0"], "step0": 2} | (
        {"n1": heads, "step1": v.n // heads} if heads > 1 else {})
    if at != every or second.attrs != at | {"start": at["start"] + 1}:
        return None
    return v, heads, at["start"], at["n0"]


STYLES = {"halves": (turned_by, angles_of), "pairs": (turned_pairs, angles_of_pairs)}


# ---- both coordinates written out: a * cos - b * sin, b * cos + a * sin

def is_sine(turn):
    """False: a cosine; None: neither. Of angles, or of a table of positions."""
    if turn.op in ("cos", "sin"):
        return turn.op == "sin"
    known = turn.weights["weight"][0].known() if turn.op == "embed" and turn.attrs["ids"] == "positions" else None
    return None if known is None or known.dim() != 2 or len(known) < 2 else not known[0].any()


def turned_part(node):
    """[cosine, sine], each (row, m, turn), where the node is the sum of both m * row * turn; or None."""
    found = {}
    for term, _ in node.inputs if of(node, "add", 2) else ():
        inner, by = scale_of(term)
        for (a, _), (b, _) in (inner.inputs, reversed(inner.inputs)) if of(inner, "mul", 2) else ():
            (row, first), (turn, second) = scale_of(a), scale_of(b)
            if is_sine(turn) is not None:
                found[is_sine(turn)] = row, by * first * second, turn
    return [found[False], found[True]] if len(found) == 2 else None


def turns(cos, sin):
    """(frequencies, rows back, m) where they are m * cos and sin of (positions - back) * frequencies, or None."""
    if cos.op != "embed" or sin.op != "embed":
        found = frequencies(cos.inputs[0][0]) if cos.inputs and cos.inputs == sin.inputs else None
        return found and (*found, 1.0)
    table = torch.complex(*[n.weights["weight"][0].known().double() for n in (cos, sin)])
    f, m = table[1].angle(), float(table[0].abs().mean())
    angles = torch.arange(len(table), dtype=torch.float64)[:, None] * f
    same = torch.allclose(table, torch.polar(torch.full_like(angles, m), angles), atol=1e-3 * m)
    return (f, 0, m) if same else None


def coordinates(a, b):
    """(v, heads, start, half, style) where a and b are the two coordinates of what v has of each head, or None."""
    if a.op != b.op or a.op not in ("slice", "arrange") or a.inputs != b.inputs:
        return None
    (v, heads), start = a.inputs[0], a.attrs["start"]
    if a.op == "slice":
        half = a.attrs["n"]
        return (v, heads, start, half, "halves") if b.attrs == {"start": start + half, "n": half} else None
    half, heads = a.attrs["n0"], a.attrs.get("n1", 1)
    pairs = {"start": start, "n0": half, "step0": 2} | ({"n1": heads, "step1": v.n // heads} if heads > 1 else {})
    return (v, heads, start, half, "pairs") if a.attrs == pairs and b.attrs == pairs | {"start": start + 1} else None


def rope_of_parts(node):
    """Both coordinates, side by side or in turn, as rope; None: they are not."""
    parts = [turned_part(i) for i, _ in node.inputs] if of(node, "concat", 2) else [None]
    if None in parts:
        return None
    ((a, m, cos), (b, minus, sin)), second = parts
    at = coordinates(a, b)
    if not at or second != [(b, m, cos), (a, -minus, sin)] or abs(minus) != abs(m):
        return None
    f, back, magnitude = turns(cos, sin) or (None, 0, 1)
    v, heads, start, half, style = at
    if f is None or len(f) != half or node.inputs[0][1] != (heads if style == "halves" else heads * half):
        return None
    whole = is_part(v, v, heads, start, 2 * half)
    x = v if whole else Node("slice", [(v, heads)], 2 * half * heads, heads, {"start": start, "n": 2 * half})
    return rope_node(x, heads, -f if minus == m else f, m * magnitude, back, style)


def rope(node):
    """x * cos + turned x * sin, as rope (Su et al. 2021); None: it is not."""
    if not of(node, "add", 2):
        return rope_of_parts(node)
    for (a, _), (b, _) in (node.inputs, reversed(node.inputs)):
        for style in STYLES if of(a, "mul", 2) and of(b, "mul", 2) else ():
            found = rope_of(a, b, style)
            if found:
                return found
    return None


def rope_of(a, b, style):
    turn, angles = STYLES[style]
    turned, it = next(((turn(n), n) for n, _ in b.inputs if turn(n)), (None, None))
    x = turned and next((n for n, _ in a.inputs if is_part(n, *turned[:3], 2 * turned[3])), None)
    by = x and angles(other_of(a, x), "cos")
    if not by or by != angles(other_of(b, it), "sin"):
        return None
    f, back = frequencies(by[0]) or (None, 0)
    if f is None or x.n % (2 * len(f)) or not (f >= 0).all():
        return None
    heads = x.n // (2 * len(f))
    return rope_node(x, heads, f, by[1], back, style) if style == "pairs" or heads == turned[1] else None


def rope_node(x, heads, f, magnitude, back, style):
    base, factors = base_of(f)
    attrs = {"dims": 2 * len(f), "base": base, "style": style}
    if magnitude != 1:
        attrs["magnitude"] = magnitude
    if back:
        attrs["back"] = back
    weights = {} if factors is None else {"factors": (Const.literal(factors.float()), None)}
    return Node("rope", [(x, heads)], x.n, heads, attrs, weights)


def wider_rope(node):
    """The first part of each head turned, then the rest of it: rope of the whole head."""
    if not of(node, "concat", 2):
        return None
    (turned, heads), (rest, _) = node.inputs
    if turned.op != "rope" or rest.op != "slice" or turned.inputs[0][0].op != "slice":
        return None
    first, dims = turned.inputs[0][0], turned.attrs["dims"]
    v, n = first.inputs[0]
    if n != heads or not is_part(first, v, n, 0, dims) or not is_part(rest, v, n, dims, v.n // n - dims):
        return None
    return Node("rope", [(v, n)], v.n, n, turned.attrs, turned.weights)
