"""The proof before a file is kept: Transformers and andiron on the same tokens, as a prompt and token by token."""
import bisect
import copy
import json
import math
import pathlib
import subprocess
import tempfile
from unittest import mock

import numpy as np
import torch

from . import heads, trace
from .values import Refused, Rows

LIMIT = 2e-4  # of the largest logit, as float32 sums in another order leave it
FIRST = 1e-3  # what a module is called wrong for
LENGTHS = (1, 7, 24)


def said_by(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr.strip() or f"{command[0]} stopped with {done.returncode}")
    return done.stdout


def andiron_vector(program, path, tokens):
    ids = ",".join(map(str, tokens))
    return np.array(json.loads(said_by([program, "embed", str(path), "--tokens", ids, "--raw"])), np.float32)


def andiron_logits(program, path, tokens, decode):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        said_by([program, "logits", str(path), "--tokens", ",".join(map(str, tokens)), "-o", str(out),
                 "--kv-type", "f32", "-c", "64", *(["--decode", str(decode)] if decode else [])])
        data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])["logits"]
    return np.frombuffer(data[8 + size:], np.float32).reshape(header["shape"])


def far(got, want):
    """In parts of the largest number; infinite where something is not a number."""
    by = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
    return by if by == by else math.inf


def first_largest(x, k, dim=-1, largest=True, sorted=True):
    """topk, which takes any of equal numbers; here the first ones, as andiron does."""
    best = [y.narrow(dim, 0, k) for y in torch.sort(x, dim=dim, descending=largest, stable=True)]
    return torch.return_types.topk(best)


def answer(model, tokens):
    with torch.no_grad(), mock.patch("torch.topk", first_largest), mock.patch("torch.Tensor.topk", first_largest):
        return heads.numbers(model(**heads.arguments(model, tokens)))[0].numpy()


def exact_answer(model, tokens):
    """In double precision, where the model runs in it: a recurrence's own rounding in float32 can exceed the limit."""
    exact = copy.deepcopy(model).double()
    try:
        exact.set_experts_implementation("eager")
        return answer(exact, tokens)
    except (AttributeError, RuntimeError, ValueError):
        return None


def difference(model, path, program, whole):
    """The largest, over three lengths; Refused where it is too large. whole: a text is read at once, never token by
    token."""
    generator, worst = torch.Generator().manual_seed(1), 0.0
    for n in LENGTHS:
        tokens = heads.some_tokens(model, n, generator)
        want = answer(model, tokens)
        for decode in (0, n - 1)[:1 if whole or want.ndim == 1 else 2]:
            ids = tokens[0].tolist()
            got = andiron_vector(program, path, ids) if want.ndim == 1 else andiron_logits(program, path, ids, decode)
            by = far(got, want)
            exact = exact_answer(model, tokens) if by > LIMIT else None
            by = by if exact is None else min(by, far(got, exact))
            if by > LIMIT:
                raise Differs(f"the numbers of {n} tokens, {decode} of them one by one, are {by:.1e} of the largest "
                              f"away from Transformers', more than {LIMIT:.0e}", tokens, decode)
            worst = max(worst, by)
    return worst


class Differs(Refused):
    """tokens, decode: the run that showed it."""

    def __init__(self, why, tokens, decode):
        super().__init__(why)
        self.tokens, self.decode = tokens, decode


# ---- where it begins

def outputs_of(model, tokens):
    """{module's name: the numbers [tokens, n] it gave}, in the order of their ends."""
    given = {}

    def keep(name):
        def hook(_module, _inputs, output):
            first = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(first, torch.Tensor) and first.shape[:2] == tokens.shape:
                given[name] = first[0].float().reshape(tokens.shape[1], -1).numpy()
        return hook
    hooked = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if name]
    with torch.no_grad():
        model(**heads.arguments(model, tokens))
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
    want, last = outputs_of(model, differs.tokens), last_nodes(imported)

    def wrong(name):
        try:
            imported.tell_until(last[name])
            imported.save(path, "f32", ".")
            got = andiron_logits(program, path, differs.tokens[0].tolist(), differs.decode)
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
