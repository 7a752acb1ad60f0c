"""What stood before each row, of sums that fade (Dao and Gu 2024, listing 1): exp of sums of logarithms between every
two rows, of a text with nothing in front, times what each row adds. A scan says the same."""
from . import text
from .ops_states import alone
from .rows import apply, as_rows, ordered
from .trace import name_of
from .values import TEXT, Node, Refused, Rows, is_text


def shape_of(node):
    return getattr(node.meta.get("val"), "shape", ())  # none, of an op that gives several tensors


def is_longer(node):
    return node.op == "call_function" and text.ROWS + 1 in shape_of(node)


class Segments:
    """ends: {node: (logarithms, what is added)}, of nodes of the trace; the ones between are not told."""

    def __init__(self, nodes):
        self.ends, self.between = {}, set()
        for node in nodes:
            if node.op == "call_function" and name_of(node.target) == "slice.Tensor" and is_longer(node.args[0]):
                self.look(node)

    def look(self, end):
        todo, seen, found = [end.args[0]], set(), {}
        while todo:
            n = todo.pop()
            if n in seen or not is_longer(n):
                continue
            seen.add(n)
            todo += n.all_input_nodes
            shorter = [i for i in n.all_input_nodes if not is_longer(i) and text.ROWS in shape_of(i)]
            found |= {name_of(n.target): i for i in shorter}
        logarithms, added = found.get("constant_pad_nd.default", found.get("pad.default")), found.get("cat.default")
        if None not in (logarithms, added) and shape_of(added) == shape_of(end):
            self.ends[end], self.between = (logarithms, added), self.between | seen


def told(logarithms, added):
    """added [.., text, .., numbers]; logarithms: the same without dimensions that do not fade by themselves."""
    logarithms, added = as_rows(logarithms), as_rows(added)
    left, dims = [d for d in logarithms.dims if d and not is_text(d)], []
    for size, d in zip(added.shape, added.dims):
        own = bool(left) and not is_text(d) and Rows(None, [left[0]]).shape[0] == size
        dims.append([(text.ROWS, TEXT)] if is_text(d) else left.pop(0) if own else [])
    if left:
        raise Refused("sums along the text that fade by numbers which they do not have")
    decay = apply("exp", Rows(logarithms.node, dims, logarithms.start)).expand(added.shape)
    node = ordered(added)
    return Rows.like(Node("scan", [alone(), alone(), (node, node.n), (ordered(decay), node.n)], node.n, node.n,
                          {"order": "before"}), added)
