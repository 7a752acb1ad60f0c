"""A sum over all experts, each times the share that a row gives it (routed.py), as those that the row chose.

Where a sum has a term for each expert, and these differ in weights alone, it becomes `experts` and `mix` of the row's
places: no other expert is computed.
"""
import collections

import torch

from .patterns import rewritten
from .values import Const, Node, alike

ROW_WISE = {"silu", "gelu", "gelu_tanh", "gelu_quick", "relu", "relu2", "sigmoid", "tanh", "exp", "log", "sqrt",
            "softplus", "clamp", "softcap", "add", "mul", "div", "slice", "rmsnorm", "layernorm", "l2norm", "sum",
            "softmax", "concat", "floor", "cos", "sin"}


def terms_of(node, alone):
    """What a tree of sums adds up; alone: sums that only another sum reads."""
    out, todo = [], [node]
    while todo:
        n = todo.pop()
        inside = n.op == "add" and len(n.inputs) == 2 and (n is node or n in alone)
        todo += [i for i, _ in reversed(n.inputs)] if inside else []
        out += [] if inside else [n]
    return out


def expert_of(term):
    """(expert, its places), or None."""
    def factor(node):
        if node.op == "share":
            return node.attrs["expert"], node.inputs[0][0]
        return next(filter(None, (factor(i) for i, _ in node.inputs)), None) if node.op == "mul" else None
    return factor(term)


def as_share(node):
    """The same, said as a sum of picked ones."""
    inner = node.inputs[0][0] if node.op == "sum" and node.n == 1 else None
    if inner is None or inner.op not in ("pick", "mul") or len(inner.inputs) != 2:
        return None
    pairs = [(inner, [])] if inner.op == "pick" else [(inner.inputs[i][0], [inner.inputs[1 - i]]) for i in (0, 1)]
    for pick, weights in pairs:
        known = pick.inputs[0][0] if pick.op == "pick" and pick.inputs[1][0].op == "top" else None
        known = known.weights["weight"][0].known() if known is not None and known.op == "constant" else None
        if known is not None and known.sum() == known.max() == 1 and pick.n == inner.n:
            share = Node("share", [pick.inputs[1], *weights], 1, 1, {"expert": int(known.argmax())})
            share.module, share.order = node.module, node.order
            return share
    return None


class Unlike(Exception):
    """Experts that differ in more than weights."""


class Chosen:
    """The terms of all experts, told once, for the places of a row."""

    def __init__(self, places, terms):
        self.places, self.n, self.terms, self.made = places, places.n, terms, {}

    def stacked(self, weights):
        first = weights[0]
        if first is None or all(w.key == first.key for w in weights):
            return first
        made = [w.made_by for w in weights]
        if all(m and m[0] is torch.ops.aten.select.int and m[1][1:] == (0, e) or m and list(m[1][1:]) == [0, e]
               for e, m in enumerate(made)) and len({m[1][0].key for m in made}) == 1:
            return made[0][1][0]
        return Const.op(torch.stack, (list(weights),), {}, (len(weights), *first.shape), None)

    def tell(self, nodes):
        """(node, whether it has a row for each place)."""
        key = tuple(map(id, nodes))
        if key not in self.made:
            self.made[key] = self.told(nodes)
        return self.made[key]

    def told(self, nodes):
        first = nodes[0]
        if all(n is first for n in nodes) and first.op != "share":
            return first, False
        if any(n.op != first.op or len(n.inputs) != len(first.inputs) or n.n != first.n for n in nodes):
            raise Unlike
        if first.op == "share":
            return self.weights(nodes), True
        if any(n.attrs != first.attrs for n in nodes):
            raise Unlike
        ins = [self.tell([n.inputs[i][0] for n in nodes]) for i in range(len(first.inputs))]
        if first.op == "linear":
            return self.linear(nodes, *ins[0]), True
        if first.op not in ROW_WISE or any(b.key != w.key for n in nodes for w, b in self.pairs(first, n)):
            raise Unlike
        wide = lambda i: (ins[i][0], first.inputs[i][1] * self.n) if ins[i][1] else (ins[i][0], first.inputs[i][1])
        if not ins[0][1] or any(not spread and n.heads != 1 for n, spread in ins):
            raise Unlike
        return Node(first.op, [wide(i) for i in range(len(ins))], first.n * self.n, first.heads * self.n, first.attrs,
                    first.weights), True

    def pairs(self, a, b):
        return [(x, y) for k in a.weights for x, y in zip(a.weights[k], b.weights[k]) if x is not None]

    def weights(self, nodes):
        """The places' weights, a head each."""
        if len(nodes[0].inputs) == 1:
            return alike(self.n, 1)
        return nodes[0].inputs[1][0]

    def linear(self, nodes, x, spread):
        weight, bias = (self.stacked([n.weights["weight"][i] for n in nodes]) for i in (0, 1))
        if len(weight.shape) != 3:
            raise Unlike
        return Node("experts", [(x, self.n if spread else 1), (self.places, 1)], nodes[0].n * self.n, self.n, {},
                    {"weight": (weight, bias)})

    def sum(self):
        """Of the places' rows, times their weights."""
        roots = self.terms
        by = [next(((a, b) for a, b in (t.inputs, t.inputs[::-1]) if b[0].op == "share"), None) for t in roots]
        if roots[0].op == "mul" and all(by):
            row, spread = self.tell([a[0] for a, _ in by])
            weights = self.weights([b[0] for _, b in by])
        else:
            (row, spread), weights = self.tell(roots), alike(self.n, 1)
        if not spread:
            raise Unlike
        return Node("mix", [(row, self.n), (weights, 1)], roots[0].n)


def sparse(node, alone):
    """In the place of a sum: what it adds beside the experts, and those chosen; None: it has no term for each."""
    terms, found = terms_of(node, alone), {}
    for term in terms:
        of = expert_of(term)
        if of:
            found.setdefault(of[1], {}).setdefault(of[0], []).append(term)
    for places, by in found.items():
        n = places.inputs[0][0].n
        if places.op == "top" and sorted(by) == list(range(n)) and all(len(t) == 1 for t in by.values()):
            experts = [by[e][0] for e in range(n)]
            rest = [t for t in terms if t not in experts]
            try:
                out = Chosen(places, experts).sum()
            except Unlike:
                continue
            for r in reversed(rest):
                out = Node("add", [(r, r.heads), (out, r.heads)], out.n, r.heads)
            return out
    return None


def plain_share(node):
    """As ops of the graph."""
    (places, _), e = node.inputs[0], node.attrs["expert"]
    known = torch.nn.functional.one_hot(torch.tensor(e), places.inputs[0][0].n).float()
    table = Node("constant", n=len(known), weights={"weight": (Const.literal(known), None)})
    hit = Node("pick", [(table, 1), (places, 1)], places.n)
    hit = hit if len(node.inputs) == 1 else Node("mul", [(hit, 1), node.inputs[1]], places.n)
    return Node("sum", [(hit, 1)], 1)


def with_experts(nodes):
    """The last of the nodes, which are in order, with no share left."""
    same = {n: s for n, s in ((n, as_share(n)) for n in nodes) if s}
    nodes, reads = [same.get(n, n) for n in nodes], collections.defaultdict(list)
    for node in nodes:
        node.inputs = [(same.get(i, i), h) for i, h in node.inputs]
        for i, _ in node.inputs:
            reads[i].append(node)
    alone = {n for n in nodes if n.op == "add" and len(reads[n]) == 1 and reads[n][0].op == "add"}
    return rewritten(nodes, lambda n: sparse(n, alone) if n.op == "add" and n not in alone else None)


def plain_erf(node):
    """gelu(y) = y / 2 * (1 + erf(y / sqrt(2))), the other way round; y is never 0."""
    (x, h), n = node.inputs[0], node.n
    made = lambda op, *ins, **attrs: Node(op, [(i, h) for i in ins], n, h, attrs)
    y = made("add", made("mul", x, number=2 ** 0.5), number=1e-30)
    return made("add", made("mul", made("div", made("gelu", y), y), number=2.0), number=-1.0)


PLAIN = {"share": plain_share, "erf": plain_erf}


def in_ops_of_graph(nodes):
    """The last of the nodes, which are in order, without those that are names here alone."""
    return rewritten(nodes, lambda n: PLAIN[n.op](n) if n.op in PLAIN else None)
