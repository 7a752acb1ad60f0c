"""What a node is made of, for rewrites that look for it, and putting another in its place."""
from .values import Node


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


def rewritten(nodes, other):
    """The last of the nodes, which are in order; other(node): what takes its place, or None."""
    same = {}
    for node in nodes:
        node.inputs = [(same.get(i, i), h) for i, h in node.inputs]
        Node.place, before = node.module, Node.count
        new = other(node)
        if new is not None:
            same[node] = new
            put_in_place(new, node.order, before)
    return same.get(nodes[-1], nodes[-1])


def put_in_place(new, order, before):
    """Nodes that were made after number `before` stand right before `order`."""
    made, todo = Node.count - before, [new]
    while todo:
        node = todo.pop()
        if node.order > before:
            node.order = order - 1 + (node.order - before) / (made + 1)
            todo += [i for i, _ in node.inputs]
