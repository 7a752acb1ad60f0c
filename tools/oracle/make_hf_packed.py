#!/usr/bin/env python3
"""Tiny random models whose matrices are packed, with the logits Transformers computes: tests/golden/hf_packed/CASE/.

    make_hf_packed.py [CASE ...]

Needs torch 2.13.0, transformers, tokenizers and safetensors. Matrices are packed here as the formats' libraries pack
them, unpacked again by code of its own (check_hf_packed.py asks the libraries), and Transformers runs on the unpacked
numbers in float32. golden.bin: u32 tokens, u32 vocabulary, i32 ids, f32 rows. weights.txt: for each packed matrix its
name here, the type that it is unpacked to, and FNV-1a (64 bits) of its numbers as float32, row after row.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/hf_packed"
TOKENS = [(i * 37 + i * i // 7 + 11) % 64 for i in range(20)]
SMALL = {
    "vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128, "pad_token_id": None,
    "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    "bos_token_id": 0, "eos_token_id": 0,
}
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
E4M3 = torch.float8_e4m3fn


def expand(x, rows, columns, shape):
    """Numbers of blocks as numbers of items."""
    return x.repeat_interleave(rows, 0).repeat_interleave(columns, 1)[:shape[0], :shape[1]]


def words(items, bits):
    """[n, m] unsigned items as [n, m * bits / 32] int32: the first item lowest."""
    per = 32 // bits
    items = np.pad(items.numpy().astype(np.uint64), ((0, 0), (0, -items.shape[1] % per)))
    packed = (items.reshape(items.shape[0], -1, per) << (np.arange(per, dtype=np.uint64) * bits)).sum(-1)
    return torch.from_numpy(packed.astype(np.uint32).view(np.int32))


def items_of(packed, bits, n):
    """The other way, by bits of bytes."""
    raw = np.unpackbits(packed.contiguous().numpy().view(np.uint8), axis=1, bitorder="little")
    raw = raw.reshape(packed.shape[0], -1, bits).astype(np.int64)
    return torch.from_numpy((raw << np.arange(bits)).sum(-1)[:, :n])


# ---- each: (name of a module, its weight) -> (tensors, the numbers they stand for) ----

def fp8(weight, block=None, scale_name="weight_scale_inv", power=False, channel=False, dtype=torch.float32):
    rows, columns = block or (1 if channel else weight.shape[0], weight.shape[1])
    n = (-(-weight.shape[0] // rows), -(-weight.shape[1] // columns))
    scale = torch.zeros(n)
    for i in range(n[0]):
        for j in range(n[1]):
            part = weight[i * rows:(i + 1) * rows, j * columns:(j + 1) * columns]
            scale[i, j] = part.abs().max() / 448
    if power:
        scale = torch.exp2(torch.ceil(torch.log2(scale)))
    scale = scale.to(dtype)
    packed = (weight / expand(scale.float(), rows, columns, weight.shape)).clamp(-448, 448).to(E4M3)
    numbers = packed.float() * expand(scale.float(), rows, columns, weight.shape)
    if not block and not channel:
        scale = scale.reshape(())
    return {"weight": packed, scale_name: scale}, numbers


def grouped(weight, bits, group, symmetric, dtype):
    """Unsigned items, scales and zeros of groups of columns, as round-to-nearest gives them."""
    group = weight.shape[1] if group == -1 else group
    w = torch.nn.functional.pad(weight, (0, -weight.shape[1] % group)).reshape(weight.shape[0], -1, group)
    top = 2 ** bits - 1
    if symmetric:
        scale = w.abs().amax(-1) * 2 / top
        zero = torch.full_like(scale, 2 ** (bits - 1))
    else:
        low, high = w.amin(-1).clamp(max=0), w.amax(-1).clamp(min=0)
        scale = (high - low) / top
        zero = (-low / scale).round().clamp(1, top)
    scale = scale.to(dtype)
    return scale, zero.long(), group


def quantize(weight, scale, zero, index, bits):
    s, z = scale.float()[:, index], zero[:, index]
    return ((weight / s).round() + z).clamp(0, 2 ** bits - 1).long()


def dequantize(items, scale, zero, index):
    return (items - zero[:, index]).float() * scale.float()[:, index]


def compressed_int8(weight, symmetric=True, dtype=torch.bfloat16):
    scale, zero, group = grouped(weight, 8, -1, symmetric, dtype)
    index = torch.arange(weight.shape[1]) // group
    items = quantize(weight, scale, zero, index, 8) - 128
    tensors = {"weight": items.to(torch.int8), "weight_scale": scale}
    if not symmetric:
        tensors["weight_zero_point"] = (zero - 128).to(torch.int8)
    return tensors, dequantize(tensors["weight"].long(), scale, zero - 128, index)


def compressed_words(weight, bits, group, symmetric, dtype=torch.bfloat16, shuffled=False):
    scale, zero, group = grouped(weight, bits, group, symmetric, dtype)
    index = torch.arange(weight.shape[1]) // group
    if shuffled:
        index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(3))]
    items = quantize(weight, scale, zero, index, bits)
    tensors = {"weight_packed": words(items, bits), "weight_scale": scale,
               "weight_shape": torch.tensor(weight.shape)}
    if not symmetric:
        tensors["weight_zero_point"] = words(zero.T, bits).T.contiguous()
        zero = items_of(tensors["weight_zero_point"].T, bits, weight.shape[0]).T
    if shuffled:
        tensors["weight_g_idx"] = index.int()
    return tensors, dequantize(items_of(tensors["weight_packed"], bits, weight.shape[1]), scale, zero, index)


def gptq(weight, bits, group, symmetric, shuffled=False, version=1, with_index=True):
    scale, zero, group = grouped(weight, bits, group, symmetric, torch.float16)
    index = torch.arange(weight.shape[1]) // group
    if shuffled:
        index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(3))]
    items = quantize(weight, scale, zero, index, bits)
    stored = zero - 1 if version == 1 else zero
    tensors = {"qweight": words(items, bits).T.contiguous(), "qzeros": words(stored.T, bits),
               "scales": scale.T.contiguous(), "g_idx": index.int()}
    # that the transposed layout is qweight[k / 8, n]
    turned = items_of(words(items, bits), bits, weight.shape[1])
    again = torch.zeros_like(turned)
    for k in range(weight.shape[1]):
        word = tensors["qweight"][k * bits // 32].long() & 0xffffffff
        again[:, k] = word >> (k % (32 // bits) * bits) & (2 ** bits - 1)
    assert torch.equal(again, items) and torch.equal(turned, items)
    if not with_index:
        del tensors["g_idx"]
    zeros = items_of(tensors["qzeros"], bits, weight.shape[0]).T + (version == 1)
    return tensors, dequantize(again, scale, zeros, index)


def awq(weight, group):
    scale, zero, group = grouped(weight, 4, group, False, torch.float16)
    index = torch.arange(weight.shape[1]) // group
    items = quantize(weight, scale, zero, index, 4)

    def interleave(x):
        return x.reshape(x.shape[0], -1, 8)[:, :, AWQ_ORDER].reshape(x.shape)
    tensors = {"qweight": words(interleave(items.T), 4), "qzeros": words(interleave(zero.T), 4),
               "scales": scale.T.contiguous()}
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])  # AutoAWQ's AWQ_REVERSE_ORDER
    q, z = (items_of(tensors[k], 4, weight.shape[0]).reshape(-1, weight.shape[0] // 8, 8)[:, :, order]
            .reshape(-1, weight.shape[0]).T for k in ("qweight", "qzeros"))
    return tensors, dequantize(q, scale, z, index)


def mxfp4(weight):
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    w = weight.reshape(weight.shape[0], -1, 32)
    exponent = torch.floor(torch.log2(w.abs().amax(-1))) - 2
    w = w / torch.exp2(exponent)[..., None]
    code = (w.abs()[..., None] - values).abs().argmin(-1)
    code = (code + 8 * ((w < 0) & (code > 0))).reshape(weight.shape)
    packed = (code[:, 0::2] | code[:, 1::2] << 4).to(torch.uint8)
    scale = (exponent + 127).to(torch.uint8)
    numbers = torch.cat([values, -values])[torch.stack([packed & 15, packed >> 4], -1).long()].reshape(weight.shape)
    return {"weight_packed": packed, "weight_scale": scale}, numbers * expand(2.0 ** (scale.float() - 127), 1, 32,
                                                                              weight.shape)


def nvfp4(weight, names, divided):
    """Groups of 16 with scales of FP8, and a factor of all: compressed-tensors divides by it, modelopt multiplies."""
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    w = weight.reshape(weight.shape[0], -1, 16)
    factor = 448 * 6 / weight.abs().max() if divided else weight.abs().max() / (448 * 6)
    most = w.abs().amax(-1) / 6
    scale = (most * factor if divided else most / factor).to(E4M3)
    whole = scale.float() / factor if divided else scale.float() * factor
    code = (w.abs()[..., None] / whole[..., None, None] - values).abs().argmin(-1)
    code = (code + 8 * ((w < 0) & (code > 0))).reshape(weight.shape)
    packed = (code[:, 0::2] | code[:, 1::2] << 4).to(torch.uint8)
    return dict(zip(names, (packed, scale, factor.reshape((1,) if divided else ())))), \
        torch.cat([values, -values])[code] * expand(whole, 1, 16, weight.shape)


NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]


def nested(weight, packed_scales, dtype):
    """bitsandbytes' NF4, in blocks of 32 in turn; scales of 8 bits of another table, in blocks of 256."""
    values, w = torch.tensor(NF4), weight.reshape(-1, 32)
    scale = w.abs().amax(1)
    state = {"quant_type": "nf4", "blocksize": 32, "dtype": dtype, "shape": list(weight.shape)}
    tensors = {"weight.quant_map": values, "weight.absmax": scale}
    if packed_scales:
        offset = scale.mean().item()
        table = torch.linspace(-1, 1, 256) ** 3
        rest = torch.nn.functional.pad(scale - offset, (0, -len(scale) % 256)).reshape(-1, 256)
        most = rest.abs().amax(1)
        items = ((rest / most[:, None])[..., None] - table).abs().argmin(-1)
        scale = (table[items] * most[:, None]).flatten()[:len(scale)] + torch.tensor(offset)
        tensors |= {"weight.absmax": items.flatten()[:len(scale)].to(torch.uint8), "weight.nested_absmax": most,
                    "weight.nested_quant_map": table}
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
    code = ((w / scale[:, None])[..., None] - values).abs().argmin(-1)
    numbers = (values[code] * scale[:, None]).to(getattr(torch, dtype)).float().reshape(weight.shape)
    flat = code.flatten()
    text = json.dumps(state).encode()
    return {**tensors, "weight": (flat[0::2] << 4 | flat[1::2]).to(torch.uint8)[:, None],
            "weight.quant_state.bitsandbytes__nf4": torch.frombuffer(bytearray(text), dtype=torch.uint8)}, numbers


def vectors_int8(weight):
    """bitsandbytes' LLM.int8()."""
    most = weight.abs().amax(1)
    items = (weight / most[:, None] * 127).round().to(torch.int8)
    return {"weight": items, "SCB": most, "weight_format": torch.tensor(0, dtype=torch.uint8)}, \
        items.float() * most[:, None] * 7.874015718698502e-3


def experts_mxfp4(weight):
    """[experts, in, out] as gpt-oss was published: [experts, out, blocks, 16 bytes], and their scales."""
    n, columns, rows = weight.shape
    parts, numbers = mxfp4(weight.transpose(1, 2).reshape(-1, columns))
    return {"_blocks": parts["weight_packed"].reshape(n, rows, -1, 16),
            "_scales": parts["weight_scale"].reshape(n, rows, -1)}, numbers.reshape(n, rows, columns).transpose(1, 2)


def scheme(bits, kind, strategy, symmetric=True, group=None, block=None):
    return {"num_bits": bits, "type": kind, "symmetric": symmetric, "strategy": strategy, "group_size": group,
            "block_structure": block, "actorder": None, "dynamic": False}


def compressed(form, *schemes):
    groups = {f"group_{i}": {"targets": ["Linear"], "weights": s, "input_activations": None, "output_activations": None}
              for i, s in enumerate(schemes)}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups, "ignore": ["lm_head"],
            "quantization_status": "compressed", "kv_cache_scheme": None}


def gptq_config(bits, group, symmetric, shuffled=False, form=None):
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": shuffled, "sym": symmetric}
    return {**config, **({"checkpoint_format": form} if form else {})}


FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "modules_to_not_convert": ["lm_head"]}
BNB = {"quant_method": "bitsandbytes", "llm_int8_skip_modules": None}
NF = {**BNB, "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
# name: (type, in which type here, quantization_config, how a weight is packed)
CASES = {
    "fp8_block": ("llama", "F32", {**FP8, "weight_block_size": [32, 40]}, lambda w: fp8(w, (32, 40))),
    "fp8_power": ("llama", "BF16", {**FP8, "weight_block_size": [32, 32]}, lambda w: fp8(w, (32, 32), power=True)),
    "fp8_tensor": ("llama", "F32", {**FP8, "activation_scheme": "static"}, lambda w: fp8(w, None, "weight_scale")),
    "fp8_rows": ("llama", "F32", {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0},
                 lambda w: fp8(w, None, "weight_scale", channel=True)),
    "fp8_experts": ("qwen3_moe", "F32", {**FP8, "weight_block_size": [16, 16]}, lambda w: fp8(w, (16, 16))),
    "ct_fp8_channel": ("llama", "F32", compressed("float-quantized", scheme(8, "float", "channel")),
                       lambda w: fp8(w, None, "weight_scale", channel=True, dtype=torch.bfloat16)),
    "ct_fp8_block": ("llama", "F32", compressed("float-quantized", scheme(8, "float", "block", block=[32, 16])),
                     lambda w: fp8(w, (32, 16), "weight_scale", dtype=torch.bfloat16)),
    "ct_int8": ("llama", "Q8_0", compressed("int-quantized", scheme(8, "int", "channel")), compressed_int8),
    "ct_int8_zeros": ("llama", "F32", compressed("int-quantized", scheme(8, "int", "channel", False)),
                      lambda w: compressed_int8(w, False, torch.float32)),
    "ct_int4": ("llama", "Q4_0", compressed("pack-quantized", scheme(4, "int", "group", True, 32)),
                lambda w: compressed_words(w, 4, 32, True)),
    "ct_int4_zeros": ("llama", "Q5_0", compressed("pack-quantized", scheme(4, "int", "group", False, 32)),
                      lambda w: compressed_words(w, 4, 32, False)),
    "ct_int4_index": ("llama", "F32", compressed("pack-quantized", scheme(4, "int", "group", False, 16)),
                      lambda w: compressed_words(w, 4, 16, False, shuffled=True)),
    "ct_int8_words": ("llama", "Q8_0", compressed("pack-quantized", scheme(8, "int", "channel")),
                      lambda w: compressed_words(w, 8, -1, True)),
    "ct_mxfp4": ("llama", "MXFP4", compressed("mxfp4-pack-quantized", scheme(4, "float", "group", True, 32)), mxfp4),
    "ct_experts": ("qwen3_moe", "Q4_0", compressed("pack-quantized", scheme(4, "int", "group", True, 32)),
                   lambda w: compressed_words(w, 4, 32, True)),
    "gptq": ("llama", "Q4_0", gptq_config(4, 32, True), lambda w: gptq(w, 4, 32, True)),
    "gptq_zeros": ("llama", "Q5_0", gptq_config(4, 32, False), lambda w: gptq(w, 4, 32, False, with_index=False)),
    "gptq_order": ("llama", "F32", gptq_config(4, 16, False, True), lambda w: gptq(w, 4, 16, False, shuffled=True)),
    "gptq_v2": ("llama", "Q5_0", gptq_config(4, 32, False, form="gptq_v2"), lambda w: gptq(w, 4, 32, False, version=2)),
    "gptq_8": ("llama", "Q8_0", gptq_config(8, -1, True, form="gptq"), lambda w: gptq(w, 8, -1, True)),
    "awq": ("llama", "Q5_0", {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
                      "modules_to_not_convert": None}, lambda w: awq(w, 32)),
    "mxfp4": ("gpt_oss", "MXFP4", {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, experts_mxfp4),
    "ct_nvfp4": ("llama", "F32", compressed("nvfp4-pack-quantized", scheme(4, "float", "tensor_group", True, 16)),
                 lambda w: nvfp4(w, ("weight_packed", "weight_scale", "weight_global_scale"), True)),
    "modelopt_nvfp4": ("llama", "F32", {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
                       lambda w: nvfp4(w, ("weight", "weight_scale", "weight_scale_2"), False)),
    "modelopt_fp8": ("llama", "F32", {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}},
                     lambda w: fp8(w, None, "weight_scale")),
    "bnb_nf4": ("llama", "BF16", NF, lambda w: nested(w, True, "bfloat16")),
    "bnb_nf4_plain": ("llama", "F16", NF, lambda w: nested(w, False, "float16")),
    "bnb_nf4_experts": ("qwen3_moe", "F32", NF, lambda w: nested(w, True, "float32")),
    "bnb_int8": ("llama", "F32", {"load_in_8bit": True}, vectors_int8),  # as it was first
    "awq_small": ("llama", "F32", {"quant_method": "awq", "w_bit": 4, "q_group_size": 16, "version": "GEMM",
                                   "zero_point": True}, lambda w: awq(w, 16)),
}


def fnv(numbers):
    """FNV-1a over the numbers' 32-bit words."""
    h = 0xcbf29ce484222325
    for word in numbers.contiguous().float().numpy().view(np.uint32).ravel().tolist():
        h = (h ^ word) * 0x100000001b3 & 0xffffffffffffffff
    return h


def in_turn(name, matrix):
    """gpt-oss' [experts, in, out], whose gates and ups stand in turn, as rows here."""
    if matrix.dim() == 2:
        return matrix
    rows = matrix.transpose(1, 2)
    return torch.cat([rows[:, 0::2], rows[:, 1::2]], 1) if "gate_up" in name else rows


NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
         "up_proj": "ffn_up", "down_proj": "ffn_down", "gate_up_proj": "ffn_gate_up"}


def sums(numbers, stored):
    """Lines of weights.txt; experts' matrices are one behind the other."""
    together = {}
    for name, matrix in sorted(numbers.items()):
        module = name.removesuffix(".weight").split(".")
        here = "blk." + module[2] + "." + NAMES[module[-1]] + ("_exps" if "experts" in module else "")
        together.setdefault(here + ".weight", []).append(in_turn(name, matrix))
    return "".join(f"{name} {stored} {fnv(torch.cat(m)):016x}\n" for name, m in together.items())


def fill(model):
    generator = torch.Generator().manual_seed(7)
    for name, p in sorted(model.named_parameters()):
        values = torch.randn(p.shape, generator=generator) * (0.2 if p.dim() == 1 else 1 / p.shape[-1] ** 0.5)
        if p.dim() == 1 and "norm" in name and "bias" not in name:
            values += p.data.mean()
        p.data.copy_(values.half().float())


def is_packed(name, kind):
    return name.endswith("_proj") if kind == "gpt_oss" else name.endswith("_proj.weight")


def make(case):
    kind, stored, config, pack = CASES[case]
    folder = OUT / case
    cls = CONFIG_MAPPING[kind]
    fields = cls().to_dict()
    small = {k: v for k, v in SMALL.items() if k in fields}
    if stored != "F32" and kind in ("qwen3_moe", "gpt_oss"):
        small["num_experts_per_tok"] = 4  # activations of 8 bits must not decide which
    model = AutoModelForCausalLM.from_config(cls(**small)).float().eval()
    fill(model)
    model.half().save_pretrained(folder)  # by the names of the hub, an expert a matrix
    plain, tensors, numbers = load_file(folder / "model.safetensors"), {}, {}
    for name, weight in plain.items():
        if is_packed(name, kind):
            parts, numbers[name] = pack(weight.float())
            tensors.update({name.removesuffix("weight") + k: v.contiguous() for k, v in parts.items()})
        else:
            tensors[name] = weight
    save_file({k: numbers[k].contiguous() if k in numbers else v.float() for k, v in plain.items()},
              folder / "model.safetensors", {"format": "pt"})
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS]), use_cache=False).logits[0].numpy().astype("<f4")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    if "quantization" in config:  # modelopt's own file
        (folder / "hf_quant_config.json").write_text(json.dumps(config) + "\n")
    else:
        said["quantization_config"] = config
    (folder / "config.json").write_text(json.dumps(said, indent=1) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    vocabulary = {"<unk>": 0, **{f"w{i}": i for i in range(1, 64)}}
    Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
    head = np.array(logits.shape, "<u4").tobytes() + np.array(TOKENS, "<i4").tobytes()
    (folder / "golden.bin").write_bytes(head + logits.tobytes())
    (folder / "weights.txt").write_text(sums(numbers, stored))
    print(case, len(numbers), float(np.abs(logits).max()))


def main():
    torch.manual_seed(0)
    for case in sys.argv[1:] or CASES:
        make(case)


if __name__ == "__main__":
    main()
