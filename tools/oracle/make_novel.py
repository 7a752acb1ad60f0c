#!/usr/bin/env python3
"""Folders of the models in tools/oracle/novel/, which have Python files of their own, with Transformers' logits.

    make_novel.py OUT [NAME ...]

They are written as papers and other people's repositories are, in many styles, to see whether andiron-import reads what
it has never seen: check_imports.py OUT says so. Random weights; needs einops beside what tools/import needs.
"""
import argparse
import importlib
import inspect
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE))
N_TOKENS, N_ONE_BY_ONE = 40, 24


def class_in(module):
    """The model that the file tells."""
    own = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
    models = [c for c in own if issubclass(c, transformers.PreTrainedModel)]
    return next(c for c in models if c.__name__.endswith(("CausalLM", "LMHeadModel", "LM")))


def logits_of(model, tokens):
    more = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    with torch.no_grad():
        out = model(input_ids=tokens, **more)
    out = out if torch.is_tensor(out) else out["logits"] if isinstance(out, dict) else out[0]
    return out[0].float().contiguous()


def make(name, out):
    kind = class_in(importlib.import_module(f"novel.{name}"))
    kind.config_class.register_for_auto_class()
    kind.register_for_auto_class("AutoModelForCausalLM")
    torch.manual_seed(7)
    model = kind(kind.config_class()).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p) * (0.7 * p.shape[-1] ** -0.5 if p.dim() > 1 else 0.1)
    model.save_pretrained(out)
    tokens = torch.randint(3, model.config.vocab_size, (1, N_TOKENS))
    logits = logits_of(model, tokens)
    early = logits_of(model, tokens[:, :N_TOKENS - N_ONE_BY_ONE])
    if (logits[:len(early)] - early).abs().max() > 1e-4 * logits.abs().max():
        sys.exit(f"{name} sees what follows: its logits say nothing of tokens one by one")
    golden = {"input_ids": tokens, "logits": logits, "logits_decode": logits[-N_ONE_BY_ONE:].clone()}
    save_file(golden, out / "golden.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in args.names or sorted(p.stem for p in (HERE / "novel").glob("n*.py")):
        make(name, args.out / name)
        print(name, flush=True)


if __name__ == "__main__":
    main()
