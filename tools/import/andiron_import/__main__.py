"""andiron-import DIR OUT.gguf: a Transformers model as a GGUF file that carries its own definition."""
import argparse
import collections
import re
import sys

import torch
import transformers

from . import emit, lower, trace, write
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
    config = model.config.get_text_config()
    emitter = emit.Emitter(output, layers_of(model), name, getattr(config, "max_position_embeddings", None) or 0)
    return emitter.write(), emitter


def run(directory, path, kind):
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    name = "hf-" + re.sub(r"[^\w-]", "-", model.config.model_type)
    text, emitter = definition_of(model, name)
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    write.write(path, name, text, emitter, state.__getitem__, model.config, kind)
    return text


def main():
    parser = argparse.ArgumentParser(prog="andiron import", description=__doc__)
    parser.add_argument("model", help="a Hugging Face directory")
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--type", default="f16", choices=["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"])
    args = parser.parse_args()
    try:
        run(args.model, args.out, args.type)
    except Refused as e:
        sys.exit(f"andiron import: {args.model}: {e}; nothing was written")


if __name__ == "__main__":
    main()
