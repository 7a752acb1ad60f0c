"""Nodes that together are one of andiron's larger ops. A rewrite is made where numbers say it holds, not by names."""
from .patterns import is_part, of, scale_of, times
from .ropes import rope, wider_rope
from .values import Node


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
    for made, order in ((new, node.order), *((i, node.order - 0.5) for i, _ in new.inputs)):
        if made.order > node.order:  # else it stood there before
            made.module, made.order = node.module, order
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
