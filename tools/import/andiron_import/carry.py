"""What layers pass on: `x` is the value that the layers so far gave and that is read later, or several, one row."""


def row(text, heads):
    return text if heads == 1 else f"flat({text})"


def together(texts):
    """One row of several."""
    out = texts[0]
    for text in texts[1:]:
        out = f"concat({out}, {text})"
    return out


def pieces(values):
    """{value: its text} of those that `x` holds."""
    if len(values) == 1:
        return {values[0]: "x"}
    out, start = {}, 0
    for node in values:
        text = f"slice(x, {start}, {node.n})"
        out[node] = text if node.heads == 1 else f"heads({text}, {node.heads})"
        start += node.n
    return out


def passed_on(before, gives, read_later):
    """What `x` holds after a layer, and what is written around the layer's call: (values, texts of older ones)."""
    texts = pieces(before)
    older = [n for n in before if read_later(n)]
    return [*gives, *older], [row(texts[n], 1 if len(before) > 1 else n.heads) for n in older]
