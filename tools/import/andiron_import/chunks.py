"""Passes by chunks of the text whose answer does not depend on how long a chunk is: traced with chunks of one row, they
are loops over the text (steps.py)."""
import contextlib
import functools
import inspect
import sys
import types

import torch

from . import check, heads, text

WORDS = ("chunk", "block")  # in the names of sizes
WHOLE_NAMES = ("c", "bt")  # which those have, too
NOT_ITS_OWN = ("transformers", "torch", "builtins")
MOST = 600  # tokens that are run to see whether a size is free
USUAL = 64  # of an argument whose number is not known


def is_size(name, value):
    named = any(word in str(name).lower() for word in WORDS) or str(name).lower() in WHOLE_NAMES
    return named and type(value) is int and value > 1


def configs_of(config):
    return [config, *(c for v in vars(config).values() if hasattr(v, "model_type") for c in configs_of(v))]


def owners(model):
    """What has sizes, or functions that are given them, as attributes: modules, configurations, files, classes."""
    own = lambda of: of.startswith("transformers.models.") or of.split(".")[0] not in NOT_ITS_OWN
    kinds = {k for m in model.modules() for k in type(m).__mro__ if own(k.__module__)}
    files = {sys.modules[k.__module__] for k in kinds}
    return [*model.modules(), *configs_of(model.config), *files, *kinds]


def takes(function):
    """{argument that is a size: its number}"""
    if not isinstance(function, types.FunctionType):
        return {}
    number = lambda p: USUAL if p.default is p.empty else p.default
    given = inspect.signature(function).parameters.items()
    return {name: number(p) for name, p in given if is_size(name, number(p))}


def given_one(function, names):
    said = inspect.signature(function)

    @functools.wraps(function)
    def run(*args, **kwargs):
        given = said.bind(*args, **kwargs)
        given.apply_defaults()
        given.arguments |= {name: 1 for name in names if is_size(name, given.arguments.get(name))}
        return function(*given.args, **given.kwargs)
    return run


@contextlib.contextmanager
def of_one_row(model, names):
    """For its time, sizes of these names are 1."""
    kept = []
    try:
        for owner in owners(model) if names else ():
            for name, value in list(vars(owner).items()):
                own = names & takes(value).keys()
                if own or name in names and is_size(name, value):
                    kept.append((owner, name, value))
                    setattr(owner, name, given_one(value, own) if own else 1)
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)


def sizes_of(model):
    said = [(name, value) for owner in owners(model) for name, value in vars(owner).items()]
    said += [pair for _, value in said for pair in takes(value).items()]
    out = {}
    for name, value in said:
        if is_size(name, value):
            out[name] = max(value, out.get(name, 0))
    return out


def free(model):
    """Names of sizes with which the model's answer to a text of more chunks than two is the same as with 1."""
    sizes = {name: n for name, n in sizes_of(model).items() if 2 * n + 3 <= MOST}
    n = min(2 * max(sizes.values(), default=0) + 3, text.context_of(model.config.get_text_config()) or MOST)
    tokens = heads.some_tokens(model, n, torch.Generator().manual_seed(2))
    want = check.answer(model, tokens) if sizes else None
    return {name for name in sizes if is_same(model, tokens, want, name)}


def is_same(model, tokens, want, name):
    with contextlib.suppress(Exception), of_one_row(model, {name}):  # whatever it says of chunks of one row
        return check.far(check.answer(model, tokens), want) <= check.LIMIT
    return False
