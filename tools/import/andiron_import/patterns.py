"""What a node is made of, for rewrites that look for it."""


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


def is_part(x, v, heads, start, n):
    """Is x that part of each of v's heads?"""
    if x is v:
        return start == 0 and n * heads == v.n
    return x.op == "slice" and x.inputs == [(v, heads)] and x.attrs == {"start": start, "n": n}
