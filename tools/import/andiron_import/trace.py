"""A model's forward pass as a graph of torch ops, for one text of text.ROWS tokens."""
import contextlib
import re

import torch
from torch._guards import detect_fake_mode
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from . import hooks_blocks, hooks_encoders, hooks_local, hooks_states, hooks_xlnet  # noqa: F401 - they add to tables
from . import heads, hooks, hooks_loops, hooks_methods, text
from .rows import OPS
from .values import Refused


def smaller(graph):
    """Torch's own decompositions of the ops that have no handler."""
    known = torch.export.default_decompositions()
    ops = {n.target for n in graph.nodes if n.op == "call_function" and hasattr(n.target, "_schema")}
    return {op: known[op] for op in ops if op in known and name_of(op) not in OPS}


def name_of(target):
    if not hasattr(target, "_schema"):
        return target.__name__
    return f"{target._schema.name.split('::')[1]}.{target._overloadname}"


class _Numbers(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens, positions, source_tokens=None):
        return heads.numbers(self.model(**heads.arguments(self.model, tokens, positions, source_tokens)))


class _Count(torch.utils._python_dispatch.TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.n += 1
        return op(*args, **(kwargs or {}))


def inputs_of(model, n):
    with detect_fake_mode(list(model.parameters())) or contextlib.nullcontext():  # weights.py has no numbers
        texts = [torch.zeros(1, n, dtype=torch.long) for _ in range(1 + heads.reads_source(model))]
        return texts[0], torch.arange(n)[None], *texts[1:]


def loops_over_text(model):
    """Does its Python? Then a longer text takes more ops."""
    counts = []
    for n in (4, 8):
        inputs = inputs_of(model, n)
        with contextlib.suppress(Exception), _Count() as count:  # what is wrong with it, the trace will say
            _Numbers(model)(*inputs)
        counts.append(count.n)
    return counts[1] - counts[0] >= 8


def exported(model, inputs):
    try:
        return torch.export.export(_Numbers(model), inputs, strict=False)
    except GuardOnDataDependentSymNode as e:
        raise Refused("what its Python does depends on numbers that it has computed, which no trace can follow") from e


def like_nothing(node):
    """Zeros or ones of another one's shape do not read it."""
    numbers = {"zeros_like.default": 0, "ones_like.default": 1}
    if node.op == "call_function" and name_of(node.target) in numbers:
        value, number = node.meta["val"], numbers[name_of(node.target)]
        node.target, node.args = torch.ops.aten.full.default, (list(value.shape), number)
        node.kwargs = {"dtype": value.dtype}


class Trace:
    """parameters, persistent: {placeholder: name in the model}; constants: {placeholder: tensor}; nodes: torch.fx's.
    known: are functions whose name is known (hooks.py) what it says?"""

    def __init__(self, model, known=True):
        hooks.use(model)
        with torch.no_grad(), hooks.functions(model, known), hooks_methods.methods(model):
            text.choose(model, text.SHORT if loops_over_text(model) else text.USUAL)
            inputs = inputs_of(model, text.ROWS)
            with hooks_loops.Loops():
                program = exported(model, inputs)
            program = program.run_decompositions({})
            program = program.run_decompositions(smaller(program.graph))
        for node in reversed(program.graph.nodes):
            like_nothing(node)
            if node.op == "call_function" and name_of(node.target).startswith(("_assert", "sym_constrain")):
                program.graph.erase_node(node)
        program.graph.eliminate_dead_code()
        signature = program.graph_signature
        self.padding, self.n_tokens = heads.padding(model), heads.n_tokens(model)
        encoder = model.get_encoder() if heads.reads_source(model) else None
        self.of_source = next((name for name, m in model.named_modules() if m is encoder), None)  # the module
        cut = lambda names: {k: v.removeprefix("model.") for k, v in names.items()}
        self.nodes = list(program.graph.nodes)
        self.parameters = cut(signature.inputs_to_parameters)
        self.constants = {k: program.constants[v] for k, v in signature.inputs_to_lifted_tensor_constants.items()}
        buffers = dict(program.named_buffers()) | program.constants
        self.constants |= {k: buffers[v] for k, v in signature.inputs_to_buffers.items()}
        self.persistent = {k: v.removeprefix("model.") for k, v in signature.inputs_to_buffers.items()
                           if v in program.state_dict}


def modules_of(node):
    """The modules that an op of the trace stands in, outermost first, as the model names them."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [re.sub(r"^(L\['self'\]\.)?model\.?", "", path) for path, _ in stack.values()]
    return [p for p in paths if p]


def stands_in(node, module):
    """module: its name, or None: in none."""
    return module is not None and any(p == module or p.startswith(module + ".") for p in modules_of(node))


def module_of(node):
    """The innermost: "model.layers.3.self_attn"; "" is the model."""
    return (modules_of(node) or [""])[-1]
