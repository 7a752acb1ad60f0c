"""Masks in words: "causal", "sliding(8)", ... (hooks.py), of those that Transformers makes and of known squares."""
import bisect
import functools
import itertools

import torch

from . import text
from .values import Const, Mask, Refused

FAR = -9e3  # a score below is one of a place that is not seen


FARTHEST = 1 << 20  # a text's places, where nobody says how many there may be


def words_of(mask):
    """A mask, or a square of known truths: causal, perhaps with a window, that and the text's first places, or chunks;
    or these without "causal". None: it is none."""
    if isinstance(mask, Mask):
        return tuple(mask.words.split("&"))
    known = mask.known() if isinstance(mask, Const) else None
    if known is None or known.shape[-1] != text.ROWS or known.numel() != text.ROWS * text.ROWS:
        return None
    true = truth_in(known)
    return true and said_by(lambda ahead: true(moved(mask, ahead).reshape(text.ROWS, text.ROWS)))


def moved(const, ahead, load=None):
    with Const.queries_ahead(ahead):
        return const.compute(load)


def truth_in(known):
    """What makes truths of truths, of 0 and 1, or of one number and others that are far below; None: they are more."""
    if known.dtype == torch.bool:
        return lambda x: x
    near, far = known[known >= FAR].unique().tolist(), bool((known < FAR).any())
    if len(near) != 1 if far else not set(near) <= {0, 1}:
        return None
    return (lambda x: x >= FAR) if far else (lambda x: x > 0.5)


def said_by(of):
    """of(ahead): what queries see that stand so much farther on."""
    seen = of(0)
    hidden = (~seen[-1]).nonzero().flatten()
    first, n = (int(hidden[0]), text.ROWS - 1 - int(hidden[-1])) if len(hidden) else (0, text.ROWS)
    chunk = max(int(seen[:, 0].sum()), 1)
    q, k = torch.arange(text.ROWS)[:, None], torch.arange(text.ROWS)[None]
    back = (*[f"sliding({n})"][:text.ROWS - n], *[f"begin({first})"][:first])
    for words, want in ((back, (k > q - n) | (k < first)), ((f"chunked({chunk})",), k // chunk == q // chunk)):
        if torch.equal(seen, want & (k <= q)):
            return ("causal", *(words or beyond(of, q, k)))
        if words and torch.equal(seen, want):  # what keeps others out says so by itself
            return words
    return None


def beyond(of, q, k):
    """A window or chunks that are longer than the traced text: where its first key is seen no more."""
    most = (text.CONTEXT or FARTHEST) - text.ROWS
    ahead = bisect.bisect_left(range(max(most, 0)), True, key=lambda n: not of(n)[-1, 0])
    if ahead >= most:
        return ()
    n, seen, q = text.ROWS - 1 + ahead, of(ahead), q + ahead
    for word, want in ((f"sliding({n})", k > q - n), (f"chunked({n})", k // n == q // n)):
        if torch.equal(seen, want & (k <= q)):
            return (word,)
    raise Refused(f"a mask that is another where a key is {n} places back")


def hidden_by(bias):
    """What numbers of pairs of places keep out by being far below, in words; (): nothing; None: that has none."""
    near = lambda ahead: ~(moved(bias, ahead, Const.some).reshape(-1, text.ROWS, text.ROWS) < FAR)
    seen = near(0)
    return () if seen.all() else said_by(lambda ahead: near(ahead)[0]) if (seen == seen[:1]).all() else None


def hides_what_follows(bias):
    far = bias.compute(Const.some).reshape(-1, text.ROWS, text.ROWS) < FAR
    return bool((far | ~torch.ones_like(far).triu(1)).all())


def words_by_head(mask, heads):
    """[(so many neighbouring heads, words)], where heads see other places than others; None: they do not."""
    known = mask.known() if isinstance(mask, Const) and mask.shape[-3:-2] == (heads,) and heads > 1 else None
    if known is None or known.shape[-2:] != (text.ROWS, text.ROWS) or known.numel() != heads * text.ROWS ** 2:
        return None
    true = truth_in(known)
    head = lambda i, ahead: true(moved(mask, ahead).reshape(heads, text.ROWS, text.ROWS)[i])
    each = [true and said_by(functools.partial(head, i)) for i in range(heads)]
    return None if None in each else [(len(list(same)), words) for words, same in itertools.groupby(each)]


def of_text(mask, n, hides=False):
    """What a mask says of the text; all that is before must be seen. hides: true where it may not be."""
    if not isinstance(mask, Const) or mask.shape[-1] != text.ROWS + n:
        return mask
    known = mask.known()
    before = None if known is None else known[..., :n]
    if before is None or not (before == (before.dtype == torch.bool and not hides)).all():
        raise Refused("rows before a text that not each token sees")
    return Const.op(torch.ops.aten.slice.Tensor, (mask, -1, n, text.ROWS + n), {}, (*mask.shape[:-1], text.ROWS), None)
