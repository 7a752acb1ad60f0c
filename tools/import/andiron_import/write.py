"""The GGUF file: the definition, the model's tensors under the definition's names, and a few facts."""
import json
import math

import gguf
import numpy as np
import torch

from . import heads

KINDS = {k: gguf.GGMLQuantizationType[k.upper()] for k in ("f32", "f16", "bf16")}


DOCUMENTS = {"tokenizer.json": "json", "tokenizer_config.json": "config", "special_tokens_map.json": "special",
             "generation_config.json": "generation", "config.json": "model_config"}


def add_texts(out, directory):
    """The folder's tokenizer and chat template, as they are; without one, the file takes token ids only."""
    if not (directory / "tokenizer.json").exists():
        out.add_tokenizer_model("none")
    for name, key in DOCUMENTS.items():
        file = directory / name
        if file.exists() and (directory / "tokenizer.json").exists():
            out.add_string(f"tokenizer.huggingface.{key}", file.read_text(encoding="utf-8"))
    template = directory / "chat_template.jinja"
    if template.exists():
        out.add_chat_template(template.read_text(encoding="utf-8"))
    elif (directory / "tokenizer_config.json").exists():
        said = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
        if isinstance(said, str):
            out.add_chat_template(said)


def numbers_of(config):
    """{name: number} of a configuration, those of groups inside as group.name: a definition of arch/ reads them."""
    out = {}
    for key, value in config.to_dict().items():
        inside = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        out |= {k: v for k, v in inside.items() if type(v) in (int, float) and math.isfinite(v)}
    return out


def first_token(directory, numbers):
    """What a text about a source begins with, and has next, as Transformers' generate has it."""
    file = directory / "generation_config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    ids = [of.get(name) for name in ("decoder_start_token_id", "bos_token_id") for of in (said, numbers)]
    forced = {k: n for k, n in said.items() if k == "forced_bos_token_id" and type(n) is int}
    return forced | {"decoder_start_token_id": n for n in [i for i in ids if type(i) is int][:1]}


def write(path, imported, load, directory, kind="f32"):
    """One weight is in memory at a time."""
    emitter, name = imported.emitter, imported.name
    out = gguf.GGUFWriter(path, name)
    if imported.text:
        out.add_string("andiron.arch", imported.text)
    out.add_name(directory.name or name)
    out.add_uint32(f"{name}.context_length", emitter.n_ctx)
    out.add_uint32(f"{name}.block_count", emitter.n_layers)
    numbers = numbers_of(imported.model.config.get_text_config())
    numbers |= first_token(directory, numbers) if heads.reads_source(imported.model) else {}
    for key, number in numbers.items():
        (out.add_float64 if type(number) is float else out.add_int64)(f"{name}.{key}", number)
    if imported.pooling:
        out.add_uint32(f"{name}.pooling_type", imported.pooling)
    add_texts(out, directory)
    if len(set(emitter.kind_of_layer)) > 1:
        out.add_array("andiron.layer_kind", emitter.kind_of_layer)
    for key, numbers in emitter.numbers.items():
        out.add_array(key, [int(n) for n in numbers] if all(n == int(n) for n in numbers) else numbers)
    if emitter.again:
        out.add_array("andiron.layer_of", emitter.home)
    for numbers, key in emitter.names.lists.items():
        out.add_key_value(key, list(numbers), gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.UINT64)
    types = {stem: KINDS[kind if emitter.names.products.get(stem) and len(const.shape) > 1 else "f32"]
             for stem, const in emitter.names.tensors.items()}
    for stem, const in emitter.names.tensors.items():
        size = gguf.GGML_QUANT_SIZES[types[stem]][1]
        out.add_tensor_info(stem, const.shape, np.dtype(np.float32), math.prod(const.shape) * size, types[stem])
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_ti_data_to_file()
    for stem, const in emitter.names.tensors.items():
        with torch.no_grad():
            out.write_tensor_data(packed(const.compute(load).detach().float().contiguous(), types[stem]))
    out.close()


def packed(tensor, kind):
    """float32 as the file has it."""
    if kind == KINDS["f16"]:
        return tensor.half().numpy()
    if kind == KINDS["bf16"]:
        return tensor.bfloat16().view(torch.int16).numpy()
    return tensor.numpy()
