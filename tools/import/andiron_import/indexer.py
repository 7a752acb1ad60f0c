"""Sparse attention: an indexer's scores, and the positions that they choose, as one `choose` (DeepSeek-V3.2, 2025)."""
from .masks import words_of
from .rows import number_of, op, ordered
from .values import Node, Refused


class Relevance:
    """sum over heads of weights * relu(q . k). q: [1, heads, text, d] and k as rows."""
    said = "an indexer's scores"

    def __init__(self, q, k, shape, weights, words):
        self.q, self.k, self.shape, self.weights, self.words = q, k, tuple(shape), weights, words

    def but(self, **of):
        return Relevance(**(self.__dict__ | of))


class Chosen:
    """Places in the text, as choose gives them."""
    said = "places in the text that an indexer chose"

    def __init__(self, node, shape):
        self.node, self.shape = node, tuple(shape)


def weighed(weights, s, shape):
    """Scores of which relu was taken, by a weight for each head."""
    if s.q.shape[1] != weights.shape[-1] or s.cap or s.plus:
        raise Refused("scores of an indexer that are not summed by a weight for each head")
    return Relevance(s.q, s.k, shape, weights, s.words)


def masked(s, mask):
    words = words_of(mask)
    if not words:
        raise Refused("scores of an indexer with a mask that is computed")
    return s.but(words=s.words + words)


def chosen(s, n, shape):
    if set(s.words) != {"causal"}:
        raise Refused("an indexer that chooses of other positions than all up to a row's own")
    ins = [(ordered(s.q.permute([0, 2, 1, 3])), s.q.shape[1]), (ordered(s.k), 1), (ordered(s.weights), 1)]
    return Chosen(Node("choose", ins, n, 1, {"n": n}), shape)


def step(at, name, args):
    """An op that reads them."""
    a, b = args[0], args[1] if len(args) > 1 else None
    if name in ("squeeze.dim", "view.default", "to.dtype", "_to_copy.default"):
        return a.but(shape=at.shape)
    if name in ("mul.Tensor", "div.Tensor") and (number_of(b) or 0) > 0:
        return a  # the order is the same
    if name == "add.Tensor" or name.startswith("masked_fill.") and getattr(b, "hidden", False):
        return masked(a, b)
    if name == "topk.default":
        return [None, chosen(a, b, at.shape[1])]
    raise Refused(f"torch's {name} of an indexer's scores")


@op("choose.default")
def _(t, q, k, n, span, local):
    """q [1, heads, text, d], k [1, 1, text, d]."""
    h = q.shape[1]
    ins = [(ordered(q.permute([0, 2, 1, 3])), h), (ordered(k), 1)]
    return Chosen(Node("choose", ins, n * h, h, {"n": n, "span": span, "local": local}), t.shape)


def only(places, n):
    """What attend reads of; n: how many the configuration says, which may be more than the traced text is long."""
    if not isinstance(places, Chosen):
        raise Refused("attention to places that no indexer chose")
    node = places.node
    if n:
        node.n, node.attrs["n"] = n * node.heads, n
    return node, node.heads
