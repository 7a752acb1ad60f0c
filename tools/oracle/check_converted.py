#!/usr/bin/env python3
"""Tiny folders as andiron convert writes them, in llama.cpp: its logits against Transformers' golden ones.

    check_converted.py build/release/bin/andiron [TYPE ...] [--type f32] [--page docs/converted.md] [--folders DIR]

Without TYPE all of tests/golden/hf_models, or those of check_published.py --keep DIR, against what andiron gives for
the folder itself. A line each: how far of the largest logit, or why llama.cpp does not load
it. Where the two differ by an option of config.json, converted_options.py says which, and a second model without it is
made and compared (needs what make_hf_models.py needs). Needs llama-cpp-python, which takes GELU from a table of 16-bit
numbers, and rounds what it multiplies with packed weights.
"""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import textwrap

import numpy as np

from converted_options import OPTIONS
from peer_run import Peer

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools/import"))

from andiron_import.check import Refused, andiron_logits  # noqa: E402

MODELS = ROOT / "tests/golden/hf_models"
NEAR = 1e-3
RANK = 4  # llama.cpp's pooling for classifiers
HEAD = """# Converted: which folders' files llama.cpp reads too

Written by `tools/oracle/check_converted.py --page docs/converted.md`. Each tiny folder of `tests/golden/hf_models/`
was written as GGUF in F32 by `andiron convert`, and read by llama.cpp; here all of them give Transformers' logits
(`test_convert`). The figure is llama.cpp's largest difference from Transformers, of the largest logit. Of the rest:
what llama.cpp has no way to say or does otherwise, and, with the option of config.json that it can say, the figure of a
second model.

"""


def golden(folder):
    data = (folder / "golden.bin").read_bytes()
    n, columns = struct.unpack_from("<II", data)
    return np.frombuffer(data, "<i4", n, 8).tolist(), np.frombuffer(data, "<f4", -1, 8 + 4 * n).reshape(-1, columns)


def compare(peer, path, config, tokens, want):
    """The largest difference, of the largest number. Of what scores texts: of the whole text alone."""
    kind, n_vocab = config.get("architectures", [""])[0], (config.get("text_config") or config).get("vocab_size")
    classes, embeds = "SequenceClassification" in kind, want.shape[1] != n_vocab
    decodes = config.get("is_encoder_decoder") and not kind.endswith("EncoderModel")
    source = tokens[:5] if decodes else []
    if classes:
        rows = peer.run(path, tokens, embed=True, pooling=RANK)
        want = want[-1:] if config["model_type"] in ("qwen3", "mistral") else want[:1]
    else:
        rows = peer.run(path, tokens, embed=embeds, encoder=source, flash=config["model_type"] == "minimax_m3_vl_text")
    if rows.shape != want.shape:
        return f"gives {rows.shape}, not {want.shape}"
    return float(np.abs(rows - want).max() / np.abs(want).max())


def own(program, folder):
    """Ids, and the rows that the folder itself gives."""
    tokens = [(37 * i + i * i // 7 + 11) % 200 + 6 for i in range(48)]
    said = json.loads((folder / "config.json").read_text())
    return tokens, andiron_logits(program, folder, tokens, 0, tokens[:5] if said.get("is_encoder_decoder") else None)


def check(peer, args, made, folder):
    copy, out = folder / "copy", folder / "out.gguf"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(made, copy)
    (copy / "tokenizer.json").unlink(missing_ok=True)  # of words, which GGUF has no way to say
    try:
        tokens, want = golden(copy) if (copy / "golden.bin").is_file() else own(args.andiron, copy)
    except Refused as e:
        return str(e)[-140:]
    written = subprocess.run([args.andiron, "convert", copy, out, "--type", args.type, "--force"], capture_output=True,
                             text=True)
    if written.returncode:
        return written.stderr.strip()[-120:]
    try:
        return compare(peer, out, json.loads((copy / "config.json").read_text()), tokens, want)
    except ValueError as e:
        return str(e).replace("llama_model_load: error loading model: ", "")[-140:]


def remade(name, options, folder):
    """The same model with other options, where Transformers' logits are computed anew."""
    import make_hf_models as makers
    makers.OUT, made = folder, folder / name
    shutil.rmtree(made, ignore_errors=True)
    before = makers.MORE.get(name, makers.MORE.get(makers.kind_of(name), {}) if name not in makers.PARTS else {})
    makers.MORE[name] = {**before, **options}
    makers.make(name, False)
    return made


def shown(result):
    return f"{result:.1e}" if isinstance(result, float) else result


def is_near(result):
    return isinstance(result, float) and result <= NEAR


def wrapped(items):
    return textwrap.fill(", ".join(items) + ".", 118, break_on_hyphens=False)


def page(results):
    near = sorted(name for name, (first, _) in results.items() if is_near(first))
    unknown = sorted(name for name, (first, _) in results.items() if "model architecture" in str(first))
    apart = sorted(set(results) - set(near) - set(unknown))
    lines = [HEAD, f"**{len(near)} agree** within {NEAR:g} (with GELU, which it takes from a table; others 3e-5):\n",
             wrapped([f"{name} {results[name][0]:.0e}" for name in near]),
             f"\n**{len(unknown)} are of architectures that llama.cpp has not**:\n", wrapped(unknown) + "\n",
             f"**{len(apart)} are apart or refused** there:\n",
             "| folder | llama.cpp | why: there | without it |", "|---|---|---|---|"]
    for name in apart:
        first, second = results[name]
        why, options = OPTIONS.get(name, ("not looked into", None))
        with_it = f"{shown(second)} with other {', '.join(options)}" if options else ""
        lines.append(f"| {name} | {shown(first) if isinstance(first, float) else 'refused'} | {why} | {with_it} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("andiron")
    parser.add_argument("types", nargs="*")
    parser.add_argument("--type", default="f32")
    parser.add_argument("--page")
    parser.add_argument("--folders", type=pathlib.Path, default=MODELS)
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        peer = Peer(folder)
        for name in args.types or sorted(p.name for p in args.folders.iterdir()):
            first, second = check(peer, args, args.folders / name, folder), ""
            if not is_near(first) and OPTIONS.get(name, ("", None))[1]:
                second = check(peer, args, remade(name, OPTIONS[name][1], folder / "made"), folder)
            results[name] = first, second
            print(f"{name:28} {shown(first)}  {shown(second)}", flush=True)
        peer.close()
    if args.page:
        pathlib.Path(args.page).write_text(page(results))


if __name__ == "__main__":
    main()
