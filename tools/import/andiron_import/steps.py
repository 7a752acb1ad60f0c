"""Loops over the text in Python, unrolled in a trace: which nodes are one step, what it reads of the one before."""
import contextlib
import operator

from . import text
from .trace import name_of
from .values import Refused


def read_of(node):
    """(tensor, dimension, place, is the dimension gone) where a node is what stands at one place of the text."""
    name = name_of(node.target) if node.op == "call_function" else ""
    if node.target is operator.getitem and node.args[0].op == "call_function":
        several, i = node.args
        if name_of(several.target) in ("unbind.int", "split.Tensor", "split_with_sizes.default", "chunk.default"):
            gone = name_of(several.target) == "unbind.int"
            dim = several.args[1 if gone else 2] if len(several.args) > (1 if gone else 2) else 0
            return at_place(several.args[0], dim, i, gone, node)
    if name == "select.int":
        return at_place(*node.args[:3], True, node)
    if name == "slice.Tensor" and len(node.args) > 3:
        return at_place(*node.args[:3], False, node)
    return None


def at_place(x, dim, i, gone, node):
    shape = x.meta["val"].shape
    dim %= len(shape)
    one = gone or node.meta["val"].shape[dim] == 1
    return (x, dim, i % text.ROWS, gone) if shape[dim] == text.ROWS and one and type(i) is int else None


def inputs_of(node):
    if node.op == "call_function" and name_of(node.target) == "copy.default":
        return [node.args[1]]
    return node.all_input_nodes


def values_of(node):
    """(each place's value, dimension, does it have the dimension already) where a node puts those together."""
    name = name_of(node.target) if node.op == "call_function" else ""
    if name in ("stack.default", "cat.default") and len(node.args[0]) == text.ROWS:
        dim = node.args[1] if len(node.args) > 1 else 0
        return list(node.args[0]), dim % len(node.meta["val"].shape), name == "cat.default"
    if name not in ("select_scatter.default", "slice_scatter.default"):
        return None
    out, first = [], node
    while node.op == "call_function" and name_of(node.target) == name and node.args[2:4] == (
            first.args[2], text.ROWS - 1 - len(out)):
        out.append(node.args[1])
        node = node.args[0]
    dim = first.args[2] % len(first.meta["val"].shape) if len(first.args) > 2 else 0
    return (out[::-1], dim, name == "slice_scatter.default") if len(out) == text.ROWS else None


class Steps:
    """last: of each node, the latest place that it reads, -1: it reads none alone; loops: {node: (*values_of it, do
    they stand before each step?)}."""

    def __init__(self, nodes):
        self.order = {n: i for i, n in enumerate(nodes)}
        self.reads = {n: r for n, r in ((n, read_of(n)) for n in nodes) if r}
        places = {}
        for x, dim, i, _ in self.reads.values():
            places.setdefault((x, dim), set()).add(i)
        all_of = lambda r: places[r[:2]] | {0, text.ROWS - 1} == set(range(text.ROWS))
        self.reads = {n: r for n, r in self.reads.items() if all_of(r)}
        # the first step may have no state, the last leave none: they do not read what is for that alone
        self.last, self.loops = {}, {}
        for n in nodes if self.reads else ():
            found = values_of(n)
            last = [self.last[v] for v in found[0]] if found else []
            if last in (list(range(text.ROWS)), list(range(-1, text.ROWS - 1))):
                self.loops[n] = *found, last[0] < 0
            of_loop = n in self.loops
            self.last[n] = -1 if of_loop else self.reads[n][2] if n in self.reads else max(
                (self.last[i] for i in inputs_of(n)), default=-1)
        for n in reversed(self.last):
            self.late(n)

    def late(self, node):
        """What is made of one value of a step for a later one alone is that one's: a state crosses as it was left."""
        made_of = [i for i in inputs_of(node) if self.last[i] >= 0]
        used = min((self.last[u] for u in node.users if u in self.last), default=-1)
        if node not in self.reads and len(made_of) == 1 and used > self.last[node] >= 0:
            self.last[node] = used

    def inside(self, node):
        """Is it a part of a step, which is not told by itself? Or a text cut into its places, all of which are?"""
        cut = node.users and all(u.target is operator.getitem and u in self.reads for u in node.users)
        return self.last.get(node, -1) >= 0 or cut

    def walk(self, a, b, pairs):
        """Of two neighbouring steps' nodes that are alike: what each reads of the step before it, in `pairs`."""
        todo, seen = [(a, b)], set()
        while todo:
            a, b = todo.pop()
            if (a, b) in seen or a is b:
                continue
            seen.add((a, b))
            if self.last[a] == self.last[b] == -1 and a.op == b.op == "call_function":
                self.alike(a, b, todo)  # what each step computes anew, of no row
            elif self.last[a] != self.step:
                if self.last[a] != self.step - 1:
                    raise Refused("a loop over the text whose steps read more than the one before them")
                pairs[a] = b
            elif a not in self.reads:
                self.alike(a, b, todo)

    def alike(self, a, b, todo):
        x, y = inputs_of(a), inputs_of(b)
        if a.target != b.target or len(x) != len(y):
            raise Refused("a loop over the text whose steps are not alike")
        todo += zip(x, y)

    def states(self, values):
        """{what step t reads of the one before: what it leaves in its place}; t, a place in the middle."""
        t, found = text.ROWS // 2, {}
        for more in range(3):  # a state may be read by others alone
            pairs = [(values[t + 1 + more], values[t + more])]
            for self.step in range(t + 1 + more, t, -1):
                new = {}
                for a, b in pairs:
                    self.walk(a, b, new)
                pairs = list(new.items())
            found |= {before: after for after, before in pairs}
        return found, t

    def first_states(self, values):
        """What stands before the first step; nothing, where that step is written in another way, without a state."""
        self.step, pairs = 1, {}
        with contextlib.suppress(Refused):
            self.walk(values[1], values[0], pairs)
        return list(pairs.values())

    def begins(self, values, t):
        """{what step t reads of the one before: what the first has in its place}, where both are written alike."""
        left, found = {}, {}
        with contextlib.suppress(Refused):
            self.step = t + 1
            self.walk(values[t + 1], values[1], left)
            self.step = t
            for a, b in [(values[t], values[0]), *left.items()]:
                self.walk(a, b, found)
        return found

    def body(self, ends, t):
        """The nodes of step t that these are made of, in order."""
        todo, seen = list(ends), set()
        while todo:
            n = todo.pop()
            if n not in seen and self.last[n] == t:
                seen.add(n)
                todo += [] if n in self.reads else inputs_of(n)
        return sorted(seen, key=self.order.get)

    def of_rows(self, states, t):
        """Those of states that are made of the step's rows alone, what they are made of before them."""
        out, left = [], dict(states)
        made_of = lambda n: {i for b in self.body([n], t) if b not in self.reads for i in inputs_of(b)} & left.keys()
        while ready := [before for before, after in left.items() if not made_of(after)]:
            out += ready
            left = {b: a for b, a in left.items() if b not in ready}
        return out
