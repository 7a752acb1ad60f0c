"""A model's forward pass as a graph of torch ops, for one text of text.ROWS tokens."""
import inspect
import re

import torch

from . import hooks, text


class _Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    def forward(self, tokens, positions):
        more = {"position_ids": positions} if self.takes_positions else {}
        return self.model(input_ids=tokens, use_cache=False, **more).logits


class Trace:
    """parameters, persistent: {placeholder: name in the model}; constants: {placeholder: tensor}; nodes: torch.fx's."""

    def __init__(self, model):
        hooks.use(model)
        text.choose(model)
        inputs = (torch.zeros(1, text.ROWS, dtype=torch.long), torch.arange(text.ROWS)[None])
        with torch.no_grad(), hooks.functions(model):
            program = torch.export.export(_Logits(model), inputs, strict=False)
            program = program.run_decompositions({})
        signature = program.graph_signature
        cut = lambda names: {k: v.removeprefix("model.") for k, v in names.items()}
        self.nodes = list(program.graph.nodes)
        self.parameters = cut(signature.inputs_to_parameters)
        self.constants = {k: program.constants[v] for k, v in signature.inputs_to_lifted_tensor_constants.items()}
        buffers = dict(program.named_buffers()) | program.constants
        self.constants |= {k: buffers[v] for k, v in signature.inputs_to_buffers.items()}
        self.persistent = {k: v.removeprefix("model.") for k, v in signature.inputs_to_buffers.items()
                           if v in program.state_dict}


def module_of(node):
    """The module that an op of the trace stands in, as the model names it: "model.layers.3.self_attn"."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return re.sub(r"^(L\['self'\]\.)?model\.?", "", paths[-1]) if paths else ""
