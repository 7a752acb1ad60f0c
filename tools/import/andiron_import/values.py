"""What a traced value is: rows of numbers, or what does not depend on the row."""
import contextlib
import math

import torch

from . import text


class Refused(Exception):
    """What the trace has and andiron does not, in one sentence. begin: where it is rows before the text, how many; told
    as rows of the text itself they may come through."""
    begin = 0


class Unfit(Refused):
    """Of a folder that no other way of telling its model would help."""


def words_of(x):
    """What a value of the trace is, as a refusal says it."""
    if isinstance(x, (list, tuple)):
        return f"[{', '.join(map(words_of, x))}]"
    return "nothing" if x is None else str(x) if isinstance(x, (int, float, str)) else getattr(x, "said", "others")


STATEFUL = {"attend", "conv", "scan", "selective_scan", "choose", "previous", "peak", "around", "fourier",
            "carry", "keep"}  # read other rows


class Node:
    """One op of andiron's graph; `n` numbers a row. inputs: nodes with the heads they are seen as: (node, heads)."""
    count = 0
    place = ""  # the module whose op is being told
    in_source = False  # does it read the text that another one is about?

    def __init__(self, op, inputs=(), n=1, heads=1, attrs=None, weights=None):
        self.op, self.inputs, self.n, self.heads = op, list(inputs), n, heads
        self.attrs, self.weights = attrs or {}, weights or {}
        self.module, self.of_source = Node.place, Node.in_source
        self.orders = {}  # its numbers in other orders, once made
        self.last()

    def last(self):
        """It stands after all that have been made: after what it is given late."""
        Node.count += 1
        self.order = Node.count


def alike(n, number):
    """n numbers that are all that one, in every row."""
    return Node("geometric", n=n, attrs={"n": n, "first": float(number), "ratio": 1.0})


def reads_ahead(node):
    """Does it read rows after its own?"""
    return node.attrs.get("sees") == "all" or node.op == "fourier" or bool(
        node.attrs.get("after") or node.attrs.get("ahead"))


class Const:
    """A tensor that no row changes: a parameter, a literal, or torch ops on them, computed when weights are at hand."""
    said = "a tensor of the model"
    shapes = {}  # of parameters
    ahead = 0  # by which queries' places are, of keys'

    def __init__(self, shape, key, compute, parameters=(), learned=None):
        """parameters: names in the model that it is made of; learned: do its numbers wait for the weights?"""
        self.shape, self.key, self.compute, self.parameters = tuple(shape), key, compute, tuple(parameters)
        self.learned = bool(parameters) if learned is None else learned
        self.made_by = None  # (torch's op, its arguments, by name, which of its results)

    @staticmethod
    def parameter(name, shape):
        Const.shapes[name] = tuple(shape)
        return Const(shape, name, lambda load: load(name), (name,))

    @staticmethod
    def some(name):
        """In the place of a parameter's numbers: any, to see what is made of them."""
        return torch.randn(Const.shapes[name], generator=torch.Generator().manual_seed(1))

    @staticmethod
    def buffer(name, tensor):
        return Const(tensor.shape, name, lambda load: tensor, (name,), learned=False)

    @staticmethod
    def literal(tensor):
        content = hash(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return Const(tensor.shape, f"literal{content}{tuple(tensor.shape)}", lambda load: tensor)

    @staticmethod
    def places(plus, shape):
        """Those of the text, of keys in the last dimension, of queries in another one."""
        queries = shape[-1] != text.ROWS
        numbers = lambda: (torch.arange(text.ROWS) + plus + Const.ahead * queries).view(shape)
        return Const(shape, Const.literal(numbers()).key, lambda load: numbers())

    @staticmethod
    @contextlib.contextmanager
    def queries_ahead(by):
        """What is computed in the meantime is of queries that stand so much farther on in the text."""
        Const.ahead = by
        try:
            yield
        finally:
            Const.ahead = 0

    @staticmethod
    def op(target, args, kwargs, shape, tag):
        flat = []
        for a in [*args, *kwargs.values()]:
            flat += a if isinstance(a, (list, tuple)) else [a]
        consts = [a for a in flat if isinstance(a, Const)]
        names = dict.fromkeys(p for c in consts for p in c.parameters)

        def value(a, load):
            if isinstance(a, (list, tuple)):
                return [value(x, load) for x in a]
            return a.compute(load) if isinstance(a, Const) else a

        def compute(load):
            out = target(*[value(a, load) for a in args], **{k: value(v, load) for k, v in kwargs.items()})
            return out if tag is None else out[tag]
        said = lambda a: a.key if isinstance(a, Const) else "[" + ",".join(map(said, a)) + "]" if isinstance(
            a, (list, tuple)) else repr(a)
        key = f"{target}({','.join(said(a) for a in [*args, *kwargs.items()])}){'' if tag is None else tag}"
        out = Const(shape, key, compute, names, any(c.learned for c in consts))
        out.made_by = target, args, kwargs, tag
        return out

    def then(self, function, shape, tag):
        """function(tensor), named `tag`."""
        return Const(shape, f"{tag}({self.key})", lambda load: function(self.compute(load)), self.parameters,
                     self.learned)

    def known(self):
        """Its numbers, where no learned one has a part in them."""
        return None if self.learned else self.compute(None)


class Aside:
    """What is no numbers of a row, and few handlers know."""


class Fill:
    """One number everywhere, in a shape that may have the text in it."""
    said = "one number everywhere"

    def __init__(self, number, shape):
        self.number, self.shape = number, tuple(shape)


class Mask:
    """Which positions a row may see, in the words of hooks.py."""
    said = "a mask"

    def __init__(self, words, shape, hidden=False, added=False, bias=None):
        """hidden: true where it may not; added: numbers to be added to scores, 0, or `bias`, where it may."""
        self.words, self.shape, self.hidden, self.added, self.bias = words, tuple(shape), hidden, added, bias


class Complex:
    """Numbers of two parts, both rows or constants of one shape (torch's view_as_complex)."""
    said = "complex numbers"

    def __init__(self, re, im):
        self.re, self.im, self.shape = re, im, re.shape


TEXT = None  # the stride of the axis that is the text


def is_text(axes):
    """Is it among a dimension's?"""
    return any(stride is TEXT for _, stride in axes)


class Rows:
    """Numbers of a node, seen as a tensor: for each dimension a list of axes (size, stride), outermost first."""
    said = "rows of numbers"

    def __init__(self, node, dims, start=0):
        self.node, self.dims, self.start = node, [list(d) for d in dims], start

    @staticmethod
    def of(node, shape):
        """A tensor of that shape whose numbers of a row lie in order."""
        dims, stride = [], 1
        for size in reversed(shape):
            if size % text.ROWS == 0:  # heads of each row may stand in one dimension with the rows
                more = size // text.ROWS
                dims.append([(text.ROWS, TEXT)] + ([(more, stride)] if more > 1 else []))
                stride *= more
            elif size == 1:
                dims.append([])
            else:
                dims.append([(size, stride)])
                stride *= size
        if stride != node.n:
            raise Refused(f"{node.op} gives {node.n} numbers a row where the trace has {tuple(shape)}")
        return Rows(node, reversed(dims))

    @staticmethod
    def like(node, x):
        """Numbers that lie in x's order, seen as x is."""
        dims, stride = [], 1
        for d in reversed(x.dims):
            dims.append([])
            for size, step in reversed(d):
                dims[-1].insert(0, (size, TEXT if step is TEXT else stride))
                stride *= 1 if step is TEXT else size
        return Rows(node, reversed(dims))

    @property
    def shape(self):
        return tuple(math.prod(size for size, _ in d) for d in self.dims)

    def features(self):
        """Axes of one row, joined where they lie in order."""
        out = []
        for size, stride in (a for d in self.dims for a in d if a[1] is not TEXT):
            if out and stride is not TEXT and out[-1][1] == size * stride:
                out[-1] = (out[-1][0] * size, stride)
            else:
                out.append((size, stride))
        return out

    def in_order(self):
        axes = self.features()
        n = math.prod(size for size, _ in axes)
        return self.start == 0 and n == self.node.n and (not axes or axes == [(n, 1)])

    def view(self, shape):
        axes = [a for d in self.dims for a in d]
        dims = []
        for want in shape:
            dim, left = [], want
            while left > 1:
                if not axes:
                    raise Refused(f"a view of {self.shape} as {tuple(shape)}")
                size, stride = axes.pop(0)
                if left % size == 0:
                    dim.append((size, stride))
                    left //= size
                elif stride is not TEXT and size % left == 0:
                    dim.append((left, stride * (size // left)))
                    axes.insert(0, (size // left, stride))
                    left = 1
                elif stride is not TEXT and axes and axes[0][1] is not TEXT and stride == axes[0][0] * axes[0][1]:
                    axes[0] = size * axes[0][0], axes[0][1]  # these lie in order
                else:
                    raise Refused(f"a view of {self.shape} as {tuple(shape)}")
            dims.append(dim)
        return Rows(self.node, dims, self.start)

    def permute(self, order):
        return Rows(self.node, [self.dims[i] for i in order], self.start)

    def expand(self, shape):
        dims = [[] for _ in range(len(shape) - len(self.dims))] + self.dims
        return Rows(self.node, [[(want, TEXT if want == text.ROWS else 0)] if not d and want > 1 else d
                                for d, want in zip(dims, shape)], self.start)

    def narrow(self, dim, start, n, step=1):
        """Numbers start, start + step, ... of a dimension."""
        if n == self.shape[dim] and start == 0 and step == 1:
            return self
        axes = self.dims[dim]
        if is_text(axes):
            raise Refused("a part of the text, cut out by its place in it")
        if len(axes) > 1:
            joined = Rows(None, [axes]).features()
            if len(joined) > 1:
                return self._narrow_outer(dim, start, n, step)
            axes = joined
        stride = axes[0][1] if axes else 0
        dims = list(self.dims)
        dims[dim] = [(n, stride * step)] if n != 1 else []
        return Rows(self.node, dims, self.start + start * stride)

    def _narrow_outer(self, dim, start, n, step):
        (_, stride), inner = self.dims[dim][0], math.prod(s for s, _ in self.dims[dim][1:])
        if start % inner or n % inner or step != 1:
            raise Refused("a part of numbers that lie in several rows")
        dims = list(self.dims)
        dims[dim] = ([(n // inner, stride)] if n > inner else []) + self.dims[dim][1:]
        return Rows(self.node, dims, self.start + start // inner * stride)
