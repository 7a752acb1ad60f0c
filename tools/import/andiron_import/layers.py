"""Which layer a module, a tensor or a node stands in. Layers that the trace comes to again are layers of their own."""
import bisect


class Layers:
    """names: of the modules that are layers, or parts of them."""

    def __init__(self, lists, beside=None):
        """lists: of names of modules, each of which is a layer; beside: {module: the layer that it is a part of}."""
        self.numbers = {name: i for i, name in enumerate(lists[0])} if len(lists) == 1 else {}
        self.beside = beside or {}
        self.names = {name for names in lists for name in names} | set(self.beside)
        self.starts, self.visited, self.again = [], [], False

    def split(self, path):
        """(number of the layer, the rest of the path), or None."""
        at = len(path)
        while at > 0 and path[:at] not in self.names:
            at = path.rfind(".", 0, at)
        if at <= 0:
            return None
        name = self.beside.get(path[:at], path[:at])
        number = self.numbers.setdefault(name, len(self.numbers))  # in the order of the trace
        rest = path[at + 1:]
        if name != path[:at]:
            rest = f"{path[:at].rpartition('.')[0].rpartition('.')[2]}.{rest}".rstrip(".")
        return number, rest

    def of(self, path):
        found = self.split(path)
        return found and found[0]

    def visit(self, nodes):
        """Nodes in the order of the trace: does a layer attend in several visits?"""
        attends = set()
        for node in nodes:
            layer = self.of(node.module)
            if layer is not None and self.visited[-1:] != [layer]:
                self.visited.append(layer)
                self.starts.append(node.order)
            if node.op == "attend" and layer is not None:
                attends.add((layer, len(self.visited)))
        self.again = len({layer for layer, _ in attends}) < len(attends)

    def place(self, node):
        """The number of the node's layer, or of the visit to it."""
        layer = self.of(node.module)
        return layer if layer is None or not self.again else bisect.bisect_right(self.starts, node.order) - 1

    def tensors_of(self, place):
        """The layer whose tensors are read there."""
        return self.visited[place] if self.again and place is not None and 0 <= place < len(self.visited) else place
