"""andiron's nodes as .arch text: layers that are the same become one block, and constants get names.

A layer is what stands in one entry of the model's longest list of modules. A layer's text is written in terms of `l`,
of values that come from outside (its arguments) and of values that later text reads (what it gives).
"""
import collections
import re

from . import experts, parts
from .fuse import fused, join_attends
from .latent import with_latents
from .layers import Layers
from .loop import Layer, Loop
from .values import STATEFUL, Refused

WIDTHS = (56, 100, 400)  # of what is written inside of another expression: the first that keeps blocks short enough
LONGEST = 44  # characters of a tensor's name in its layer: whole names have at most 64
TAKEN = re.compile("[xvw]\\d*|l|tokens|positions|none|n_ctx_train|embeds|if|else|for|in|return|and|or|not|arch|param|"
                   "block|graph|parent|with")  # variables and words of the language, which no tensor may be called
MOST_LINES = 40  # that a block should have; the language has 96 variables


def in_order(output):
    seen, out, stack = set(), [], [(output, False)]
    while stack:
        node, done = stack.pop()
        if done:
            out.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(i, False) for i, _ in reversed(node.inputs)]
    return sorted(out, key=lambda n: n.order)


def is_constant(node, layers):
    """The same for all layers, too."""
    return node.op in ("constant", "geometric") and all(
        layers.of(p) is None for w, _ in node.weights.values() for p in w.parameters)


def with_inputs(node, same):
    node.inputs = [(same[i], h) for i, h in node.inputs]
    return node


def merged(output, layers):
    """Nodes of a layer that compute the same become one; of positions alone, those of all layers. And the latter."""
    same, by_key, signs, free = {}, {}, {}, set()

    def put(node):
        """It, or the first that computes the same."""
        node.inputs = [(i if i in signs else put(i), h) for i, h in node.inputs]  # a rewrite may have made some
        weights = tuple((k, w.key, b.key if b is not None else None) for k, (w, b) in sorted(node.weights.items()))
        signs[node] = hash((node.op, tuple((signs[i], h) for i, h in node.inputs), tuple(sorted(node.attrs.items())),
                            weights))
        if node.op in STATEFUL:
            signs[node] = id(node)
            return node
        key = signs[node] if is_of_positions(node, layers, free) else (signs[node], layers.place(node))
        first = by_key.setdefault(key, node)
        if key == signs[node]:
            free.add(first)
        return first
    for old in in_order(output):
        same[old] = put(fused(with_inputs(old, same)))
    for node in list(free):
        free |= {i for i, _ in node.inputs}
    return same[output], free


def is_of_positions(node, layers, free):
    """Are its numbers made of positions alone? free: earlier nodes of which that is known."""
    reads = [i for i, _ in node.inputs]
    return node.op == "numbers" and node.attrs["ids"] == "positions" or (
        any(i in free for i in reads) and all(i in free or is_constant(i, layers) for i in reads)
        and all(layers.of(p) is None for w, _ in node.weights.values() for p in w.parameters))


def share_caches(nodes, layers):
    """An attend of keys and values that an earlier layer stored reads that layer's cache."""
    stored = {}
    for node in nodes:
        if node.op != "attend":
            continue
        first = stored.setdefault(tuple(i for i, _ in node.inputs[1:3]), node)
        if layers.place(node) not in (None, layers.place(first)):
            node.inputs, node.attrs = node.inputs[:1] + node.inputs[3:], node.attrs | {"cache_of": first}


class Names:
    """Tensors of the file: stem.weight and stem.bias -> Const. One constant has one name."""

    def __init__(self, layers):
        self.layers, self.tensors, self.stem_of, self.products = layers, {}, {}, {}
        self.lists = {}  # of whole numbers: their keys in the metadata
        self.readers = collections.defaultdict(set)  # of a tensor: the layers

    def list(self, numbers):
        return self.lists.setdefault(numbers, f"andiron.whole.{len(self.lists)}")

    def stem(self, op, weight, bias, layer):
        """The stem of a tensor that an op reads; matrices of products may be of any type, all others are F32."""
        key = weight.key, bias.key if bias is not None else None
        if key not in self.stem_of:
            self.stem_of[key] = self._new(weight, bias, layer)
        if op in ("linear", "head_linear", "experts") or op in ("embed", "ngrams") and weight.learned:
            self.products[self.stem_of[key] + ".weight"] = True
        return self.stem_of[key]

    def _new(self, weight, bias, layer):
        path = weight.parameters[0].removesuffix(".weight") if weight.parameters else "literal"
        inside = self.layers.split(path)
        if inside and self.readers[weight.key] - {layer}:
            inside = None
        alone = not inside and layer is not None and self.readers[weight.key] <= {layer}
        of = layer if inside or alone else None
        base = re.sub(r"\W", "_", inside[1] if inside else path.removeprefix("model."))
        base = base[-LONGEST:].lstrip("_")
        base = f"part{base}" if base[:1].isdigit() else f"the_{base}" if TAKEN.fullmatch(base) else base or "weight"
        prefix, n = f"blk.{of}." if of is not None else "", 1
        name = prefix + base
        while name + ".weight" in self.tensors:
            n += 1
            name = f"{prefix}{base}_{n}"
        self.tensors[name + ".weight"] = weight
        if bias is not None:
            self.tensors[name + ".bias"] = bias
        return name


NUMBER = re.compile(r"(?<![\w.\"])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")  # of a definition's text


def said(x):
    if isinstance(x, str):
        return x
    x = float(x)
    return str(int(x)) if abs(x) < 1e15 and x == int(x) else f"{x:.9g}".replace("e+", "e")


def word_of(node, distances):
    """As what attend takes it; distances: words for what comes next of those."""
    if distances and node.op != "choose":
        return distances.pop(0)
    return "only" if node.op == "choose" else "joins" if node.attrs.get("open") else "near"


def is_each_head(attrs, n):
    """Does an arrange of n numbers give each head several times?"""
    return (attrs["step0"], attrs.get("step1"), attrs.get("step2")) == (1, 0, attrs["n0"]) and (
        attrs["n0"] * attrs["n2"] == n)


class Scope:
    """One block, or the graph: its nodes' texts in terms of local names."""

    def __init__(self, emitter, layer, names=None, prefix="v", itself="l"):
        """names: of what comes from outside, where it has names there; itself: the layer's."""
        self.emitter, self.layer, self.local, self.lines = emitter, layer, dict(names or {}), []
        self.outside, self.prefix, self.itself = [], prefix, itself

    def seen(self, node, heads, headed=False):
        """headed: one head is said, too."""
        text = self.name(node)
        if heads == node.heads and not headed:
            return text
        return f"flat({text})" if heads == 1 and not headed else f"heads({text}, {heads})"

    def name(self, node):
        if node not in self.local:
            arg = "x" if not self.outside else f"x{len(self.outside) + 1}"
            self.outside.append(node)
            self.local[node] = arg
        return self.local[node]

    def stem(self, op, pair):
        layer = self.emitter.home_of(self.layer)
        name = self.emitter.names.stem(op, *pair, layer)
        prefix = f"blk.{layer}."
        if layer is not None and name.startswith(prefix):
            return f"{self.itself}.{name[len(prefix):]}"
        if name.startswith("blk."):
            raise Refused(f"{name} is read outside of its layer")
        return name

    def text(self, node):
        headed = node.op in ("attend", "scan")
        ins, attrs = [self.seen(i, h, headed and h == 1 and i.op != "choose") for i, h in node.inputs], node.attrs
        stems = {k: self.stem(node.op, pair) for k, pair in node.weights.items()}
        if node.op in ("add", "mul", "div"):
            a, b = ins if len(ins) == 2 else (ins[0], said(attrs["number"]))
            return f"({a} {dict(add='+', mul='*', div='/')[node.op]} {b})"
        if node.op == "inverse":
            return f"(geometric({node.n}, {said(attrs['number'])}, 1) / {self.seen(node.inputs[0][0], 1)})"
        if node.op == "embed":
            return f"embed({attrs['ids']}, {stems['weight']})"
        if node.op == "numbers":
            return f"numbers({attrs['ids']})"
        if node.op == "selective_scan":
            return f"selective_scan({', '.join([*ins[:2], stems['A'], *ins[2:]])})"
        if node.op == "scan":
            ins[4:] = [f"{k}: {v}" for k, v in zip("ab", ins[4:])]
        if node.op == "ngrams":
            keys = [f'".{self.emitter.names.list(attrs[k])}"' for k in ("multipliers", "sizes", "offsets")]
            more = [f'{k}: "{attrs[k]}"' for k in ("join", "resets") if k in attrs]
            return f"ngrams({', '.join(['tokens', stems['weight'], *keys, said(attrs['end']), *more])})"
        if node.op in ("linear", "head_linear", "experts", "conv"):
            more = [f"{k}: {said(attrs[k])}" for k in ("step", "ahead") if attrs.get(k, 0) > (k == "step")]
            return f"{node.op}({', '.join([*ins, stems['weight'], *more])})"
        if node.op == "rope":
            more = [f"{k}: {said(attrs[k])}" for k in ("magnitude", "back") if k in attrs]
            more += [f"factors: {stems['factors']}"] if stems else []
            where = f"{ins[0]}, {said(attrs['dims'])}, {said(attrs['base'])}"
            return f"rope({', '.join([where, 'style: ' + chr(34) + attrs['style'] + chr(34), *more])})"
        if node.op in ("rmsnorm", "layernorm"):
            return f"{node.op}({ins[0]}, {stems.get('weight', 'none')}, {said(attrs['eps'])})"
        if node.op == "constant":
            return f"flat(constant({stems['weight']}))"
        words = {k: f'"{v}"' if isinstance(v, str) else said(v) for k, v in attrs.items()
                 if k not in ("cache_of", "given")}
        if node.op == "attend":
            own = 1 if "cache_of" in attrs else 3
            more = zip(ins[own:], node.inputs[own:])
            distances = attrs.get("given", "").split()
            ins[own:] = [f"{word_of(i, distances)}: {v}" for v, (i, _) in more]
        if node.op == "attend" and "cache_of" in attrs:
            where = f'cache: nth("blk", {self.emitter.place[attrs["cache_of"]]})'
            more = [f"{k}: {v}" for k, v in words.items() if v != "0"] + [f"{k}: {s}" for k, s in stems.items()]
            return f"attend({', '.join([ins[0], where, *ins[1:], *more])})"
        if node.op == "attend":
            more = [f"{k}: {v}" for k, v in words.items() if v != "0"] + [f"{k}: {s}" for k, s in stems.items()]
            return f"attend({', '.join([*ins, f'cache: {self.itself}', *more])})"
        if node.op == "arrange" and attrs["start"] == 0 and is_each_head(attrs, node.inputs[0][0].n):
            return f"repeat({self.seen(node.inputs[0][0], attrs['n2'])}, {attrs['n1']})"
        if self.is_layers_part(node):
            words["start"] = f"l.index * {words['n']}"
        places = ("start", "n", "low", "high", "first", "ratio", "eps")
        more = [words[k] if k in places and node.op not in ("arrange", "choose") else f"{k}: {words[k]}" for k in words]
        return f"{node.op}({', '.join([*ins, *more])})"

    def is_layers_part(self, node):
        """A value from before all layers that has a part for each of them."""
        if node.op != "slice" or self.layer is None:
            return False
        (whole, heads), n, e = node.inputs[0], node.attrs["n"], self.emitter
        return e.place[whole] == -1 and whole.n == heads * n * e.n_layers and node.attrs["start"] == self.layer * n

    def native_heads(self, node):
        """What the language gives: `inverse` and `constant` are written as one row."""
        return 1 if node.op in ("inverse", "constant") else node.heads

    def put(self, node, uses):
        node.heads = self.native_heads(node)
        text = self.text(node)
        if uses == 1 and len(NUMBER.sub("#", text)) <= self.emitter.width:  # of any size alike
            self.local[node] = text
            return
        name = f"{self.prefix}{len(self.lines) + 1}"
        self.lines.append(f"{name} = {strip(text)}")
        self.local[node] = name

    def bare(self, node):
        return strip(self.local[node])


def strip(text):
    """Without parentheses around the whole."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]


class Emitter:
    def __init__(self, output, layers, name, n_ctx, embeds=False, begin=0):
        layers = Layers(*layers)
        layers.visit(in_order(output))
        output = experts.with_experts(in_order(merged(output, layers)[0]))
        output = experts.in_ops_of_graph(in_order(output))
        output = with_latents(in_order(merged(output, layers)[0]))
        output, self.free = merged(output, layers)
        join_attends(in_order(output))
        share_caches(in_order(output), layers)
        self.nodes, self.output, self.name = in_order(output), output, name
        tables = [n.weights["weight"][0] for n in self.nodes if n.op == "embed" and n.attrs["ids"] == "positions"]
        self.n_ctx, self.embeds, self.begin = min([n_ctx, *[t.shape[0] - begin for t in tables]]), embeds, begin
        self.layers, self.names = layers, Names(layers)
        self.users = collections.defaultdict(list)
        for node in self.nodes:
            for other in dict.fromkeys(i for i, _ in node.inputs):
                self.users[other].append(node)
        self.place, self.home = parts.apart(self.nodes, *self.places(), self.users, layers.tensors_of)
        self.n_layers, self.again = len(self.home), self.home != list(range(len(self.home)))
        for node in self.nodes:
            for weight, _ in node.weights.values():
                self.names.readers[weight.key].add(self.home_of(self.place[node]))

    def places(self):
        """Each node's layer, or -1 before the layers and n after them: by its module, then by what it reads."""
        place, free = {}, self.free
        for node in self.nodes:
            if node in free:
                place[node] = -1
                continue
            own, below = self.layers.place(node), max((place[i] for i, _ in node.inputs), default=-1)
            place[node] = below if own is None else max(own, below)
        n = max(place.values(), default=-1) + 1
        after, between = set(), self.read_by_layers()
        for node in self.nodes:  # what reads a layer and stands in none
            reads = max((place[i] for i, _ in node.inputs), default=-1)
            outside = self.layers.place(node) is None and reads >= 0 and node not in between
            if outside or any(i in after for i, _ in node.inputs):
                after.add(node)
        for node in after:
            place[node] = n
        if any(node.op in STATEFUL for node in after):  # only a layer has a cache
            n += 1
        for node in self.nodes:  # what no row changes, in the one layer that reads it
            reads = {place[u] for u in self.users[node]}
            if not node.inputs and node.op == "constant" and len(reads) == 1:
                place[node] = min(reads)
        return place, n

    def read_by_layers(self):
        """What nodes of layers are made of."""
        out = set()
        for node in reversed(self.nodes):
            if node in out or self.layers.place(node) is not None:
                out |= {i for i, _ in node.inputs}
        return out

    def uses(self, node):
        return sum(1 for u in self.users[node] for i, _ in u.inputs if i is node)

    def home_of(self, place):
        """The layer whose tensors are read there."""
        return self.home[place] if place is not None and 0 <= place < self.n_layers else place

    def is_read_after(self, node, layer):
        return node is self.output or any(self.place[u] > layer for u in self.users[node])

    def segment(self, layer):
        return [n for n in self.nodes if self.place[n] == layer]

    def steps(self):
        """What is done before the layers, in the first layer of each kind, and after all: lists of ops."""
        first = [self.kind_of_layer.index(kind) for kind in dict.fromkeys(self.kind_of_layer)]
        return [[(n.op, len(n.inputs), *sorted(n.weights)) for n in self.segment(place)]
                for place in (-1, *first, self.n_layers)]

    def write(self):
        """The text, of lines as short as the number of variables allows."""
        for self.width, self.shortest in [*((w, False) for w in WIDTHS), (WIDTHS[1], True)]:
            text = self.written()
            if self.longest <= MOST_LINES:
                break
        return text

    def written(self):
        scope = Scope(self, None)
        for node in self.segment(-1):
            scope.put(node, 2 if any(self.place[u] != -1 for u in self.users[node]) else self.uses(node))
        self.lines_before = len(scope.lines)
        loop = Loop(self, [Layer(self, n) for n in range(self.n_layers)], scope)
        scope.local |= loop.held
        for node in self.segment(self.n_layers):
            scope.put(node, 2 if node is not self.output and self.uses(node) > 1 else 1)
        self.longest, self.kind_of_layer, self.numbers = loop.most_variables(), loop.kind_of_layer, loop.numbers
        return self.whole(list(loop.kinds), loop.lines, scope)

    def scope(self, *of):
        return Scope(self, *of)

    def whole(self, blocks, loop, scope):
        out = [f"# {self.name} - imported from Transformers by andiron-import.", f"arch {self.name}", "",
               f"param n_ctx_train = {self.n_ctx}", *["param embeds = 1"][:self.embeds],
               *[f"param n_begin = {self.begin}"][:self.begin], ""]
        for i, body in enumerate(blocks):
            out += [f"block {'layer' if len(blocks) == 1 else f'layer{i}'}{body}", ""]
        n_before = self.lines_before
        out += ["graph(tokens) {", *[f"  {x}" for x in scope.lines[:n_before]], *[f"  {x}" for x in loop],
                *[f"  {x}" for x in scope.lines[n_before:]], f"  return {strip(scope.local[self.output])}", "}", ""]
        return "\n".join(out)
