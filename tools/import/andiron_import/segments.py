"""What stood before each row, of sums that fade (Dao and Gu 2024, listing 1): exp of sums of logarithms between every
two rows, of a text with nothing in front, times what each row adds. A scan says the same."""
from . import text
from .fading import summed_in
from .ops_states import alone, is_first, summed
from .rows import apply, as_rows, combine, ordered
from .trace import name_of
from .values import TEXT, Node, Refused, Rows, is_text


def shape_of(node):
    return getattr(node.meta.get("val"), "shape", ())  # none, of an op that gives several tensors


def is_longer(node):
    return node.op == "call_function" and text.ROWS + 1 in shape_of(node)


class Segments:
    """ends: {node: (logarithms, what is added)}, of nodes of the trace; the ones between are not told. Of a recurrence
    in logarithms (Feng et al. 2024): (their running sum, logarithms of what is added, that of how it begins)."""

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
        if None in (logarithms, added) or shape_of(added) != shape_of(end):
            return
        names = {name_of(n.target): n for n in seen}
        in_logs, first = "logcumsumexp.default" in names, names["cat.default"].args[0][0]
        if not in_logs or name_of(end.args[0].target) == "exp.default":
            self.ends[end] = (logarithms, added, first) if in_logs else (logarithms, added)
            self.between |= seen


def told(logarithms, added, *first):
    return in_logarithms(logarithms, added, *first) if first else of_rows(logarithms, added)


def in_logarithms(sums, added, first):
    """All [1, text, n], but for how it begins: one row."""
    rate = summed_in(as_rows(sums))
    if rate is None:
        raise Refused("a recurrence in logarithms whose sums are of no rows")
    decay, value = apply("exp", rate), apply("exp", added)
    before = combine("mul", decay, apply("exp", first), decay.shape)
    begin = combine("mul", before, is_first([d if is_text(d) else [] for d in decay.dims]), decay.shape)
    return Rows.like(summed(ordered(combine("add", value, begin, value.shape)), ordered(decay)), value)


def of_rows(logarithms, added):
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
