"""How long the text of a trace is: ROWS tokens, so that a dimension of that size, or of a multiple, is the text.

It is a prime that no number of the model has as a factor, within the model's context, and more than its windows
and than the positions that it chooses.
"""
import itertools
import math
import re

USUAL, SHORT = 251, 23  # the prime nearby; short where Python walks over the text, op by op
ROWS = USUAL
CONTEXT = 0  # tokens of the longest text, 0: nobody says
LONGER = set()  # lengths of the text with rows before it, in a trace
MOST = 4096
REACHES = ("window", "topk", "top_k", "radius")  # positions that a row reads, in names of a configuration
CONTEXTS = re.compile("max_pos|n_positions|max_seq|n_ctx|^block_size|context_len|seq_len")


def numbers_of(x, name=""):
    """Whole numbers of a configuration, with the names they stand under."""
    if isinstance(x, dict):
        return [pair for k, v in x.items() for pair in numbers_of(v, str(k))]
    if isinstance(x, (list, tuple)):
        return [pair for v in x for pair in numbers_of(v, name)]
    return [(name, x)] if isinstance(x, int) and not isinstance(x, bool) else []


def context_of(config):
    """The longest text that a trace holds for: LongRoPE has other frequencies beyond the first training's, and BigBird
    sees all of a text that has few blocks only."""
    ropes = getattr(config, "rope_parameters", None) or {}
    ropes = [r for r in [ropes, *ropes.values()] if isinstance(r, dict) and r.get("rope_type") == "longrope"]
    longest = max(getattr(config, "max_position_embeddings", None) or 0, 0) or next(iter(contexts_in(config)), 0)
    if getattr(config, "attention_type", None) == "block_sparse":
        longest = min(longest, (5 + 2 * config.num_random_blocks) * config.block_size)
    longest = min([longest, *unhashed(config)])
    return min([longest, *[r["original_max_position_embeddings"] for r in ropes]])


def unhashed(config):
    """[tokens of the longest text that Reformer tells without hashes], of a configuration that has any."""
    kinds = getattr(config, "attn_layers", None) or []
    if "lsh" not in kinds:
        return []
    lsh, local = config.lsh_attn_chunk_length, config.local_attn_chunk_length
    return [min(lsh, local) if "local" in kinds and lsh % local else lsh]  # a text is padded to both


def contexts_in(config):
    """Lengths of texts, by the names that configurations give them."""
    return [n for name, n in numbers_of(config.to_dict()) if n > 0 and CONTEXTS.search(name)]


def most_of(model):
    """Tokens that a text may have."""
    return min([MOST, *contexts_in(model.config), *unhashed(model.config)])


def longer_of(model):
    """Tokens of a text that is more than twice as long as the trace's, and no short one, where there may be so many."""
    return min(max(2 * ROWS + 1, USUAL), most_of(model))


def choose(model, about):
    """For the trace of this model."""
    global ROWS, CONTEXT
    CONTEXT = context_of(model.config.get_text_config())
    said = numbers_of(model.config.to_dict())
    tensors = itertools.chain(model.parameters(), model.buffers())
    sizes = {n for t in tensors for n in t.shape} | {n for _, n in said}
    most = most_of(model)
    windows = [n for name, n in said if any(word in name for word in REACHES) and n < most]
    fits = [n for n in range(3, most + 1)
            if all(n % d for d in range(2, math.isqrt(n) + 1)) and all(s % n or s == 0 for s in sizes)]
    wide = [n for n in fits if n > max(windows, default=0)]
    ROWS = min(wide or fits or [ROWS], key=lambda n: (abs(n - about), n))


def is_square(shape):
    """Has it a number for each pair of places?"""
    return shape.count(ROWS) == 2 or shape.count(ROWS) == 1 and sum(n in LONGER for n in shape) == 1
