"""Layers as one loop: those of equal text are one block; one that gives several values stands in the loop itself."""
import itertools

from . import names
from .depth import by_depth
from .values import Refused


def slots():
    """Variables of the loop: x, what a layer has of the one before, and x2, ..., what else one leaves for others."""
    return (f"x{n}" if n > 1 else "x" for n in itertools.count(1))


class Layer:
    """What one layer reads and gives, and its text as a block's, in terms of x, x2, ... for what comes from outside."""

    def __init__(self, emitter, number):
        self.emitter, self.number, self.segment = emitter, number, emitter.segment(number)
        self.gives = [n for n in self.segment if emitter.is_read_after(n, number)]
        scope = self.told(emitter.scope(number))
        lines, given, self.n_lines = scope.lines, scope.bare(self.gives[-1]), len(scope.lines)
        if emitter.shortest:
            lines, given, self.n_lines = names.reused(lines, given)
        self.outside = scope.outside
        text = "\n".join(f"  {line}" for line in [*lines, f"return {given}"])
        self.body = f"({', '.join([*(scope.local[n] for n in scope.outside), 'l'])}) {{\n{text}\n}}"

    def told(self, scope):
        for node in self.segment:
            scope.put(node, self.emitter.uses(node) if node not in self.gives else 1 if node is self.gives[-1] else 2)
        return scope

    def inline(self, names, given, itself):
        """As statements; names: what those from outside are called there; given: those that it gives."""
        scope = self.told(self.emitter.scope(self.number, names, "w", itself))
        return [*scope.lines, *(f"{slot} = {scope.bare(n)}" for n, slot in given.items())]


class Loop:
    """All layers, and what is held in x, x2, ... after them: {node: name}."""

    def __init__(self, emitter, layers, scope):
        self.emitter, self.layers, self.scope = emitter, layers, scope
        self.kinds = {}  # a block's text: its number
        self.held, self.lines, self.kind_of_layer, self.slots = {}, [], [], set()
        self.numbers = by_depth(layers)
        if layers:
            self.tell()

    def tell(self):
        layers, told = self.layers, []
        period = next((i for i, c in enumerate(layers) if i and c.body == layers[0].body), 1)
        start = first_input(layers, period)
        self.held = {start: "x"} if start else {}
        for layer in layers:
            names = {n: self.outer(n) for n in layer.outside}
            over = [] if layer.number < period - 1 else [start]
            self.held = {n: s for n, s in self.held.items()
                         if n not in over and self.emitter.is_read_after(n, layer.number)}
            given = dict(zip(reversed(layer.gives), (s for s in slots() if s not in self.held.values())))
            told.append(tuple(self.call(layer, names, given)))
            self.held |= given
            self.slots |= set(given.values())
        kinds_used = list(dict.fromkeys(told))
        self.kind_of_layer = [kinds_used.index(t) for t in told]
        self.lines = [f"x = {self.scope.bare(start)}"] if start else []
        self.lines += [f"{s} = none" for s in sorted(self.slots - {"x"})]
        self.lines += [f'for l in layers("blk", {len(layers)}) {{', *self.branches(kinds_used), "}"]

    def most_variables(self):
        """Of a block, or of the graph where layers stand in it."""
        inline = max((c.n_lines for c in self.layers if len(c.gives) > 1), default=0)
        graph = inline + len(self.scope.lines) + len(self.slots) if inline else 0
        return max([graph, *(c.n_lines for c in self.layers)])

    def outer(self, node):
        if node in self.held:
            return self.held[node]
        if self.emitter.place[node] != -1:
            raise Refused("a layer reads what an earlier layer gave and a later one has given anew")
        return self.scope.local[node]

    def call(self, layer, names, given):
        itself = 'nth("blk", meta_at(".andiron.layer_of", l.index), l)' if self.emitter.again else "l"
        if len(given) > 1 and self.emitter.again:
            return [f"w = {itself}", *layer.inline(names, given, "w")]
        if len(given) > 1:
            return layer.inline(names, given, "l")
        kind = self.kinds.setdefault(layer.body, len(self.kinds))
        return [(*given.values(), kind, ", ".join([*names.values(), itself]))]

    def block(self, kind):
        return "layer" if len(self.kinds) == 1 else f"layer{kind}"

    def branches(self, kinds_used):
        said = [[x if isinstance(x, str) else f"{x[0]} = {self.block(x[1])}({x[2]})" for x in k] for k in kinds_used]
        if len(said) == 1:
            return [f"  {line}" for line in said[0]]
        out = []
        for i, lines in enumerate(said):
            test = f"  {'else ' if i else ''}if meta_at(\".andiron.layer_kind\", l.index) == {i} {{"
            out += [f"{test} {lines[0]} }}"] if len(lines) == 1 else [test, *(f"    {line}" for line in lines), "  }"]
        return out


def first_input(layers, period):
    """What flows into the first layer where the next of its kind has what the one before that gave."""
    first = layers[0]
    if len(layers) == 1:
        return next((n for n in first.outside if n.op != "numbers"), None)
    given, later = layers[period - 1].gives[-1], layers[period].outside
    if given in later and later.index(given) < len(first.outside):
        return first.outside[later.index(given)]
    return None
