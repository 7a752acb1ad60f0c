"""Encoder and decoder: which nodes read the source, which the text about it, and the attends that see the source."""
from .values import STATEFUL, Refused

SOURCE, TEXT = "source", "text"


def told(nodes):
    """The nodes of the text itself; attends that see the source say so, those of its own rows, too."""
    of = {}
    for node in nodes:
        texts = [of[i] for i, _ in node.inputs]
        if node.attrs.get("ids") == "tokens":
            texts = [SOURCE if node.of_source else TEXT]
        if node.op in STATEFUL and SOURCE in texts:
            see_source(node, texts)
            texts = texts[:1]
        texts = set(texts) - {None}  # of positions alone, or of no row: as it is read
        if len(texts) > 1:
            raise Refused("rows of the source together with those of the text about it, outside of attention")
        of[node] = next(iter(texts), None)
    return [node for node in nodes if of[node] != SOURCE]


def see_source(node, texts):
    joins = [i for i, (of, _) in enumerate(node.inputs) if of.attrs.get("open")]  # what the text itself has seen
    joins += [len(node.inputs) - 1] if node.attrs.get("given") == "joins" else []  # of rows before the source
    if node.op != "attend" or any(of == TEXT for i, of in enumerate(texts) if i and i not in joins):
        raise Refused(f"{node.op} along the source, where attention to all of it is covered")
    sees, style = node.attrs.get("sees"), node.attrs.get("window_style", "middle")
    if sees not in ("all", "source") or style != "middle":
        raise Refused("attention to what stands before in the source, where all of it and what is near are covered")
    node.attrs["sees"] = "source"
