"""A whole trace, from torch's ops to andiron's."""
import operator

import torch

from . import before, by_key, einsum, gathered, grams, indexer, near, ops_blocks, ops_complex  # noqa: F401
from . import ops_cpmant, ops_largest, ops_layers, ops_local, ops_patches, ops_states, ops_text  # noqa: F401
from . import recurrence, routed, scores, seen, segments, shifted, steps, text, trace, whole  # noqa: F401
from .ops_moves import Ids, counted, numbers
from .rows import OPS, number_of, ordered
from .values import TEXT, Aside, Complex, Const, Fill, Mask, Node, Refused, Rows, words_of

MOVING = (Rows, Fill, Mask, Complex, Aside, scores.Scores, indexer.Relevance, shifted.Longer, by_key.ByKey, near.Near)


class At:
    """What an op's handler sees of its place: name, shape and dtype of what it gives."""

    def __init__(self, node, name):
        value, self.name = node.meta.get("val"), name
        several = isinstance(value, (list, tuple))
        self.shape = [tuple(v.shape) for v in value] if several else tuple(getattr(value, "shape", ()))
        self.dtype = getattr(value[0] if several else value, "dtype", None)


def spread_to(x, shape):
    return x.then(lambda b: b.expand(shape), shape, f"as {shape}")


class Lowering:
    def __init__(self, traced):
        self.traced, self.value = traced, {}
        calls = [n for n in traced.nodes if n.op == "call_function"]
        reads = [n.args for n in calls if trace.name_of(n.target) == "embedding.default"]
        read = (t.meta["val"].shape[0] for t, i, *_ in reads if i.op == "placeholder")
        self.n_tokens = max(read, default=traced.n_tokens)

    def placeholder(self, node):
        t = self.traced
        if node.name in t.parameters:
            return Const.parameter(t.parameters[node.name], node.meta["val"].shape)
        if node.name in t.constants:
            if node.name in t.persistent:
                return Const.buffer(t.persistent[node.name], t.constants[node.name])
            known = t.constants[node.name]
            counts = known.shape == (1,) and not known.is_floating_point() and known.item() == text.ROWS
            return ops_text.Count(known.shape) if counts else Const.literal(known)
        of, begin = "tokens" if "tokens" in node.name else "positions", t.begin
        ids = Ids(of, [[], [(text.ROWS, TEXT)]], -begin if of == "positions" else 0)
        return shifted.Longer(ids, -begin, text.ROWS - begin) if begin else ids

    def call(self, node):
        at = At(node, trace.name_of(node.target))
        if node.target is operator.getitem:
            return self.arg(node.args[0])[node.args[1]]
        args, kwargs = [self.arg(a) for a in node.args], {k: self.arg(v) for k, v in node.kwargs.items()}
        args = near.squares(args)
        flat = [x for a in [*args, *kwargs.values()] for x in (a if isinstance(a, (list, tuple)) else [a])]
        moving = [x for x in flat if isinstance(x, MOVING)]
        rows_in = lambda shape: shape.count(text.ROWS)
        spread = at.name == "expand.default" and rows_in(at.shape) > rows_in(flat[0].shape)  # no constant now
        if isinstance(at.shape, tuple) and text.is_square(at.shape) and are_places(flat):
            return place_by_place(node, args, kwargs, at.shape)
        if not moving and not spread and any(isinstance(x, Const) for x in flat):
            if at.name in TRIANGLES and args[0].shape[-2:] == (text.ROWS, text.ROWS):
                return triangle(at.name, *args)
            if at.name == "linear.default" and shifted.is_zero(args[0]):
                return Const.literal(torch.zeros(at.shape)) if len(args) < 3 else spread_to(args[2], at.shape)
            if isinstance(at.shape, list):
                return [Const.op(node.target, args, kwargs, s, i) for i, s in enumerate(at.shape)]
            return counted(Const.op(node.target, args, kwargs, at.shape, None))
        if any(isinstance(x, (ops_text.Count, ops_text.Total)) for x in flat):
            return ops_text.counts(at, args)
        if at.name in MOVES and isinstance(args[0], Fill):
            return Fill(args[0].number, at.shape)
        if at.name in SAME_EVERYWHERE and all(number_of(x) is not None for x in args) and fills(flat):
            return Fill(same_everywhere(node, args), at.shape)
        of_before = before.step(node, at, args, kwargs) if any(isinstance(x, before.Preceded) for x in flat) else None
        if of_before is not None:
            return of_before
        args = [before.plain(a) if at.name not in before.TAKES else a for a in args]
        if any(isinstance(x, (grams.Gram, grams.Rolled)) for x in flat):
            return grams.step(at, at.name, args, self.n_tokens)
        of_tokens = shifted.of_tokens(at, args, self.n_tokens) if at.name in grams.HASHES else None
        if of_tokens:
            return of_tokens
        if any(isinstance(x, scores.OF_SCORES) for x in flat):
            return scores.step(at, at.name, args, kwargs)
        if self.asks_for_padding(at.name, args):
            return Fill(float(at.name.startswith("ne")), at.shape)
        of_whole = whole.computed(at, node.target, args, kwargs, self.n_tokens)
        if of_whole:
            return of_whole
        if at.name not in OPS:
            raise Refused(f"torch's {at.name} has no op here")
        x = args[0] if args else None
        of_place = isinstance(x, AtPlaces) or isinstance(x, Ids) and x.source == "positions"
        if at.name in OF_PLACES and of_place and number_of(args[1]) is not None:
            rows = OPS[at.name](at, numbers(x), args[1], **kwargs)
            return AtPlaces(rows, place_by_place(node, args, kwargs, at.shape))
        if at.name == "embedding.default" and isinstance(args[1], shifted.Begun):
            return args[1].read(at, x, self.n_tokens)
        if at.name in shifted.ROW_WISE and any(isinstance(a, shifted.Longer) for a in args):
            return shifted.row_wise(at, OPS[at.name], args, kwargs)
        return whole.moved(x, self.ids(at, args) or OPS[at.name](at, *[self.plain(at, a) for a in args], **kwargs))

    def asks_for_padding(self, name, args):
        """A text has no padding: whether a token is that is known."""
        tokens = isinstance(args[0] if args else None, Ids) and args[0].source == "tokens"
        return tokens and name in ("ne.Scalar", "eq.Scalar") and args[1] in self.traced.padding

    def ids(self, at, args):
        """Whole numbers stay whole where they are moved, or shifted."""
        x = args[0] if args else None
        if not isinstance(x, Ids) or at.dtype is None or at.dtype.is_floating_point or at.dtype == torch.bool:
            return None
        if at.name in ("add.Tensor", "sub.Tensor") and number_of(args[1]) is not None:
            by = int(number_of(args[1]))
            return Ids(x.source, x.dims, x.plus + (by if at.name == "add.Tensor" else -by))
        if at.name == "mul.Tensor" and number_of(args[1]) == 1:
            return x
        moved = OPS[at.name](at, *args) if at.name in OPS and at.name not in ("add.Tensor", "mul.Tensor") else None
        if x.source == "tokens" and isinstance(moved, (shifted.Longer, shifted.Begun, grams.Gram, grams.Rolled)):
            return moved
        return x.remade(moved) if isinstance(moved, Rows) and moved.node is x.node else None

    def plain(self, at, x):
        keeps = ("embedding.default", "index_select.default", "index.Tensor", "gather.default", "argmax.default",
                 "to.dtype", "_to_copy.default", "to.dtype_layout", "type_as.default", "ngrams.default",
                 "one_hot.default")
        if isinstance(x, (gathered.Gathered, ops_complex.Pairs, routed.Hot)) and at.name not in x.TAKES:
            return x.rows()
        return x if at.name in keeps else numbers(x)

    def arg(self, a):
        if isinstance(a, torch.fx.Node):
            return self.value[a]
        return [self.arg(x) for x in a] if isinstance(a, (list, tuple)) else a

    def run(self):
        """The node that gives the scores; each node knows the module whose op made it."""
        loops, sums = steps.Steps(self.traced.nodes), segments.Segments(self.traced.nodes)
        for node in self.traced.nodes:
            if node.op == "placeholder":
                self.value[node] = self.placeholder(node)
            elif node in loops.loops:
                self.enter(node)
                self.value[node] = self.named(node, lambda n: recurrence.told(self, loops, loops.loops[n]))
            elif node in sums.ends:
                self.enter(node)
                self.value[node] = self.named(node, lambda n: segments.told(*map(self.arg, sums.ends[n])))
            elif loops.inside(node) or node in sums.between:
                continue
            elif node.op == "call_function":
                self.step(node)
            elif node.op == "output":
                out = self.value[node.args[0][-1]]  # before it, what the model changed of its own
                whole = shifted.longer(out)
                if (whole.before, whole.length) != (-self.traced.begin, text.ROWS - self.traced.begin):
                    raise Refused("the trace gives other rows than the text's")
                return ordered(whole.x)
        raise Refused("the trace gives nothing")

    def step(self, node):
        self.enter(node)
        self.value[node] = self.named(node, self.call)

    def enter(self, node):
        Node.place, Node.in_source = trace.module_of(node), trace.stands_in(node, self.traced.of_source)

    def step_of_loop(self, node, read):
        """A node of a loop's step; read: what of the text it is (steps.py)."""
        self.enter(node)
        if read:
            self.value[node] = recurrence.row(self.value[read[0]], *read[1::2])
            return
        at = At(node, trace.name_of(node.target))
        if at.name == "copy.default":
            self.value[node] = self.arg(node.args[1])
            return
        if node.target is operator.getitem:
            self.value[node] = self.arg(node.args[0])[node.args[1]]
            return
        args = [self.arg(a) for a in node.args]
        if any(isinstance(v, (Rows, Aside)) for a in args for v in (a if isinstance(a, list) else [a])):
            self.value[node] = self.named(node, lambda n: recurrence.call(self, at, args, n.kwargs))
        else:
            self.value[node] = self.named(node, self.call)

    def named(self, node, call):
        """What call(node) gives; a refusal says which module and op it was, and of what."""
        try:
            return call(node)
        except (Refused, LookupError, AttributeError, TypeError, ValueError, RuntimeError) as e:
            if getattr(e, "is_named", False):
                raise
            given = dict.fromkeys(words_of(self.value[x]) for x in node.all_input_nodes if x in self.value)
            what = e if isinstance(e, Refused) else f"it is not covered of {' and '.join(given)}"
            why = Refused(f"{trace.module_of(node) or 'the model'}: {trace.name_of(node.target)}: {what}")
            why.is_named, why.begin = True, getattr(e, "begin", 0)
            raise why from e


def are_places(values):
    """Are they made of places in the text, and of no token?"""
    of = [x for x in values if isinstance(x, (Rows, Fill, Const, Mask, Complex, Aside, scores.Scores))]
    known = lambda x: isinstance(x, (Const, Fill, AtPlaces)) or isinstance(x, Ids) and x.source == "positions"
    some = any(isinstance(x, (Ids, AtPlaces)) for x in of)
    return all(map(known, of)) and some or {type(x) for x in of} == {Const, Fill}


OF_PLACES = {f"{name}.Scalar" for name in ("lt", "le", "gt", "ge", "eq", "ne", "remainder")} | {
    "floor_divide.default", "div.Tensor_mode"}


class AtPlaces(Rows):
    """What is asked of positions, or which block they stand in: rows, and the same as a tensor of text.ROWS places."""

    def __init__(self, rows, known):
        super().__init__(rows.node, rows.dims, rows.start)
        self.known = known

    def view(self, shape):
        return AtPlaces(super().view(shape), self.known.then(lambda x: x.reshape(shape), shape, f"as {shape}"))


def place_by_place(node, args, kwargs, shape):
    """Numbers of places, or of pairs of them: computed, for text.ROWS of them."""
    def constant(x, of):
        if isinstance(x, list):
            return [constant(y, o) for y, o in zip(x, of)]
        if isinstance(x, Fill):
            return Const.literal(torch.full(x.shape, x.number, dtype=of.meta["val"].dtype))
        if isinstance(x, AtPlaces):
            return x.known
        return Const.places(x.plus, x.shape) if isinstance(x, Ids) else x
    return Const.op(node.target, [constant(x, of) for x, of in zip(args, node.args)], kwargs, shape, None)


TRIANGLES = {"tril.default": torch.tril, "triu.default": torch.triu}


def triangle(name, square, diagonal=0):
    """Of queries that stand farther on, too."""
    cut = lambda x: TRIANGLES[name](x, diagonal + Const.ahead)
    return square.then(cut, square.shape, f"{name}{diagonal}")


SAME_EVERYWHERE = {f"{name}.{kind}" for kind in ("Tensor", "Scalar") for name in (
    "add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "__and__")} | {
    "logical_not.default", "bitwise_not.default", "clamp.default", "abs.default", "rsub.Scalar", "neg.default",
    "exp.default"}


def fills(values):
    return any(isinstance(x, Fill) for x in values)


def same_everywhere(node, args):
    """An op of numbers that are the same everywhere."""
    one = lambda x, of: torch.tensor(x.number).to(of.meta["val"].dtype) if isinstance(x, Fill) else (
        x.known().reshape(()) if isinstance(x, Const) else x)
    return float(node.target(*[one(x, of) for x, of in zip(args, node.args)]))


MOVES = {"view.default", "expand.default", "unsqueeze.default", "squeeze.dim", "reshape.default", "select.int",
         "slice.Tensor", "permute.default", "transpose.int", "squeeze.dims", "clone.default", "_unsafe_view.default"}
