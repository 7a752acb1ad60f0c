"""A layer that attends several times becomes as many: the language gives each layer one cache of a kind."""
import collections


def cache_of(node):
    """Which of the layer's caches an attend takes: the one it stores to, and those of one that sees the source and of
    one that joins another; None: it takes none."""
    if node.op != "attend" or "cache_of" in node.attrs:
        return None
    joins = any(i.attrs.get("open") for i, _ in node.inputs)
    return "source" if node.attrs.get("sees") == "source" else "joins" if joins else "own"


def part_of(segment, users):
    """{node: number} of one layer's nodes: from one attend on up to the next that would take the same cache."""
    part, taken = {}, collections.Counter()
    for node in segment:
        part[node] = max((part.get(i, 0) for i, _ in node.inputs), default=0)
        cache = cache_of(node)
        if cache:
            part[node] = max(part[node], taken[cache])
            taken[cache] = part[node] + 1
    last = max(part.values(), default=0)
    for node in reversed(segment):  # no sooner than it is read, so that little is passed on
        if not cache_of(node):
            part[node] = max(part[node], min((part.get(u, last) for u in users[node]), default=0))
    return part


def apart(nodes, place, n_layers, users, tensors_of):
    """`place` with each part a layer of its own, and for each of those the first one of the same tensors."""
    segments = collections.defaultdict(list)
    for node in nodes:
        segments[place[node]].append(node)
    new, home, first = {}, [], {}
    for layer in range(n_layers):
        part, start = part_of(segments[layer], users), len(home)
        new |= {node: start + p for node, p in part.items()}
        home += [first.setdefault((tensors_of(layer), p), start + p) for p in range(max(part.values(), default=0) + 1)]
    return {node: new.get(node, len(home) if at == n_layers else at) for node, at in place.items()}, home
