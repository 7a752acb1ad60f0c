"""A model's forward pass as a graph of torch ops, for one text of text.ROWS tokens."""
import contextlib
import functools
import re

import torch
from torch._guards import detect_fake_mode
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from . import hooks_blocks, hooks_cpmant, hooks_encoders, hooks_local, hooks_patches  # noqa: F401 - add to tables
from . import hooks_reformer, hooks_states, hooks_streams, hooks_xlnet  # noqa: F401
from . import heads, hooks, hooks_loops, hooks_methods, text
from .rows import OPS
from .values import Refused
from .written import WRITTEN


@functools.cache
def smaller():
    """Torch's own decompositions of the ops that have no handler, and those of written.py."""
    known = torch.export.default_decompositions()
    return {op: known[op] for op in list(known) if name_of(op) not in OPS} | WRITTEN


def needs_smaller(node):
    """Has it no handler, is it written in others, or does it write in place, which torch undoes on the way? Else a
    second trace is saved."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:  # a part of a graph by itself, as autocast makes it
        return isinstance(node.target, torch._ops.HigherOrderOperator)
    return schema.is_mutable or node.target in WRITTEN or name_of(node.target) not in OPS


def needed(graph):
    """The nodes that its output is made of, and those that write in place."""
    writes = lambda n: getattr(getattr(n.target, "_schema", None), "is_mutable", False)
    left = [n for n in graph.nodes if n.op == "output" or writes(n)]
    found = set(left)
    while left:
        new = set(left.pop().all_input_nodes) - found
        found |= new
        left += new
    return found


def name_of(target):
    if not hasattr(target, "_schema"):
        return target.__name__
    return f"{target._schema.name.split('::')[1]}.{target._overloadname}"


class _Numbers(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.first_place = model, heads.first_place(model)

    def forward(self, tokens, positions, source_tokens=None):
        positions = positions + self.first_place if self.first_place else positions
        out = heads.numbers(self.model(**heads.arguments(self.model, tokens, positions, source_tokens)))
        if out.shape == tokens.shape:
            raise Refused(f"{type(self.model).__name__} gives one number a token and no row of them")
        return out


class Count(torch.utils._python_dispatch.TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.n += 1
        return op(*args, **(kwargs or {}))


def inputs_of(model, n):
    with detect_fake_mode(list(model.parameters())) or contextlib.nullcontext():  # weights.py has no numbers
        texts = [torch.zeros(1, n, dtype=torch.long) for _ in range(1 + heads.reads_source(model))]
        return texts[0], torch.arange(n)[None], *texts[1:]


def n_ops(model, n):
    """How many a text of n tokens takes, and whether it comes to its end."""
    with contextlib.suppress(Exception), Count() as count:  # what is wrong with it, the trace will say
        _Numbers(model)(*inputs_of(model, n))
        return count.n, True
    return count.n, False


def loops_over_text(model):
    """Does its Python? Then a longer text takes more ops: some a row, or many a chunk of rows."""
    fewest, few = n_ops(model, 4)[0], n_ops(model, 8)[0]  # torch.jit's first runs take some ops more
    return few - fewest >= 8 or n_ops(model, text.USUAL)[0] > 3 * few


def longer_text(model):
    """Of how many tokens a text is whose ops are others than those of the trace; 0: there is none."""
    n = text.longer_of(model)
    of_longer, ends = n_ops(model, n)
    return n if ends and of_longer != n_ops(model, text.ROWS)[0] else 0


def exported(model, inputs):
    try:
        return torch.export.export(_Numbers(model), inputs, strict=False)
    except GuardOnDataDependentSymNode as e:
        raise Refused("what its Python does depends on numbers that it has computed, which no trace can follow") from e
    except (AttributeError, TypeError, ValueError) as e:
        if n_ops(model, text.ROWS)[1]:
            raise
        raise Refused(f"{type(model).__name__} does not run on a text alone: {e}") from e


def like_nothing(node):
    """One number everywhere, in another one's shape or of its type, does not read it; nor does what is copied to it."""
    numbers = {"zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1, "full_like": None, "new_full": None}
    name = name_of(node.target).removesuffix(".default") if node.op == "call_function" else ""
    if name == "copy":
        node.args = (node.args[1], *node.args[1:])
    if name in numbers:
        value, number = node.meta["val"], node.args[-1] if numbers[name] is None else numbers[name]
        node.target, node.args = torch.ops.aten.full.default, (list(value.shape), number)
        node.kwargs = {"dtype": value.dtype}


def longer_in(nodes):
    """Lengths of the text with rows before it."""
    of = lambda n: [tuple(x.meta["val"].shape) for x in [*n.args[0], n]]
    shapes = [of(n) for n in nodes if n.op == "call_function" and name_of(n.target) == "cat.default"]
    return {b for *parts, whole in shapes for p in parts for a, b in zip(p, whole) if a == text.ROWS < b}


class Trace:
    """parameters, persistent: {placeholder: name in the model}; constants: {placeholder: tensor}; nodes: torch.fx's.
    longer: a length at which the model takes other steps, which a proof has to see, or 0. known: are functions whose
    name is known (hooks.py) what it says? begin: so many of the text's rows are the model's own, before its tokens."""

    def __init__(self, model, known=True, begin=0):
        hooks.use(model)
        self.begin = begin
        with torch.no_grad(), hooks.functions(model, known), hooks_methods.methods(model):
            text.choose(model, (text.SHORT if loops_over_text(model) else text.USUAL) + begin)
            self.longer = longer_text(model)
            inputs = inputs_of(model, text.ROWS - begin)
            with hooks_loops.Loops():
                program = exported(model, inputs)
            if any(map(needs_smaller, needed(program.graph))):
                program = program.run_decompositions(smaller())
        for node in reversed(program.graph.nodes):
            like_nothing(node)
            if node.op == "call_function" and name_of(node.target).startswith(("_assert", "sym_constrain")):
                program.graph.erase_node(node)
        program.graph.eliminate_dead_code()
        text.LONGER = longer_in(program.graph.nodes)
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
