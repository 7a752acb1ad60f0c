"""A traced model: its definition, and the file that carries it."""
import collections
import pathlib
import re

import torch

from . import emit, lower, text, trace, write
from .rows import ordered
from .values import Node


def layers_of(model):
    """The name of the list of modules that the layers are: of those outside of other lists, the longest."""
    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)]
    outer = [(n, m) for n, m in lists if not any(n.startswith(o + ".") for o, _ in lists if o != n)]
    count = collections.Counter({n: len(m) for n, m in outer})
    return max(count, key=count.get) if count else ""


def loader_of(model):
    """The numbers of a model that has them."""
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    return state.__getitem__


class Imported:
    """text: the definition; emitter: the names of its tensors. load: a function that gives a parameter's numbers."""

    def __init__(self, model, load=None):
        self.load = load or loader_of(model)
        self.name = "hf-" + re.sub(r"[^\w-]", "-", model.config.model_type)
        self.layers = layers_of(model)
        self.n_ctx = text.context_of(model.config.get_text_config())
        self.trace = trace.Trace(model)
        self.lowering = lower.Lowering(self.trace)
        self.tell(self.lowering.run())

    def tell(self, output):
        self.emitter = emit.Emitter(output, self.layers, self.name, self.n_ctx)
        self.text = self.emitter.write()

    def tell_until(self, traced_node):
        """The definition as far as a node of the trace, whose numbers it gives in place of the scores."""
        Node.place = ""
        self.tell(Node("add", [(ordered(self.lowering.value[traced_node]), 1)], attrs={"number": 0},
                       n=ordered(self.lowering.value[traced_node]).n))

    def save(self, path, kind, directory):
        write.write(path, self, pathlib.Path(directory), kind)
