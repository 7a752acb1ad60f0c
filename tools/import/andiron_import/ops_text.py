"""Along the text: the row of one place, sums and means over all places, and what counts them.

The row of one place is a `row` node until `pooled` has found which row of the output is the text's.
"""
from . import text
from .ops_largest import largest
from .ops_moves import Ids
from .rows import OPS, number_of, op, text_dim
from .values import STATEFUL, TEXT, Aside, Fill, Node, Refused, Rows, alike, reads_ahead

class Total(Aside):
    """A sum over the text, that waits for the number of tokens."""
    said = "a sum over the text"

    def __init__(self, mean):
        self.mean, self.shape = mean, mean.shape


class Count(Aside):
    """The number of tokens."""
    said = "the number of tokens"

    def __init__(self, shape):
        self.shape = tuple(shape)


class Last(Aside):
    """The last place."""
    said = "the text's last place"


def row_of(x, which, shape):
    """One row of x, or their mean, of a shape without the text."""
    node = Node("row", [(x.node, x.node.heads)], x.node.n, x.node.heads, {"which": which})
    dims = [[a for a in d if a[1] is not TEXT] for d in x.dims]
    return Rows(node, dims, x.start).view(shape)


def place_of(index):
    if isinstance(index, Last) or index in (-1, text.ROWS - 1):
        return "last"
    if index != 0:
        raise Refused("the row of a place that is neither the first nor the last")
    return "first"


def selecting(plain):
    def run(t, x, dim, index):
        if isinstance(x, Rows) and not isinstance(x, Ids) and text_dim(x) == dim % len(x.dims):
            return row_of(x, place_of(index), t.shape)
        return plain(t, x, dim, index)
    return run


def indexing(plain):
    """x[[0], place]: of the only text, a row."""
    def run(t, x, places):
        if len(places) == 2 and isinstance(x, Rows) and text_dim(x) == 1 and x.shape[0] == 1:
            last = places[1] if isinstance(places[1], Last) else int(number_of(places[1]))
            return row_of(x, place_of(last), t.shape)
        return plain(t, x, places)
    return run


def summing(plain):
    def run(t, x, dims, *more, **named):
        along = [d for d in dims or () if x.shape[d] == text.ROWS]
        if not along or len(dims) > 1:
            return plain(t, x, dims, *more, **named)
        if isinstance(x, Fill) and x.number == 1:
            return Count(t.shape)
        mean = row_of(x, "mean", t.shape)
        return mean if t.name == "mean.dim" else Total(mean)
    return run


for _names, _how in ((["select.int"], selecting), (["index.Tensor"], indexing),
                     (["sum.dim_IntList", "mean.dim"], summing)):
    for _name in _names:
        OPS[_name] = _how(OPS[_name])


def counts(t, args):
    """An op with the number of tokens, or with a sum that it divides to a mean; each place is below it."""
    a, b = args[0], args[1] if len(args) > 1 else None
    if isinstance(a, Total) and t.name == "div.Tensor" and (isinstance(b, Count) or number_of(b) == text.ROWS):
        return a.mean.expand(t.shape)
    if isinstance(a, Total) and t.name in KEEP_TOTAL:
        return Total(OPS[t.name](t, a.mean, *args[1:]))
    if isinstance(a, Ids) and a.source == "positions" and t.name == "lt.Tensor" and a.plus <= 0:
        return Fill(1.0, t.shape)
    if isinstance(a, Count) and not isinstance(b, (Rows, Total)) and t.name in KEEP_COUNT:
        return Count(t.shape)
    raise Refused("what is computed with the number of tokens")


KEEP_TOTAL = {"view.default", "unsqueeze.default", "_to_copy.default", "to.dtype"}
KEEP_COUNT = {"view.default", "unsqueeze.default", "expand.default", "_to_copy.default", "to.dtype", "max.default",
              "le", "ge", "clone.default", "clamp.default", "clamp_min.default", "item.default", "slice.Tensor"}


@op("argmax.default")
def _(t, x, dim=None, *_):
    if isinstance(x, Rows) and not isinstance(x, Ids) and dim is not None:
        return largest(x, 1, dim, (t.shape, t.shape))[1]
    if not isinstance(x, Ids) or x.source != "positions":
        raise Refused("the place of the largest number in the text")
    return Last()


# ---- a vector for the text

def spread_mean(row, x):
    """The mean over the text as an attend that sees all places alike."""
    heads = next(h for h in range(1, row.n + 1) if row.n % h == 0 and row.n // h <= 256)
    zeros = alike(heads, 0)
    node = Node("attend", [(zeros, heads), (zeros, heads), (x, heads)], row.n, heads, {"scale": 1.0, "sees": "all"})
    node.module = zeros.module = row.module
    zeros.order, node.order = row.order - 0.5, row.order
    return node


def place_after(node, reads):
    """Whose a node's rows are: "each" place's own, "same" everywhere, or right at the "first" or "last" place only."""
    places = set(reads) - ({"same"} if set(reads) != {"same"} else set())
    if len(places) > 1 or places & {"first", "last"} and node.op in STATEFUL | {"row"}:
        raise Refused("the row of one place, together with those of others")
    if node.op == "row":
        return node.attrs["which"] if node.attrs["which"] != "mean" else "same"
    return places.pop() if places else "each" if node.op in ("embed", "numbers") else "same"


def pooled(nodes):
    """The last of the nodes without those called `row`, and whose its rows are: first, last, mean, same or each."""
    place, new = {}, {}
    for node in nodes:
        reads = [i for i, _ in node.inputs]
        place[node] = place_after(node, [place[i] for i in reads])
        if node.op != "row":
            node.inputs = [(new[i], h) for i, h in node.inputs]
            new[node] = node
        elif node.attrs["which"] != "mean" or node is nodes[-1]:
            new[node] = new[reads[0]]
        else:
            new[node] = spread_mean(node, new[reads[0]])
    last = nodes[-1]
    mean = last.op == "row" and last.attrs["which"] == "mean"
    return new[last], "mean" if mean else place[last]


def pooling_type(place, gives, nodes):
    """As GGUF counts them. rank is the first row, or the last where none sees what follows; its length is no matter. 5:
    rank of the last row all the same."""
    whole = any(map(reads_ahead, nodes))
    if gives == "classes" and place in ("same", "first" if whole else "last"):
        return 4
    if gives == "classes" and place == "last":
        return 5
    return {"each": 0, "mean": 1, "same": 2, "first": 2, "last": 3}[place]
