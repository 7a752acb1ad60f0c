"""Latent attention (DeepSeek-V2, 2024, section 2.1): keys and values of all heads that are products of one short row c:
the cache keeps that row. q . (W c) = (W^T q) . c, and a sum of values W c is W times that sum of c.
"""
from .patterns import rewritten
from .values import Node

WIDEST = 1024  # numbers of a head that attend takes


def parts(node, heads):
    """The rows that each head's row was joined of."""
    if node.op == "concat" and all(h == heads for _, h in node.inputs):
        return [p for i, _ in node.inputs for p in parts(i, heads)]
    return [node]


def product(node, heads):
    """(row, matrix, first, n) where the node has, of each head, n numbers of a matrix's product with a row; or None."""
    whole = node
    if node.op == "slice" and node.inputs[0][1] == heads:
        whole = node.inputs[0][0]
    if whole.op != "linear" or whole.weights["weight"][1] is not None or whole.n % heads:
        return None
    first = 0 if whole is node else node.attrs["start"]
    return whole.inputs[0][0], whole.weights["weight"][0], first, node.n // heads


def shared(node, heads):
    """The row that all heads have, or None."""
    d = node.n // heads
    start = node.attrs.get("start")
    if node.op != "arrange" or node.attrs != {"start": start, "n0": d, "step0": 1, "n1": heads, "step1": 0}:
        return None
    return cut(node.inputs[0][0], 1, start, d)


def is_short(row):
    """Was it made as a product for this end, not of what a layer reads?"""
    while row.op in ("rmsnorm", "layernorm", "slice", "mul") and len(row.inputs) == 1:
        row = row.inputs[0][0]
    return row.op == "linear"


def cut(x, heads, start, n):
    if n * heads == x.n:
        return x
    return Node("slice", [(x, heads)], n * heads, heads, {"start": start, "n": n})


def joined(nodes, heads):
    out = nodes[0]
    for x in nodes[1:]:
        out = Node("concat", [(out, heads), (x, heads)], out.n + x.n, heads)
    return out


def by_head(x, of, heads, turned):
    """Each head of x with its n rows of the matrix, or with these as columns."""
    row, weight, first, n = of
    block = lambda w: w.reshape(heads, -1, row.n)[:, first:first + n]
    outs = row.n if turned else n
    matrix = weight.then(lambda w: block(w).transpose(1, 2) if turned else block(w),
                         (heads, outs, n if turned else row.n), f"heads{heads}from{first}to{first + n}{turned}")
    return Node("head_linear", [(x, heads)], outs * heads, heads, {}, {"weight": (matrix, None)})


def absorbed(node):
    """The node of an attend that keeps the short row, or None."""
    if node.op != "attend" or len(node.inputs) < 3 or node.inputs[0][1] != node.inputs[1][1]:
        return None
    (q, heads), (k, _), (v, _) = node.inputs[:3]
    of_v, keys = product(v, heads), parts(k, heads)
    of_k = [product(p, heads) for p in keys]
    rows = [shared(p, heads) if o is None else o[0] for p, o in zip(keys, of_k)]
    row = of_v and of_v[0]
    if row is None or None in rows or sum(o is not None for o in of_k) != 1 or row not in rows:
        return None
    if not is_short(row) or sum(x.n for x in rows) > WIDEST:
        return None
    queries, at = [], 0
    for p, o in zip(keys, of_k):
        own = cut(q, heads, at, p.n // heads)
        queries.append(own if o is None else by_head(own, o, heads, True))
        at += p.n // heads
    inputs = [(joined(queries, heads), heads), (joined(rows, 1), 1), (row, 1), *node.inputs[3:]]
    attend = Node("attend", inputs, row.n * heads, heads, node.attrs, node.weights)
    return by_head(attend, of_v, heads, False)


def with_latents(nodes):
    """The last of the nodes, which are in order, once each attend that can keeps the short row."""
    return rewritten(nodes, absorbed)
