"""andiron-import DIR OUT.gguf: a Transformers model as a GGUF file that carries its own definition."""
import argparse
import collections
import os
import pathlib
import re
import sys

import torch
import transformers

from . import check, emit, lower, text, trace, write
from .values import Refused


def layers_of(model):
    """The name of the list of modules that the layers are: of those outside of other lists, the longest."""
    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)]
    outer = [(n, m) for n, m in lists if not any(n.startswith(o + ".") for o, _ in lists if o != n)]
    count = collections.Counter({n: len(m) for n, m in outer})
    return max(count, key=count.get) if count else ""


def definition_of(model, name):
    traced = trace.Trace(model)
    output = lower.Lowering(traced).run()
    context = text.context_of(model.config.get_text_config())
    emitter = emit.Emitter(output, layers_of(model), name, context)
    return emitter.write(), emitter


def writer_of(model, directory):
    """Trace the model once; a function of a path and a type that writes its file, and the definition's text."""
    name = "hf-" + re.sub(r"[^\w-]", "-", model.config.model_type)
    text, emitter = definition_of(model, name)
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())

    def save(path, kind):
        write.write(path, name, text, emitter, state.__getitem__, pathlib.Path(directory), kind)
    return save, text


def load(directory):
    """By the class that config.json names, where it is one that gives scores."""
    config = transformers.AutoConfig.from_pretrained(directory)
    named = getattr(transformers, (getattr(config, "architectures", None) or [""])[0], None)
    scores = named and named.__name__.endswith(("ForCausalLM", "LMHeadModel"))
    kind = named if scores else transformers.AutoModelForCausalLM
    return kind.from_pretrained(directory, dtype=torch.float32).eval()


def run(directory, path, kind="f16", andiron="andiron"):
    """Import, check, and only then keep the file."""
    model = load(directory)
    unproven = f"{path}.unproven"
    try:
        own = check.implementations(model)
        save, _ = writer_of(model, directory)
        save(unproven, "f32")
        worst = check.difference(model, own, unproven, andiron)
        if kind != "f32":
            save(unproven, kind)
        os.replace(unproven, path)
    finally:
        pathlib.Path(unproven).unlink(missing_ok=True)
    return worst


def main():
    parser = argparse.ArgumentParser(prog="andiron import", description=__doc__)
    parser.add_argument("model", help="a Hugging Face directory")
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--type", default="f16", choices=["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"])
    parser.add_argument("--andiron", default="andiron", help="the program that checks the file; default: of the PATH")
    args = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    try:
        worst = run(args.model, args.out, args.type, args.andiron)
    except (Refused, NotImplementedError, OSError, ValueError, RuntimeError) as e:
        why = str(e).strip().split("\n")[0][:400]  # torch's messages are pages
        sys.exit(f"andiron import: {args.model}: {why or type(e).__name__}; nothing was written")
    print(f"{args.out}: its logits are within {worst:.1e} of Transformers' (prompt, and token by token)")


if __name__ == "__main__":
    main()
