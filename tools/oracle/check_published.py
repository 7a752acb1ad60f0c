#!/usr/bin/env python3
"""config.json files in the spelling they were published in, with small sizes: what Transformers and andiron make of it.

    check_published.py [NAME ...] [--configs published.jsonl] [--andiron PROGRAM] [--keep DIR]

A line of the file is one, written from memory of the Hub: its `name`, its `config` - or `of` another, what differs and
what it `drop`s - and what the small model needs beside it: `layers` (4), `shrink` (other sizes), `tensors` that the
folder also has (a shape, or whose copy it is; "*": each layer), `rename` (names as published; "" leaves one out),
`encoder`, `reads` (what Transformers is told otherwise, where it is known not to read it as it is meant).
Transformers reads the folder, its own model gets random weights, they are saved by the names that are published, and
`andiron logits` has to give its numbers: of 57 tokens at once, and the last 20 one by one. A line for each that is
refused, and for each that is WRONG, which none should be. Needs tiny_models.py of the shared folder on PYTHONPATH,
which knows small sizes.
"""
import argparse
import copy
import json
import pathlib
import re
import sys
import tempfile
import warnings
from unittest import mock

import tiny_models as tiny
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools/import"))

from andiron_import import check  # noqa: E402

LIMIT = 2e-5
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
          "num_decoder_layers", "num_encoder_layers")
KEPT = {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "context_length",
        "attn_layer_period"}


def small_number(key, value, said):
    if key.endswith("_token_id") and isinstance(value, int) and value >= tiny.VOCAB:
        return 240 + value % 15
    if not value or key in KEPT or key not in tiny.SMALL or not isinstance(value, (int, float)) or value is True:
        return value
    size = tiny.SMALL[key]
    size = size(value, said) if callable(size) else size
    return value if size is tiny.KEEP else size


def small(said, entry):
    """The same words with small numbers; lists of layers as long as there are layers."""
    n, more = entry.get("layers", 4), entry.get("shrink", {})
    lengths = {said.get(key) for key in LAYERS} - {None, n}
    out = {}
    for key, value in said.items():
        if key in more:
            value = more[key]
        elif isinstance(value, dict):
            value = small(value, entry)
        elif key in LAYERS:
            value = n
        elif isinstance(value, list) and len(value) in lengths:
            value = [small_number(key, x, said) for x in value[:n]]
        else:
            value = small_number(key, value, said)
        out[key] = value
    return out


def model_of(config, entry):
    name = (config.architectures or [""])[0]
    maker = getattr(transformers, name, None)
    if entry.get("encoder") and not name.endswith("EncoderModel"):
        return transformers.AutoModel.from_config(config)
    if maker is None:
        maker = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return maker._from_config(config, dtype=torch.float32)  # noqa: SLF001


def renamed(tensors, entry, n):
    for pattern, to in entry.get("rename", []):
        tensors = {re.sub(pattern, to, name): t for name, t in tensors.items()}
    tensors.pop("", None)
    for name, shape in entry.get("tensors", {}).items():
        for i in range(n if "*" in name else 1):
            if isinstance(shape, str):
                t = torch.zeros([int(x) for x in shape.split()[1:]]) if " " in shape else tensors[shape].clone()
            else:
                t = torch.ones([x for x in shape if x != "i64"], dtype=torch.int64 if "i64" in shape else torch.float32)
            tensors[name.replace("*", str(i))] = t
    return tensors


def write(folder, entry):
    """The folder, and Transformers' model of it."""
    said = small(entry["config"], entry)
    text = json.dumps({**said, **entry.get("reads", {})})
    (folder / "config.json").write_text(text, encoding="utf-8")
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    torch.manual_seed(3)
    model = model_of(config, entry).float().eval()
    waves = {name: p.data.clone() for name, p in model.named_parameters() if not p.requires_grad}
    tiny.reinit(model, 3)
    for name, data in waves.items():
        model.get_parameter(name).data.copy_(data)
    with tempfile.TemporaryDirectory() as name:
        model.save_pretrained(name)
        tensors = load_file(pathlib.Path(name) / "model.safetensors")
    save_file(renamed(tensors, entry, entry.get("layers", 4)), folder / "model.safetensors", {"format": "pt"})
    again, info = type(model).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if any("inv_freq" not in name for name in info["missing_keys"]) or info["mismatched_keys"]:
        raise ValueError(f"the folder is not whole: {info}")
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    return again.eval()


def rows_of(model, ids, source):
    with torch.no_grad(), mock.patch("torch.topk", check.largest_of), \
            mock.patch("torch.Tensor.topk", check.largest_of):
        if source is not None:
            return model(source, decoder_input_ids=ids, use_cache=False).logits[0]
        out = model(ids, use_cache=False) if hasattr(model, "lm_head") or model.get_output_embeddings() else model(ids)
        return (out.logits if "logits" in out else out.last_hidden_state)[0]


def exactly(model, ids, source):
    """In double precision, where the model runs in it: a recurrence's own rounding in float32 can exceed the limit."""
    try:
        exact = copy.deepcopy(model).double()
        exact.set_experts_implementation("eager")
        return rows_of(exact, ids, source).numpy()
    except (AttributeError, RuntimeError, ValueError):
        return rows_of(model, ids, source).numpy()


def distance(got, want, exact):
    """0 also where it is not much farther from what is exact than Transformers' own float32 is."""
    by = check.far(got, want)
    if by <= LIMIT:
        return by
    exact = exact()
    return 0 if check.far(got, exact) <= 2 * check.far(want, exact) else by


def compared(folder, entry, program):
    """A word, and what is to be said."""
    try:
        model = write(folder, entry)
        top = min(240, model.get_input_embeddings().weight.shape[0] - 1)
        ids = torch.randint(5, top, (1, 57), generator=torch.Generator().manual_seed(5))
        source = ids[:, :11].flip(1) if model.config.is_encoder_decoder and not entry.get("encoder") else None
        want = rows_of(model, ids, source).float().numpy()
    except Exception as e:  # noqa: BLE001
        return "unread", f"{type(e).__name__}: {e}"[:300]
    far = 0
    for decode in (0,) if entry.get("encoder") else (0, 20):
        try:
            got = check.andiron_logits(program, folder, ids[0].tolist(), decode,
                                       None if source is None else source[0].tolist())
        except check.Refused as e:
            return "refused", str(e).replace(str(folder), "")
        if got.shape != want.shape:
            return "WRONG", f"{got.shape}, not {want.shape}"
        far = max(far, distance(got, want, lambda: exactly(model, ids, source)))
    return ("ok" if far <= LIMIT else "WRONG"), f"{far:.1e}"


def entries_of(path):
    whole = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        base = whole[entry["of"]]["config"] if "of" in entry else {}
        kept = {key: value for key, value in base.items() if key not in entry.get("drop", ())}
        whole[entry["name"]] = {**entry, "config": {**kept, **entry["config"]}}
    return whole.values()


def main():
    warnings.filterwarnings("ignore")
    transformers.utils.logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--configs", type=pathlib.Path, default=ROOT / "tools/oracle/published.jsonl")
    parser.add_argument("--andiron", default=str(ROOT / "build/release/bin/andiron"))
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--all", action="store_true", help="say the figures of those that agree, too")
    args = parser.parse_args()
    counts = {}
    for entry in entries_of(args.configs):
        if args.names and not any(name.lower() in entry["name"].lower() for name in args.names):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = args.keep / entry["name"].replace("/", "+") if args.keep else pathlib.Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            word, more = compared(folder, entry, args.andiron)
        counts[word] = counts.get(word, 0) + 1
        if word != "ok" or args.all:
            print(f"{word:8}{entry['name']}: {more}", flush=True)
    print(*[f"{n} {word}" for word, n in counts.items()])
    sys.exit("WRONG" in counts)


if __name__ == "__main__":
    main()
