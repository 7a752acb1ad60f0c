"""A traced model: its definition, and the file that carries it."""
import pathlib
import re

import torch

from . import emit, heads, lower, ops_text, text, trace, weights, write
from .rows import ordered
from .values import Node


def layers_of(model, nodes):
    """Names of the lists of modules that the layers are: of those that nodes stand in, outside of others, the longest
    and its like."""
    runs = {n.module for n in nodes}
    lists = [(n, m) for n, m in model.named_modules()
             if isinstance(m, torch.nn.ModuleList) and any(r.startswith(n + ".") for r in runs)]
    outer = [(n, m) for n, m in lists if not any(n.startswith(o + ".") for o, _ in lists if o != n)]
    kinds = {n: {type(layer) for layer in m} for n, m in outer}
    longest = max(outer, key=lambda pair: len(pair[1]), default=("", ()))[0]
    return [n for n, _ in outer if kinds[n] == kinds[longest]]


class Imported:
    """text: the definition; emitter: the names of its tensors. The model's parameters may be weights.py's."""

    def __init__(self, model):
        self.model = model
        self.name = "hf-" + re.sub(r"[^\w-]", "-", model.config.model_type)
        self.n_parameters = sum(p.numel() for p in model.parameters())
        self.gives = heads.outputs_of(model)
        self.trace = trace.Trace(model)
        self.lowering = lower.Lowering(self.trace)
        self.tell(self.lowering.run())

    def tell(self, output):
        nodes = emit.in_order(output)
        output, place = ops_text.pooled(nodes)
        n_ctx = text.context_of(self.model.config.get_text_config())
        self.emitter = emit.Emitter(output, layers_of(self.model, nodes), self.name, n_ctx, self.gives != "scores")
        self.pooling = ops_text.pooling_type(place, self.gives, self.emitter.nodes)
        self.text = self.emitter.write()

    def tell_until(self, traced_node):
        """The definition as far as a node of the trace, whose numbers it gives in place of the scores."""
        Node.place = ""
        node = ordered(self.lowering.value[traced_node])
        self.tell(Node("add", [(node, 1)], node.n, attrs={"number": 0}))

    def save(self, path, kind, directory):
        """With the folder's tokenizer."""
        state = dict(self.model.named_parameters(remove_duplicate=False)) | dict(self.model.named_buffers())
        write.write(path, self, lambda name: weights.numbers(state[name]), pathlib.Path(directory), kind)
