"""The proof before a file is kept: Transformers and andiron on the same tokens, as a prompt and token by token."""
import bisect
import copy
import json
import math
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import torch

from . import trace
from .values import Refused, Rows

LIMIT = 2e-4  # of the largest logit, as float32 sums in another order leave it
FIRST = 1e-3  # what a module is called wrong for
LENGTHS = (1, 7, 24)


def andiron_logits(program, path, tokens, decode):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.safetensors"
        command = [program, "logits", str(path), "--tokens", ",".join(map(str, tokens)), "-o", str(out),
                   "--kv-type", "f32", "-c", "64", *(["--decode", str(decode)] if decode else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stderr.strip() or f"{program} stopped with {done.returncode}")
        data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])["logits"]
    return np.frombuffer(data[8 + size:], np.float32).reshape(header["shape"])


def texts(model):
    """Random ids, one text of each length."""
    generator = torch.Generator().manual_seed(1)
    n_vocab = model.get_input_embeddings().weight.shape[0]
    return [torch.randint(0, n_vocab, (1, n), generator=generator) for n in LENGTHS]


def far(got, want):
    """In parts of the largest number; infinite where something is not a number."""
    by = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
    return by if by == by else math.inf


def scores(model, tokens):
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits[0].numpy()


def exact_scores(model, tokens):
    """In double precision, where the model runs in it: a recurrence's own rounding in float32 can exceed the limit."""
    exact = copy.deepcopy(model).double()
    try:
        exact.set_experts_implementation("eager")
        return scores(exact, tokens)
    except (RuntimeError, ValueError):
        return None


def difference(model, path, program):
    """The largest, over three lengths; Refused where it is too large."""
    worst = 0.0
    for tokens in texts(model):
        want = scores(model, tokens)
        for decode in (0, tokens.shape[1] - 1):
            got = andiron_logits(program, path, tokens[0].tolist(), decode)
            by = far(got, want)
            exact = exact_scores(model, tokens) if by > LIMIT else None
            by = by if exact is None else min(by, far(got, exact))
            if by > LIMIT:
                raise Differs(f"the logits of {tokens.shape[1]} tokens, {decode} of them one by one, are {by:.1e} of "
                              f"the largest away from Transformers', more than {LIMIT:.0e}", tokens, decode)
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
        model(input_ids=tokens, use_cache=False)
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
    layers = [name for name in names if re.fullmatch(re.escape(imported.layers) + r"\.\d+", name)]
    bad = bisect.bisect_left(layers, True, key=lambda name: wrong(name) > FIRST)
    begin = names.index(layers[bad - 1]) + 1 if bad else 0
    end = names.index(layers[bad]) + 1 if bad < len(layers) else len(names)
    for name in names[begin:end]:
        by = wrong(name)
        if by > FIRST:
            return f"the first module that differs is {name}, by {by:.1e}"
    return None
