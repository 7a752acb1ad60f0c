"""A step of a loop over the text (steps.py), told once for any row, as `scan`: each state is a factor times the one
before, and what is added. Of a matrix with heads, what is added may be a product of a column and a row, and depend on
what was read of the state (the delta rule)."""
import itertools
import math

import torch

from . import text
from .ops_numbers import summed
from .ops_states import alone, is_first, previous
from .rows import OPS, as_rows, combine, joined, number_of, ordered
from .values import TEXT, Aside, Const, Fill, Node, Refused, Rows, alike


class State(Aside):
    """factor * (a state before or after the step) + terms, each Rows or an Outer."""
    said = "a state of a loop over the text"

    def __init__(self, of, when, shape, factor=1.0, terms=()):
        self.of, self.when, self.shape, self.factor, self.terms = of, when, tuple(shape), factor, list(terms)

    def times(self, x):
        factor = combine("mul", self.factor, x, self.shape) if number_of(self.factor) != 1 else x
        return State(self.of, self.when, self.shape, factor, [times(t, x, self.shape) for t in self.terms])

    def plus(self, x):
        if isinstance(x, State):
            if (x.of, x.when) != (self.of, self.when):
                raise Refused("a sum of two states of a loop over the text")
            factor = combine("add", self.factor, x.factor, self.shape)
            return State(self.of, self.when, self.shape, factor, [*self.terms, *x.terms])
        return State(self.of, self.when, self.shape, self.factor, [*self.terms, x])


class Outer(Aside):
    """a * b, each of which is 1 where the other is not; b may be a Read."""
    said = "an outer product in a loop over the text"

    def __init__(self, a, b, shape):
        self.a, self.b, self.shape = a, b, tuple(shape)

    def full(self):
        return combine("mul", rows_of(self.a), rows_of(self.b), self.shape)


class Read(Aside):
    """scale * sum(by * state) + plus: a state summed over a dimension."""
    said = "what a loop over the text reads of its state"

    def __init__(self, state, by, dim, shape, scale=1.0, plus=0.0):
        self.state, self.by, self.dim, self.shape = state, by, dim, tuple(shape)
        self.scale, self.plus = scale, plus

    def but(self, **of):
        return Read(**(self.__dict__ | of))


def reads(term):
    """Does what is added depend on what was read of a state?"""
    return isinstance(term, Outer) and isinstance(term.b, Read)


def times(term, x, shape):
    if isinstance(term, Outer):
        fits = lambda y: torch.broadcast_shapes(y.shape, getattr(x, "shape", ())) == tuple(y.shape)
        if fits(term.a):
            return Outer(product(term.a, x), term.b, shape)
        if fits(term.b):
            return Outer(term.a, product(term.b, x), shape)
        term = term.full()
    return combine("mul", term, x, shape)


def product(v, x):
    if isinstance(v, Read):
        shaped = lambda y: combine("mul", y, x, v.shape)
        return v.but(scale=shaped(v.scale), plus=shaped(v.plus) if number_of(v.plus) != 0 else v.plus)
    return combine("mul", v, x, v.shape)


def rows_of(v):
    """As numbers of the row, once the states are known."""
    if isinstance(v, Outer):
        return v.full()
    if isinstance(v, State):
        out = v.of.scanned(v.when)
        out = combine("mul", out, v.factor, v.shape)
        for t in v.terms:
            out = combine("add", out, rows_of(t), v.shape)
        return out
    if isinstance(v, Read):
        out = v.state.of.read(v)
        out = combine("mul", out, v.scale, v.shape)
        return out if number_of(v.plus) == 0 else combine("add", out, v.plus, v.shape)
    return v


def is_outer(a, b):
    """Are there two dimensions, each of which one of them alone has?"""
    if not all(isinstance(x, (Rows, Read)) for x in (a, b)) or len(a.shape) != len(b.shape):
        return False
    more = lambda x, y: any(n > 1 and m == 1 for n, m in zip(x.shape, y.shape))
    return more(a, b) and more(b, a)


class Variable:
    """One state of the loop. after: what the step leaves, in terms of what was there before it."""

    def __init__(self, shape):
        self.shape, self.after = tuple(shape), None

    def scanned(self, when):
        """The whole state: each number by itself."""
        if self.after is None or any(map(reads, self.after.terms)):
            raise Refused("a loop over the text whose steps are not linear in their state")
        n, added = math.prod(self.shape), Fill(0.0, self.shape)
        for t in self.after.terms:
            added = combine("add", added, rows_of(t), self.shape)
        ins = [alone(), alone(), (ordered(spread(added, self.shape)), n), (self.decay(self.shape), n)]
        return Rows.of(Node("scan", ins, n, n, order(when)), self.shape)

    def decay(self, shape):
        return ordered(spread(self.after.factor, shape))

    def read(self, r):
        """sum(by * state) over r.dim: as q of a scan where it can be."""
        sums = self.matrix(r)
        return sums if sums is not None else summed(
            combine("mul", self.scanned(r.state.when), r.by, self.shape), [r.dim]).view(r.shape)

    def matrix(self, r):
        """As a scan of [keys, values] with heads, or None."""
        if r.state.terms:
            raise Refused("a loop over the text that gives what a row's steps leave in between")
        key = r.dim
        varies = lambda x: [i for i, s in enumerate(getattr(x, "shape", ())) if s > 1 and not is_still(x, i)]
        by = varies(spread(r.by, self.shape))
        others = (i for i in reversed(range(len(self.shape))) if i != key and i not in by)
        value = next((i for i in others if self.shape[i] > 1), None)
        pairs = [] if value is None else [sides(t, key, value) for t in self.after.terms]
        plain, read = ([p for p in pairs if p and isinstance(p[1], Read) == of] for of in (False, True))
        several = len(read) > 1 and not plain
        few = (several or len(plain) < 2 and len(read) < 2) and pairs and None not in pairs
        if not few or plain and read and number_of(read[0][1].plus) != 0:
            return None
        if value in varies(spread(self.after.factor, self.shape)):
            return None
        heads = [i for i in range(len(self.shape)) if i not in (key, value)]
        h = math.prod(self.shape[i] for i in heads)
        seen = lambda x, dim: ordered(in_heads(x, self.shape, heads, dim))
        single = key not in varies(spread(self.after.factor, self.shape))
        decay = seen(self.after.factor, None if single else key)
        if several:
            return self.in_steps(r, read, key, value, heads, seen, decay)
        a, b = self.corrected(*read[0], key, value, seen) if read else (None, None)
        k, added = plain[0] if plain else (read[0][0], read[0][1].plus)
        ins = [(seen(r.by, key), h), (seen(k, key), h), (seen(added, value), h), (decay, h)]
        node = Node("scan", [*ins, *([(a, h), (b, h)] if a else [])], h * self.shape[value], h, order(r.state.when))
        return self.shaped(node, r, heads, value)

    def shaped(self, node, r, heads, value):
        """What a scan gives, as what was read."""
        at = [*heads, value]
        out = Rows.of(node, [self.shape[i] for i in at])
        return out.permute([at.index(i) for i in range(len(self.shape)) if i in at]).view(r.shape)

    def in_steps(self, r, read, key, value, heads, seen, decay):
        """Several steps a row, each of which reads what the one before left (Siems et al. 2025)."""
        terms, h = self.after.terms, math.prod(self.shape[i] for i in heads)
        for n, (_, v) in enumerate(read):
            before = v.state.terms
            if n and (len(before) != n or any(a is not b for a, b in zip(before, terms))):
                raise Refused("a loop over the text whose row's steps do not follow one another")

        def side_by_side(nodes):
            parts = [Rows.of(x, (1, h, 1, x.n // h)) for x in nodes]
            return ordered(joined(parts, 2, (1, h, len(nodes), nodes[0].n // h))), h * len(nodes)
        a, b = zip(*[self.corrected(k, v, key, value, seen) for k, v in read])
        decays = [decay] + [alike(decay.n, 1)] * (len(read) - 1)
        steps = [[seen(k, key) for k, _ in read], [seen(v.plus, value) for _, v in read], decays, a, b]
        ins = [(seen(r.by, key), h), *map(side_by_side, steps)]
        return self.shaped(Node("scan", ins, h * self.shape[value], h, {"steps": len(read)}), r, heads, value)

    def corrected(self, k, v, key, value, seen):
        """a and b of scan, of what is added and depends on what was read of the state."""
        if v.state.of is not self or v.state.when != "before" or v.dim != key:
            raise Refused("a loop over the text whose state takes in what was read of another one")
        if not is_still(spread(v.scale, v.shape), value):
            raise Refused("a loop over the text whose reading of its state is not scaled as a whole")
        scale = spread(v.scale, v.shape).narrow(value, 0, 1)
        return seen(v.by, key), seen(combine("mul", k, scale, k.shape), key)


def sides(term, key, value):
    """(what a term has of the keys, of the values) where it is their product, or None."""
    if not isinstance(term, Outer):
        return None
    turned = [(term.a, term.b)] + [(term.b, term.a)] * (not isinstance(term.b, Read))
    return next(((k, v) for k, v in turned if k.shape[value] == v.shape[key] == 1), None)


def order(when):
    return {"order": "before"} if when == "before" else {}


def spread(x, shape):
    return as_rows(Fill(float(x), shape) if isinstance(x, (int, float)) else x).expand(shape)


def is_still(x, dim):
    """Are x's numbers the same along that dimension?"""
    return isinstance(x, Rows) and all(stride == 0 for _, stride in x.dims[dim]) or isinstance(x, Fill)


def in_heads(x, shape, heads, dim):
    """x's dimensions of the heads, then that one; of others, which have one number, the first."""
    x = spread(x, shape)
    for i in range(len(shape)):
        if i not in heads and i != dim:
            x = x.narrow(i, 0, 1)
    rest = [i for i in range(len(shape)) if i not in heads and i != dim]
    return x.permute([*rest, *heads, *([] if dim is None else [dim])])


# ---- what torch's ops make of these

KEEPS = {"to.dtype", "_to_copy.default", "clone.default", "contiguous.default", "alias.default", "detach.default"}
SHAPES = {"view.default", "reshape.default", "_unsafe_view.default", "unsqueeze.default", "squeeze.dim",
          "expand.default", "squeeze.dims"}


def special(values):
    return any(isinstance(v, (State, Outer, Read)) for v in values)


def step(t, args, kwargs):
    """An op that reads one of these; None: as numbers."""
    a, b = args[0], args[1] if len(args) > 1 else None
    if t.name in KEEPS:
        return a
    if t.name == "mul.Tensor" or is_column_times_row(t.name, a, b):
        return multiplied(a, b, t.shape) if isinstance(a, (State, Read)) else multiplied(b, a, t.shape)
    if t.name == "div.Tensor" and number_of(b):
        return multiplied(a, 1 / number_of(b), t.shape)
    if t.name == "neg.default":
        return multiplied(a, -1.0, t.shape)
    if t.name in ("add.Tensor", "sub.Tensor") and not kwargs and len(args) == 2:
        return total(a, multiplied(b, -1.0, t.shape) if t.name == "sub.Tensor" else b, t.shape)
    if t.name == "sum.dim_IntList" and isinstance(a, State) and len(b) == 1 and not a.terms:
        return Read(State(a.of, a.when, a.shape), a.factor, b[0] % len(a.shape), t.shape)
    if t.name in SHAPES and isinstance(a, Read):
        return seen_as(a, t.shape) if math.prod(t.shape) == math.prod(a.shape) else None
    if t.name in ("matmul.default", "bmm.default") and isinstance(b, State) and a.shape[-2] == 1:
        column = a.permute([*range(len(a.dims) - 2), len(a.dims) - 1, len(a.dims) - 2])
        return read_by(b, column, len(b.shape) - 2, t.shape)
    if t.name in ("matmul.default", "bmm.default") and isinstance(a, State) and b.shape[-1] == 1:
        row = b.permute([*range(len(b.dims) - 2), len(b.dims) - 1, len(b.dims) - 2])
        return read_by(a, row, len(a.shape) - 1, t.shape)
    return None


def is_column_times_row(name, a, b=None):
    """A product of two matrices that is no sum."""
    return name in ("matmul.default", "bmm.default") and a.shape[-1] == b.shape[-2] == 1


def read_by(s, by, dim, shape):
    if any(reads(t) for t in s.terms):  # the row's next step
        return Read(s, by, dim, shape)
    s = s.times(by)
    return None if s.terms else Read(State(s.of, s.when, s.shape), s.factor, dim, shape)


def multiplied(a, b, shape):
    if isinstance(b, (State, Outer)) or isinstance(b, Read) and isinstance(a, (State, Read)):
        return None
    if is_outer(a, b):
        return Outer(b, a, shape) if isinstance(a, Read) else Outer(a, b, shape)
    if isinstance(a, State):
        return a.times(b)
    if isinstance(a, Outer):
        return times(a, b, shape)
    if isinstance(a, Read) and tuple(shape) == a.shape:
        return product(a, b)
    return combine("mul", a, b, shape) if isinstance(a, (Rows, Const, Fill)) else None


def total(a, b, shape):
    if a is None or b is None:
        return None
    if isinstance(a, State) or isinstance(b, State):
        return a.plus(b) if isinstance(a, State) else b.plus(a)
    read, other = (a, b) if isinstance(a, Read) else (b, a)
    if isinstance(read, Read) and not isinstance(other, (Read, Outer)) and tuple(shape) == read.shape:
        return read.but(plus=combine("add", other, read.plus, shape))
    return None


def call(lowering, t, args, kwargs):
    """A node of the step."""
    if t.name == "einsum.default":
        return einsum(t, *args[:2])
    made = step(t, args, kwargs) if special(args) else None
    if made is None and (t.name == "mul.Tensor" or is_column_times_row(t.name, *args[:2])) and is_outer(*args[:2]):
        made = Outer(*args[:2], t.shape)
    if made is None:
        plain = lambda v: rows_of(v) if isinstance(v, (State, Outer, Read)) else v
        args = [[plain(v) for v in a] if isinstance(a, (list, tuple)) else plain(a) for a in args]
        made = OPS[t.name](t, *args, **kwargs)
    return made


def einsum(t, equation, values):
    from .einsum import letters_of  # noqa: PLC0415 - it reads scores.py, which reads what is told here
    ins, out = letters_of(equation, [len(v.shape) for v in values])
    terms = folded(list(zip(ins, values)))
    if len(terms) == 2:
        (a, x), (b, y) = sorted(terms, key=lambda pair: not isinstance(pair[1], (State, Read)))
        lost = [c for c in a if c not in out]
        if isinstance(x, State) and not isinstance(y, (State, Read, Outer)) and len(lost) == 1 and set(b) <= set(a):
            read = read_by(x, lettered(y, b, a), a.index(lost[0]), t.shape)
            if read is not None and [c for c in a if c in out] == list(out):
                return read
        if set(out) == set(a) | set(b) and not any(isinstance(v, (State, Outer)) for v in (x, y)):
            made = multiplied(lettered(x, a, out), lettered(y, b, out), t.shape)
            if made is not None:
                return made
    return OPS["einsum.default"](t, equation, [rows_of(v) for v in values])


def folded(terms):
    """(letters, value) of each factor; those that have no letters of their own taken into others."""
    for i, j in itertools.permutations(range(len(terms)), 2):
        (a, x), (b, y) = terms[i], terms[j]
        if len(terms) > 2 and set(a) <= set(b) and not any(isinstance(v, (State, Outer)) for v in (x, y)):
            made = multiplied(*((lettered(x, a, b), y) if isinstance(x, Read) else (y, lettered(x, a, b))), y.shape)
            return terms if made is None else folded([t for k, t in enumerate(terms) if k not in (i, j)] + [(b, made)])
    return terms


def lettered(x, have, want):
    """With its dimensions in that order; those that it has not are 1."""
    from .einsum import in_order  # noqa: PLC0415
    if not isinstance(x, Read):
        return in_order(as_rows(x), have, want)
    if [c for c in want if c in have] != list(have):
        raise Refused("a loop over the text that turns what it reads of its state")
    size = dict(zip(have, x.shape))
    return seen_as(x, [size.get(c, 1) for c in want])


def seen_as(r, shape):
    """A Read in another shape."""
    seen = lambda x: x if isinstance(x, float) else as_rows(x).expand(r.shape).view(shape)
    return r.but(shape=tuple(shape), scale=seen(r.scale), plus=seen(r.plus))


def row(x, dim, gone):
    """What stands at a place of the text."""
    x = as_rows(x)
    if x.dims[dim] != [(text.ROWS, TEXT)]:
        raise Refused("a loop over the text, of rows that stand in one dimension with others")
    return Rows(x.node, [*x.dims[:dim], *([] if gone else [[]]), *x.dims[dim + 1:]], x.start)


def run(lowering, steps, nodes, done, after=()):
    """Tells those nodes of the step that are not done; after: what some of them leave as states."""
    for node in nodes:
        if node not in done:
            done.add(node)
            lowering.step_of_loop(node, steps.reads.get(node))
            if node in after:
                after[node].after = as_state(lowering.value[node], after[node])
                lowering.value[node] = State(after[node], "after", after[node].shape)


def earlier(x, shape):
    """What the step before made of its row."""
    return previous(as_rows(rows_of(x)).expand(shape))


def told(lowering, steps, loop):
    """A loop's values at all places."""
    values, dim, has_dim, before_each = loop
    ends = values[1:] if before_each else values
    states, t = steps.states(ends)
    done, rows = set(), steps.of_rows(states, t)
    for before in rows:
        run(lowering, steps, steps.body([states[before]], t), done)
        lowering.value[before] = earlier(lowering.value[states[before]], before.meta["val"].shape)
    left = {before: after for before, after in states.items() if before not in rows}
    try:
        out = as_scan(lowering, steps, loop, left, set(done))
    except Refused as why:
        if not left:
            raise
        out = row_by_row(lowering, steps, loop, left, done, why)
    return Rows(out.node, [*out.dims[:dim], [(text.ROWS, TEXT)], *out.dims[dim + (1 if has_dim else 0):]], out.start)


def row_by_row(lowering, steps, loop, states, done, why):
    """Whatever a step does, of numbers that the one before has left."""
    values, _, _, before_each = loop
    ends, t = values[1:] if before_each else values, text.ROWS // 2
    first, at = steps.begins(ends, t), 0
    shape_of = lambda node: node.meta["val"].shape
    n = sum(math.prod(shape_of(before)) for before in states)
    carry = Node("carry", n=n, attrs={"n": n})
    for before in states:
        here = math.prod(shape_of(before))
        x = Rows.of(carry, (n,)).narrow(0, at, here).view(shape_of(before))
        begin = lowering.value.get(first.get(before), 0.0)
        if number_of(begin) != 0 and not is_zero(begin):
            if not isinstance(begin, (Const, Fill)):
                raise why
            begin = combine("mul", spread(begin, x.shape), is_first([[] for _ in x.dims]), x.shape)
            x = combine("add", x, begin, x.shape)
        lowering.value[before], at = x, at + here
    run(lowering, steps, steps.body([*states.values(), ends[t]], t), done)
    flat = lambda node, shape: as_rows(rows_of(lowering.value[node])).expand(shape).view((math.prod(shape),))
    kept = joined([flat(after, shape_of(before)) for before, after in states.items()], 0, (n,))
    gives = flat(values[t], shape_of(values[t]))
    ins = [(carry, 1), (ordered(kept), 1), (ordered(gives), 1)]
    return Rows.of(Node("keep", ins, math.prod(gives.shape)), shape_of(values[t]))


def as_scan(lowering, steps, loop, left, done):
    """Of steps that are linear in their state."""
    values, _, _, before_each = loop
    ends, t = values[1:] if before_each else values, text.ROWS // 2
    variables = {before: Variable(before.meta["val"].shape) for before in left}
    for before, v in variables.items():
        lowering.value[before] = State(v, "before", v.shape)
    after = {left[before]: v for before, v in variables.items()}
    for of in (after, [ends[t]]):
        run(lowering, steps, steps.body(of, t), done, after)
    for first in steps.first_states(ends):
        if steps.last[first] < 0 and number_of(lowering.value[first]) != 0 and not is_zero(lowering.value[first]):
            raise Refused("a loop over the text that begins with a state other than zeros")
    if before_each and values[t] not in variables:
        raise Refused("a loop over the text that gives what stood before each step, and is no state")
    return as_rows(rows_of(lowering.value[values[t]])).expand(values[t].meta["val"].shape)


def as_state(x, v):
    if not isinstance(x, State) or x.of is not v or x.when != "before":
        raise Refused("a loop over the text whose steps are not linear in their state")
    return x


def is_zero(x):
    """Whatever is learned."""
    return isinstance(x, Const) and not x.compute(Const.some).any()
