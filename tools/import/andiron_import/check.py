"""The proof before a file is kept: Transformers and andiron on the same tokens, as a prompt and token by token."""
import bisect
import copy
import json
import math
import pathlib
import subprocess
import tempfile
import typing
from unittest import mock

import numpy as np
import torch

from . import heads, text, trace
from .values import Refused, Rows

LIMIT = 2e-4  # of the largest logit, as float32 sums in another order leave it
FIRST = 1e-3  # what a module is called wrong for
LENGTHS = (1, 7, 24)
SOURCES = (11, 1, 19)  # of what they are about, where a model reads that


def said_by(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr.strip() or f"{command[0]} stopped with {done.returncode}")
    return done.stdout


def andiron_vector(program, path, tokens):
    ids = ",".join(map(str, tokens))
    return np.array(json.loads(said_by([program, "embed", str(path), "--tokens", ids, "--raw"])), np.float32)


def andiron_logits(program, path, tokens, decode, source=None):
    n_ctx = max(len(tokens), len(source or ()))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        said_by([program, "logits", str(path), "--tokens", ",".join(map(str, tokens)), "-o", str(out),
                 "--kv-type", "f32", "-c", str(n_ctx), "--ubatch", str(max(512, n_ctx)),
                 *(["--decode", str(decode)] if decode else []),
                 *(["--source", ",".join(map(str, source))] if source else [])])
        data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])["logits"]
    return np.frombuffer(data[8 + size:], np.float32).reshape(header["shape"])


def far(got, want):
    """In parts of the largest number; infinite where something is not a number."""
    by = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
    return by if by == by else math.inf


def kept_of_equals(values, k):
    """Places of the k largest of a list; of equal ones those that C++'s std::partial_sort leaves (libstdc++), which
    andiron and llama.cpp choose keys by."""
    heap = list(range(k))

    def sink(at, place):
        top = at
        while (child := 2 * at + 1) < k:
            child += child + 1 < k and not values[heap[child + 1]] > values[heap[child]]
            heap[at], at = heap[child], child
        while at > top and values[heap[(at - 1) // 2]] > values[place]:
            heap[at], at = heap[(at - 1) // 2], (at - 1) // 2
        heap[at] = place

    for at in reversed(range(k // 2)):
        sink(at, heap[at])
    for place in range(k, len(values)):
        if values[place] > values[heap[0]]:
            sink(0, place)
    return sorted(heap, key=lambda place: (-values[place], place))


def largest_of(x, k, dim=-1, largest=True, sorted=True):
    """topk, which takes any of equal numbers; here as andiron does."""
    if not largest:
        raise NotImplementedError("topk of the smallest")
    rows = x.movedim(dim, -1)
    best, places = torch.sort(rows, dim=-1, descending=True, stable=True)
    places = places[..., :k].clone()
    if 0 < k < rows.shape[-1]:
        for at in (best[..., k - 1] == best[..., k]).nonzero().tolist():
            places[tuple(at)] = torch.tensor(kept_of_equals(rows[tuple(at)].tolist(), k))
    places = places.movedim(-1, dim).contiguous()
    return torch.return_types.topk((x.gather(dim, places), places))


def answer(model, tokens, source=None):
    with torch.no_grad(), mock.patch("torch.topk", largest_of), mock.patch("torch.Tensor.topk", largest_of):
        return heads.passed(model, tokens, source).numpy()


def exact_answer(model, tokens, source):
    """In double precision, where the model runs in it: a recurrence's own rounding in float32 can exceed the limit."""
    exact = copy.deepcopy(model).double()
    try:
        exact.set_experts_implementation("eager")
        return answer(exact, tokens, source)
    except (AttributeError, RuntimeError, ValueError):
        return None


def difference(model, path, program, whole, longer=0):
    """The largest, over three lengths, and that of a longer text, if any; Refused where it is too large. whole: a text
    is read at once, never token by token."""
    generator, worst = torch.Generator().manual_seed(1), 0.0
    most = text.context_of(model.config.get_text_config()) or max(LENGTHS)
    lengths = [min(n, most) for n in LENGTHS]
    for n, n_source in [*zip(lengths, SOURCES), *[(longer, SOURCES[0])] * bool(longer)]:
        tokens = heads.some_tokens(model, n, generator)
        source = heads.some_tokens(model, n_source, generator) if heads.reads_source(model) else None
        want = answer(model, tokens, source)
        for decode in (0, n - 1)[:1 if whole or want.ndim == 1 else 2]:
            asked = Asked(tokens, decode, source)
            got = andiron_vector(program, path, tokens[0].tolist()) if want.ndim == 1 else asked.of(program, path)
            by = far(got, want)
            exact = exact_answer(model, tokens, source) if by > LIMIT else None
            by = by if exact is None else min(by, far(got, exact))
            if by > LIMIT:
                raise Differs(f"the numbers of {n} tokens, {decode} of them one by one, are {by:.1e} of the largest "
                              f"away from Transformers', more than {LIMIT:.0e}", asked)
            worst = max(worst, by)
    return worst


class Asked(typing.NamedTuple):
    """A run: a text, how many of its tokens come one by one, and what it is about."""
    tokens: torch.Tensor
    decode: int
    source: torch.Tensor | None

    def of(self, program, path):
        source = None if self.source is None else self.source[0].tolist()
        return andiron_logits(program, path, self.tokens[0].tolist(), self.decode, source)


class Differs(Refused):
    """asked: the run that showed it."""

    def __init__(self, why, asked):
        super().__init__(why)
        self.asked = asked


# ---- where it begins

def outputs_of(model, asked):
    """{module's name: the numbers [tokens, n] it gave}, in the order of their ends."""
    given, tokens = {}, asked.tokens

    def keep(name):
        def hook(_module, _inputs, output):
            first = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(first, torch.Tensor) and first.shape[:2] == tokens.shape:
                given[name] = first[0].float().reshape(tokens.shape[1], -1).numpy()
        return hook
    hooked = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if name]
    with torch.no_grad():
        model(**heads.arguments(model, tokens, source=asked.source))
    for h in hooked:
        h.remove()
    return given


def last_nodes(imported):
    """{module's name: the op of the trace that ends it}."""
    last = {}
    for node in imported.trace.nodes:
        if isinstance(imported.lowering.value.get(node), Rows):
            last.update(dict.fromkeys(trace.modules_of(node), node))
    return last


def first_difference(model, imported, differs, path, program):
    """The module whose numbers are the first that are wrong, in a sentence; None: none was found."""
    want, last = outputs_of(model, differs.asked), last_nodes(imported)

    def wrong(name):
        try:
            imported.tell_until(last[name])
            imported.save(path, "f32", ".")
            got = differs.asked.of(program, path)
        except Refused:
            return 0
        return far(got, want[name]) if got.shape == want[name].shape else 0
    names = [name for name in want if name in last]
    layers = [name for name in names if (imported.emitter.layers.split(name) or (0, "more"))[1] == ""]
    bad = bisect.bisect_left(layers, True, key=lambda name: wrong(name) > FIRST)
    begin = names.index(layers[bad - 1]) + 1 if bad else 0
    end = names.index(layers[bad]) + 1 if bad < len(layers) else len(names)
    for name in names[begin:end]:
        by = wrong(name)
        if by > FIRST:
            return f"the first module that differs is {name}, by {by:.1e}"
    return None
