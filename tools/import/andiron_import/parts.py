"""A layer that attends several times becomes as many: the language gives each layer one cache."""
import collections


def stores(node):
    """Does it take the layer's one cache? An attend that sees the source, or joins another, has its own."""
    if node.op != "attend" or node.attrs.get("sees") == "source":
        return False
    return "cache_of" not in node.attrs and not joins(node)


def joins(node):
    return any(i.attrs.get("open") for i, _ in node.inputs)


def part_of(segment, users):
    """{node: number} of one layer's nodes: from one attend that stores on, up to the next."""
    part, seen = {}, 0
    for node in segment:
        part[node] = max((part.get(i, 0) for i, _ in node.inputs), default=0)
        if stores(node):
            part[node] = max(part[node], seen)
            seen = part[node] + 1
    for node in reversed(segment):  # no sooner than it is read, so that little is passed on
        if not stores(node) and not joins(node):
            part[node] = max(part[node], min((part.get(u, seen - 1) for u in users[node]), default=0))
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
