"""Numbers that depend on the layer: blocks that are equal but for numbers become one, which reads them of the file."""
import re

NUMBER = re.compile(r'(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])')
MOST = 12  # such numbers of one block


def by_depth(layers):
    """{key: a number for each layer}, and the layers' bodies changed so that they read them."""
    groups, found = {}, {}
    for layer in layers:
        groups.setdefault(NUMBER.sub("#", layer.body), []).append(layer)
    for group in groups.values():
        numbers = [NUMBER.findall(layer.body) for layer in group]
        columns = {i: column for i, column in enumerate(zip(*numbers)) if len(set(column)) > 1}
        if not 0 < len(set(columns.values())) <= MOST:
            continue
        keys = {}
        for column in columns.values():
            if column not in keys:
                keys[column] = f"andiron.number{len(found)}"
                found[keys[column]] = dict(zip((layer.number for layer in group), map(float, column)))
        for layer in group:
            layer.body = reading(layer.body, {i: keys[column] for i, column in columns.items()})
    return {key: [of.get(i, 0.0) for i in range(len(layers))] for key, of in found.items()}


def reading(body, keys):
    """The body with the i-th number read under keys[i]."""
    places = iter(range(len(body)))

    def said(number):
        i = next(places)
        return f'meta_at(".{keys[i]}", l.index)' if i in keys else number[0]
    return NUMBER.sub(said, body)
