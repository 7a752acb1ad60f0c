"""A traced model: its definition, and the file that carries it."""
import collections
import itertools
import pathlib
import re

import torch

from . import chunks, distances, emit, heads, lower, ops_text, sources, text, trace, weights, write
from .rows import ordered
from .values import STATEFUL, Node, reads_ahead


def lists_of(model):
    """Names of modules that stand side by side: lists, sequences, dictionaries of a kind, block0, block1, ..."""
    out = []
    for name, m in model.named_modules():
        path = lambda part: f"{name}.{part}".lstrip(".")
        if isinstance(m, torch.nn.ModuleList):
            out.append([path(part) for part, _ in m.named_children()])
            continue
        kinds = collections.defaultdict(list)
        for part, child in m.named_children():
            alike = isinstance(m, (torch.nn.Sequential, torch.nn.ModuleDict))
            kinds[type(child) if alike else re.sub(r"\d+", "", part)].append(path(part))
        out += [parts for parts in kinds.values() if len(parts) > 1]
    return out


def layers_of(model, nodes):
    """Lists of names of modules, the layers: of those that nodes stand in, outside of others, all that read other rows,
    or the longest and its like; and modules outside of them that do. Then what stands beside them."""
    runs, states = {n.module for n in nodes}, {n.module for n in nodes if n.op in STATEFUL and n.module}
    inside = lambda path, names: any(path == n or path.startswith(n + ".") for n in names)
    lists = [v for v in lists_of(model) if any(inside(r, v) for r in runs)]
    outer = [v for v in lists if not any(inside(v[0], o) for o in lists if o is not v)]
    kind = lambda names: {type(model.get_submodule(n)) for n in names}
    longest = max((v for v in outer if any(inside(s, v) for s in states) or not states), key=len, default=[])
    chosen = [v for v in outer if kind(v) == kind(longest) or any(inside(s, v) for s in states)]
    alone = sorted({s for s in states if not any(inside(s, v) for v in chosen)})
    alone = [[s] for s in alone if not inside(s, [a for a in alone if a != s])]
    return chosen + alone, beside(chosen, [v for v in outer if v not in chosen], nodes)


def beside(layers, others, nodes):
    """{a module of another list: the layer that it is a part of}: of lists that are walked through with the layers'."""
    def starts(names):
        return [min((n.order for n in nodes if f"{n.module}.".startswith(f"{name}.")), default=0) for name in names]
    parent, found = lambda names: names[0].rpartition(".")[0].rpartition(".")[0], {}
    for names, more in itertools.product(layers, others):
        if len(names) == len(more) and parent(names) == parent(more):
            of, to = starts(names), starts(more)
            if all(a < y for a, y in zip(of, to[1:])) and all(x < b for x, b in zip(to, of[1:])):
                found |= dict(zip(more, names))
    return found


class Imported:
    """text: the definition; emitter: the names of its tensors; whole_texts: rows see what follows them. The
    model's parameters may be weights.py's. free: sizes of chunks by which its answer does not change (chunks.py)."""

    def __init__(self, model, free=(), begin=0):
        self.model = model
        self.name = "hf-" + re.sub(r"[^\w-]", "-", model.config.model_type)
        self.n_parameters = sum(p.numel() for p in model.parameters())
        self.gives = heads.outputs_of(model)
        with chunks.of_one_row(model, free):
            self.trace = trace.Trace(model, not free, begin)
        self.lowering = lower.Lowering(self.trace)
        output = self.lowering.run()
        if distances.are_beyond(emit.in_order(output)):
            self.trace.longer = text.longer_of(model)
        self.tell(output)

    def tell(self, output):
        nodes = emit.in_order(output)
        own = sources.told(nodes) if self.trace.of_source is not None else nodes
        output, place = ops_text.pooled(nodes)
        nodes = emit.in_order(output)
        n_ctx = text.context_of(self.model.config.get_text_config())
        self.emitter = emit.Emitter(output, layers_of(self.model, nodes), self.name, n_ctx, self.gives != "scores",
                                    self.trace.begin)
        self.pooling = ops_text.pooling_type(place, self.gives, self.emitter.nodes)
        self.text = self.emitter.write()
        self.whole_texts = any(map(reads_ahead, own))

    def tell_until(self, traced_node):
        """The definition as far as a node of the trace, whose numbers it gives in place of the scores."""
        Node.place, Node.in_source = "", False
        node = ordered(self.lowering.value[traced_node])
        self.tell(Node("add", [(node, 1)], node.n, attrs={"number": 0}))

    def save(self, path, kind, directory):
        """With the folder's tokenizer."""
        state = dict(self.model.named_parameters(remove_duplicate=False)) | dict(self.model.named_buffers())
        write.write(path, self, lambda name: weights.numbers(state[name]), pathlib.Path(directory), kind)
