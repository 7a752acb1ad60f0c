"""Layers as one loop: those of equal text are one block; one that gives several values stands in the loop itself."""
import itertools

from .values import Refused


def slots():
    """Variables of the loop: x, what a layer has of the one before, and x2, ..., what else one leaves for others."""
    return (f"x{n}" if n > 1 else "x" for n in itertools.count(1))


class Layer:
    """What one layer reads and gives, and its text as a block's, in terms of x, x2, ... for what comes from outside."""

    def __init__(self, emitter, number):
        self.emitter, self.number, self.segment = emitter, number, emitter.segment(number)
        self.gives = [n for n in self.segment if any(emitter.place[u] > number for u in emitter.users[n])]
        scope = self.told(emitter.scope(number))
        self.outside, self.n_lines = scope.outside, len(scope.lines)
        text = "\n".join(f"  {line}" for line in [*scope.lines, f"return {scope.bare(self.gives[-1])}"])
        self.body = f"({', '.join(scope.local[n] for n in scope.outside)}, l) {{\n{text}\n}}"

    def told(self, scope):
        for node in self.segment:
            scope.put(node, self.emitter.uses(node) if node not in self.gives else 1 if node is self.gives[-1] else 2)
        return scope

    def inline(self, names):
        """As statements; names: what those from outside are called there."""
        scope = self.told(self.emitter.scope(self.number, names, "w"))
        return [*scope.lines, *(f"{slot} = {scope.bare(n)}" for slot, n in zip(slots(), reversed(self.gives)))]


class Loop:
    """All layers, and what is held in x, x2, ... after them: {node: name}."""

    def __init__(self, emitter, layers, scope):
        self.emitter, self.scope = emitter, scope
        self.kinds = {}  # a block's text: its number
        start = first_input(layers)
        self.held, told = {start: "x"} if start else {}, []
        for layer in layers:
            told.append(tuple(self.call(layer)))
            given = dict(zip(reversed(layer.gives), slots()))
            self.held = {n: s for n, s in self.held.items() if s not in given.values()} | given
        kinds_used = list(dict.fromkeys(told))
        self.kind_of_layer = [kinds_used.index(t) for t in told]
        self.lines = [f"x = {scope.bare(start)}"] if start else []
        self.lines += [f"{s} = none" for s in itertools.islice(slots(), 1, max(len(c.gives) for c in layers))]
        self.lines += [f'for l in layers("blk", {len(layers)}) {{', *self.branches(kinds_used), "}"]

    def outer(self, node):
        if node in self.held:
            return self.held[node]
        if self.emitter.place[node] != -1:
            raise Refused("a layer reads what an earlier layer gave and a later one has given anew")
        return self.scope.local[node]

    def call(self, layer):
        names = {n: self.outer(n) for n in layer.outside}
        if len(layer.gives) > 1:
            return layer.inline(names)
        kind = self.kinds.setdefault(layer.body, len(self.kinds))
        return [(kind, ", ".join([*names.values(), "l"]))]

    def block(self, kind):
        return "layer" if len(self.kinds) == 1 else f"layer{kind}"

    def branches(self, kinds_used):
        said = [[x if isinstance(x, str) else f"x = {self.block(x[0])}({x[1]})" for x in lines] for lines in kinds_used]
        if len(said) == 1:
            return [f"  {line}" for line in said[0]]
        out = []
        for i, lines in enumerate(said):
            test = f"  {'else ' if i else ''}if meta_at(\".andiron.layer_kind\", l.index) == {i} {{"
            out += [f"{test} {lines[0]} }}"] if len(lines) == 1 else [test, *(f"    {line}" for line in lines), "  }"]
        return out


def first_input(layers):
    """What flows into the first layer where the later ones have what the one before gave."""
    first = layers[0]
    if len(layers) == 1:
        return next((n for n in first.outside if n.op != "numbers"), None)
    given, second = first.gives[-1], layers[1].outside
    if given in second and second.index(given) < len(first.outside):
        return first.outside[second.index(given)]
    return None
