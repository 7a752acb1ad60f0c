"""The GGUF file: the definition, the model's tensors under the definition's names, and a few facts."""
import json

import gguf
import numpy as np
import torch


def quantized(array, kind):
    """Matrices of a type that their rows fit, else what comes next: F16, F32."""
    kinds = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
             "bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0,
             "q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_1": gguf.GGMLQuantizationType.Q4_1}
    t = kinds[kind]
    if array.ndim < 2 or t == gguf.GGMLQuantizationType.F32:
        return array, None
    if array.shape[-1] % gguf.GGML_QUANT_SIZES[t][0]:
        t = gguf.GGMLQuantizationType.F16
    return gguf.quants.quantize(array, t), t


DOCUMENTS = {"tokenizer.json": "json", "tokenizer_config.json": "config", "special_tokens_map.json": "special",
             "generation_config.json": "generation", "config.json": "model_config"}


def add_texts(out, directory):
    """The folder's tokenizer and chat template, as they are."""
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


def write(path, model_type, definition, emitter, load, directory, kind="f32"):
    out = gguf.GGUFWriter(path, model_type)
    out.add_string("andiron.arch", definition)
    out.add_name(directory.name or model_type)
    out.add_uint32(f"{model_type}.context_length", emitter.n_ctx)
    add_texts(out, directory)
    if len(set(emitter.kind_of_layer)) > 1:
        out.add_array("andiron.layer_kind", emitter.kind_of_layer)
    if emitter.layers.again:
        out.add_array("andiron.layer_of", emitter.layers.visited)
    for name, const in emitter.names.tensors.items():
        with torch.no_grad():
            array = const.compute(load).detach().float().contiguous().numpy()
        products = emitter.names.products.get(name, False)
        data, t = quantized(np.ascontiguousarray(array), kind if products else "f32")
        out.add_tensor(name, data, raw_dtype=t)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
