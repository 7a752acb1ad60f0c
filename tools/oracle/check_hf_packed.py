#!/usr/bin/env python3
"""The folders of tests/golden/hf_packed, unpacked by the libraries that publish the formats, against weights.txt.

    check_hf_packed.py PACKING_UTILS

PACKING_UTILS: AutoAWQ 0.2.9's awq/utils/packing_utils.py, which needs nothing but torch. Also needs transformers and
compressed-tensors 0.20.0 and bitsandbytes 0.50.2. GPTQ is unpacked as AutoGPTQ 0.7.1's QuantLinear does, modelopt's
NVFP4 as its NVFP4QTensor. ct_int4_index is left out: the library reads no weight_g_idx any more.
"""
import json
import pathlib
import re
import sys

import bitsandbytes.functional as bnb
import torch
from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.quantization.lifecycle.forward import dequantize
from safetensors.torch import load_file
from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from make_hf_packed import OUT, sums


def gptq(part, config):
    bits, group = config["bits"], config["group_size"]
    columns = part["qweight"].shape[0] * 32 // bits
    index = part.get("g_idx", torch.arange(columns) // (group if group > 0 else columns)).long()
    shifts, mask = torch.arange(0, 32, bits, dtype=torch.int32), 2 ** bits - 1
    zeros = (part["qzeros"][:, :, None] >> shifts).reshape(part["scales"].shape) & mask
    zeros = zeros + (config.get("checkpoint_format", "gptq") == "gptq")
    items = (part["qweight"][:, None, :] >> shifts[:, None]).reshape(columns, -1) & mask
    return (part["scales"].float()[index] * (items - zeros[index])).T


def awq(part, config):
    names = {}
    exec(pathlib.Path(sys.argv[1]).read_text(), names)
    group = config.get("group_size", config.get("q_group_size"))
    return names["dequantize_gemm"](part["qweight"], part["qzeros"], part["scales"].float(), 4, group).T


def fp8(part, config):
    scale = part.get("weight_scale_inv", part.get("weight_scale"))
    return _dequantize_fp8_weight(part["weight"], scale, config.get("weight_block_size"), torch.float32)


def compressed(part, config):
    scheme = list(QuantizationConfig.model_validate(config).config_groups.values())[0]
    if "weight_global_scale" in part:
        items = unpack_fp4_from_uint8(part["weight_packed"], len(part["weight_packed"]),
                                      2 * part["weight_packed"].shape[1], torch.float32)
        return dequantize(items, part["weight_scale"].float(), args=scheme.weights, dtype=torch.float32,
                          global_scale=part["weight_global_scale"])
    if part["weight_scale"].dtype == torch.uint8:
        return MXFP4PackedCompressor.decompress(part, scheme)["weight"]
    kind = PackedQuantizationCompressor if "weight_packed" in part else NaiveQuantizationCompressor
    return kind.decompress({**part, "weight_scale": part["weight_scale"].float()}, scheme)["weight"]


def modelopt(part, config):
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    packed, scale = part["weight"].long(), part["weight_scale"].float() * part["weight_scale_2"]
    code = torch.stack([packed & 15, packed >> 4], -1)
    return (torch.cat([values, -values])[code].reshape(len(packed), -1, 16) * scale[..., None]).flatten(1)


def bitsandbytes(part, config):
    if "SCB" in part:
        return bnb.int8_vectorwise_dequant(part["weight"], part["SCB"])
    state = bnb.QuantState.from_dict({k.removeprefix("weight."): v for k, v in part.items() if k != "weight"}, "cpu")
    return bnb.dequantize_4bit(part["weight"], state)


def mxfp4(part, config):
    return convert_moe_packed_tensors(part["_blocks"], part["_scales"], dtype=torch.float32)


METHODS = {"gptq": gptq, "awq": awq, "fp8": fp8, "fbgemm_fp8": fp8, "compressed-tensors": compressed,
           "modelopt": modelopt, "bitsandbytes": bitsandbytes, "mxfp4": mxfp4}


SCALES = {"weight_scale", "weight_scale_inv", "scales", "SCB", "weight.absmax", "_scales"}


def main():
    wrong = 0
    for folder in sorted(OUT.iterdir()):
        config = json.loads((folder / "config.json").read_text()).get("quantization_config", {"quant_method": "fp8"})
        modules = {}
        for name, tensor in load_file(folder / "model.safetensors").items():
            stem, last = (re.fullmatch(r"(.*)(_blocks|_scales)", name) or
                          re.fullmatch(r"(.*?)\.(weight\..*|[^.]*)", name)).groups()
            modules.setdefault(stem, {})[last] = tensor
        if any("weight_g_idx" in part for part in modules.values()):
            continue
        numbers = {stem + ".weight": METHODS[config.get("quant_method", "bitsandbytes")](part, config).float()
                   for stem, part in modules.items() if SCALES & set(part)}
        said = (folder / "weights.txt").read_text()
        same = sums(numbers, said.split()[1]) == said
        wrong += not same
        print(folder.name, "same" if same else "DIFFERENT")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
