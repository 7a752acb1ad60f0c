"""Nodes that together are one of andiron's larger ops. A rewrite is made where numbers say it holds, not by names."""
import torch

from .values import Const, Node

STILL = 1e30  # a factor of numbers that are not turned


def of(node, op, n_inputs):
    return node.op == op and len(node.inputs) == n_inputs and not node.weights


def times(node, a, b):
    """The two factors of a product, that for which `a` holds first; None: it is none of these."""
    if not of(node, "mul", 2):
        return None
    (x, _), (y, _) = node.inputs
    if a(x) and b(y):
        return x, y
    return (y, x) if a(y) and b(x) else None


def scale_of(node):
    """node = inner * number."""
    if of(node, "mul", 1):
        inner, by = scale_of(node.inputs[0][0])
        return inner, by * node.attrs["number"]
    return node, 1.0


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


def is_part(x, v, heads, start, n):
    """Is x that part of each of v's heads?"""
    if x is v:
        return start == 0 and n * heads == v.n
    return x.op == "slice" and x.inputs == [(v, heads)] and x.attrs == {"start": start, "n": n}


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
    return base, torch.where(f > 0, powers(base) / f, STILL)


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


def rope(node):
    """x * cos + turned x * sin, as rope (Su et al. 2021); None: it is not."""
    if not of(node, "add", 2):
        return None
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


def part_of_joined(node):
    """A part of two joined rows that lies in one of them."""
    joined = node.inputs[0][0] if of(node, "slice", 1) else None
    if joined is None or joined.op != "concat" or joined.inputs[0][1] != node.inputs[0][1]:
        return None
    start, n = node.attrs["start"], node.attrs["n"]
    for row, heads in joined.inputs:
        own = row.n // heads
        if 0 <= start and start + n <= own:
            return row if n == own else Node("slice", [(row, heads)], n * heads, heads, {"start": start, "n": n})
        start -= own
    return None


def opposite_of(node):
    """node = 1 - inner."""
    if of(node, "add", 1) and node.attrs["number"] == 1:
        inner, by = scale_of(node.inputs[0][0])
        return inner if by == -1 else None
    return None


def kept_of(mark, n):
    """(scores of groups, groups, how many are kept) where mark is 1 for each of the n numbers of the groups kept."""
    groups = mark.attrs.get("n1", 1)
    spread = {"start": 0, "n0": n // groups, "step0": 0} | ({"n1": groups, "step1": 1} if groups > 1 else {})
    clamped = mark.inputs[0][0] if mark.op == "arrange" and mark.attrs == spread else None
    raised = clamped.inputs[0][0] if clamped and clamped.attrs == {"low": 0.0, "high": 1.0} else None
    kept = raised.inputs[0][0] if raised and raised.op == "add" and raised.attrs == {"number": 1e30} else None
    if kept is None or kept.op != "keep_groups" or kept.attrs["groups"] != groups or kept.attrs["best"] != 1:
        return None
    return kept.inputs[0][0], groups, kept.attrs["kept"]


def best_of(scores, x, groups):
    """How many of each group's largest numbers are its score, or None."""
    rows = [scores.inputs[0][0]] if of(scores, "sum", 1) and scores.inputs[0][1] == groups else [scores]
    while rows[0].op == "concat":
        rows[:1] = [i for i, _ in rows[0].inputs]
    best, size = rows[0].n, x.n // groups
    for g, pick in enumerate(rows):
        row = pick.inputs[0][0] if pick.op == "pick" and pick.inputs[1][0].attrs == {"n": best} else None
        if row is None or not is_part(row, x, 1, g * size, size) or pick.inputs[1][0].inputs != [(row, 1)]:
            return None
    return best if len(rows) == groups and (rows[0] is not scores or best == 1) else None


def grouped(node):
    """x where its group is one of those kept, and a very small number elsewhere, as keep_groups; x, where all are."""
    if not of(node, "add", 2):
        return None
    for (far, _), (near, _) in (node.inputs, reversed(node.inputs)):
        lost, by = scale_of(far)
        pair = times(near, lambda n: opposite_of(n) is lost, lambda n: True) if by < -1e30 else None
        found = pair and opposite_of(lost) and kept_of(opposite_of(lost), node.n)
        best = found and best_of(found[0], pair[1], found[1])
        if best and found[1] == found[2]:
            return pair[1]
        if best:
            attrs = {"groups": found[1], "kept": found[2], "best": best}
            return Node("keep_groups", [(pair[1], 1)], node.n, 1, attrs)
    return None


def by_erf(node):
    """x / 2 * (1 + erf(x / sqrt(2))) as gelu(x)."""
    product, outer = scale_of(node)
    for (a, _), (b, _) in (product.inputs, reversed(product.inputs)) if of(product, "mul", 2) else ():
        (x, first), (inner, second) = scale_of(a), scale_of(b)
        erf = inner.inputs[0][0] if of(inner, "add", 1) and inner.attrs["number"] == 1 else inner
        y, s = scale_of(erf.inputs[0][0]) if erf.op == "erf" else (None, 0)
        if x is y and abs(s * 2 ** 0.5 - 1) < 1e-6 and abs(2 * outer * first * second - 1) < 1e-6:
            return Node("gelu", [(x, x.heads)], x.n, x.heads)
    return None


def fused(node):
    """What says the same as the node in fewer ops, in its place, or the node."""
    new = part_of_joined(node) or by_erf(node) or rope(node) or wider_rope(node) or grouped(node)
    if new is None:
        return node
    if new.order > node.order:  # else it stood there before
        new.module, new.order = node.module, node.order
    return new


# ---- attends of the same queries and keys

def wider(group):
    """One attend in their place, its values side by side; None: they differ in more than values."""
    first, last = group[0], group[-1]
    (k_heads, q_heads), total = (first.inputs[1][1], first.inputs[0][1]), sum(a.n for a in group)
    if any(a.inputs[2][1] != k_heads for a in group):
        return None
    v = first.inputs[2][0]
    made = []
    for a in group[1:]:
        made.append(Node("concat", [(v, k_heads), (a.inputs[2][0], k_heads)], v.n + a.inputs[2][0].n, k_heads))
        v = made[-1]
    wide = Node("attend", [*first.inputs[:2], (v, k_heads)], total, q_heads, first.attrs, first.weights)
    parts, start = [], 0
    for a in group:
        n = a.n // q_heads
        parts.append(Node("slice", [(wide, q_heads)], a.n, q_heads, {"start": start, "n": n}))
        start += n
    for node in [*made, wide, *parts]:
        node.module, node.order = last.module, last.order
    return parts


def join_attends(nodes):
    """A layer's attends that differ in their values alone become one: a layer has one cache."""
    groups, reader = {}, {}
    for node in nodes:
        for i, _ in node.inputs:
            reader.setdefault(i, node)
        if node.op == "attend" and len(node.inputs) == 3:
            weights = tuple((k, w.key) for k, (w, _) in sorted(node.weights.items()))
            key = node.module, *node.inputs[:2], tuple(sorted(node.attrs.items())), weights
            groups.setdefault(key, []).append(node)
    instead = {}
    for group in groups.values():
        waits = all(reader[a].order > group[-1].order for a in group)
        parts = wider(group) if len(group) > 1 and waits else None
        instead |= dict(zip(group, parts)) if parts else {}
    for node in nodes:
        node.inputs = [(instead.get(i, i), h) for i, h in node.inputs]
