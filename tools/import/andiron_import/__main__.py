"""andiron-import DIR OUT.gguf: a Transformers model as a GGUF file that carries its own definition."""
import argparse
import contextlib
import copy
import itertools
import os
import pathlib
import sys
import warnings

import huggingface_hub
import torch
import transformers

from . import check, chunks, heads, shrink, weights, write
from .imported import Imported
from .values import Refused, Unfit

WHOLE = 150_000_000  # a model of at most so many parameters proves itself; a smaller one of its class all others
SOME_LAYERS = 4  # of a small model that shows what its answer does not depend on


def proven(model, imported, path, andiron, longer):
    """The largest difference; where it is too large, Refused with the module that it begins at. longer: trace.py."""
    unproven = f"{path}.unproven"
    try:
        imported.save(unproven, "f32", ".")
        return check.difference(model, unproven, andiron, imported.whole_texts, longer)
    except check.Differs as e:
        where = check.first_difference(model, imported, e, unproven, andiron)
        raise Refused(f"{e}; {where}" if where else str(e)) from e
    finally:
        pathlib.Path(unproven).unlink(missing_ok=True)


def proven_small(small, imported, path, andiron, *how):
    """By a model of a smaller configuration, whose definition has the same steps."""
    traced = Imported(weights.without_numbers(copy.deepcopy(small)), *how)
    worst = proven(small, traced, path, andiron, imported.trace.longer)
    for part, proved in itertools.zip_longest(imported.emitter.steps(), traced.emitter.steps(), fillvalue=[]):
        for step, other in itertools.zip_longest(part, proved, fillvalue=("nothing",)):
            if step != other:
                raise Refused("the small model that proved right takes other steps than this one: "
                              f"{' '.join(map(str, other))} for {' '.join(map(str, step))}")
    return worst


def save(imported, path, kind, directory, andiron):
    """In fewer bits: written whole, as exactly as its weights are, and then converted by andiron on all threads."""
    if kind in write.KINDS:
        return imported.save(path, kind, directory)
    whole = f"{path}.whole"
    try:
        bf16 = imported.model.config.get_text_config().dtype is torch.bfloat16
        imported.save(whole, "bf16" if bf16 else "f16", directory)
        return check.said_by([andiron, "convert", whole, path, "--type", kind, "--force"])
    finally:
        pathlib.Path(whole).unlink(missing_ok=True)


def folder_of(name, trust):
    """A folder, or that of a repository of the Hub, of which what is needed is fetched unless it is there already."""
    if pathlib.Path(name).exists() or name.count("/") != 1 or name[0] in "./~":
        return name
    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"] + ["*.py"] * trust
    return huggingface_hub.snapshot_download(name, allow_patterns=wanted)


def runs(kind, config, directory, layers):
    """A model to run: the one itself, or a small one of its class."""
    config = copy.deepcopy(config)
    if weights.n_parameters(kind, config) > WHOLE:
        return shrink.model(kind, config, layers)
    return heads.with_parts(weights.whole_model_of(kind, config, directory), directory)


def told(kind, config, directory, path, andiron, free=(), begin=0):
    """(the traced model, the largest difference); config is left as it is."""
    fake = weights.model_of(kind, copy.deepcopy(config), directory)
    imported = Imported(heads.with_parts(fake, directory), free, begin)
    kinds = imported.emitter.kind_of_layer
    model = runs(kind, config, directory, 1 + max(map(kinds.index, kinds), default=0))
    if imported.n_parameters > WHOLE:
        return imported, proven_small(model, imported, path, andiron, free, begin)
    return imported, proven(model, imported, path, andiron, imported.trace.longer)


def told_in_any_way(kind, config, directory, path, andiron):
    """As it is, or, where that is refused, with the model's own rows before the text, or by chunks of one row."""
    try:
        return told(kind, config, directory, path, andiron)
    except Unfit:
        raise
    except Exception as e:  # noqa: BLE001 - of torch, of Transformers, or of a folder's own files
        if getattr(e, "begin", 0):
            return told(kind, config, directory, path, andiron, begin=e.begin)
        with contextlib.suppress(Exception):
            free = chunks.free(runs(kind, config, directory, SOME_LAYERS))
            if free:
                return told(kind, config, directory, path, andiron, free)
        raise


def run(directory, path, kind="f16", andiron="andiron", trust=False):
    """Import, check, and only then write the file."""
    model_class, config = heads.class_of(directory, trust)
    imported, worst = told_in_any_way(model_class, config, directory, path, andiron)
    partial = f"{path}.partial"
    try:
        save(imported, partial, kind, directory, andiron)
        os.replace(partial, path)
    finally:
        pathlib.Path(partial).unlink(missing_ok=True)
    return worst


def main():
    parser = argparse.ArgumentParser(prog="andiron import", description=__doc__)
    parser.add_argument("model", help="a Hugging Face directory, or the name of a repository")
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--type", default="f16", help="f32, f16, bf16, or a type of andiron convert")
    parser.add_argument("--andiron", default="andiron", help="the program that checks the file; default: of the PATH")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python files of the directory")
    args = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of torch's own future, which nobody who imports a model can change
    try:
        folder = folder_of(args.model, args.trust_remote_code)
        worst = run(folder, args.out, args.type, args.andiron, args.trust_remote_code)
    except Exception as e:  # noqa: BLE001 - of torch, of Transformers, or of a folder's own files
        first, _, more = str(e).strip().partition("\n")  # torch's messages are pages
        why = f"{first} {more.strip().partition(chr(10))[0]}".strip()[:400] if first.endswith(":") else first[:400]
        if not isinstance(e, (Refused, NotImplementedError, OSError)):
            why = f"{type(e).__name__}: {why}"
        sys.exit(f"andiron import: {args.model}: {why}; nothing was written")
    print(f"{args.out}: its numbers are within {worst:.1e} of the largest of Transformers'")


if __name__ == "__main__":
    main()
