"""Packed weights (FP8, MXFP4, GPTQ, AWQ, compressed-tensors) as plain ones: what makes a matrix, and its numbers.

The tensors that are there say what is packed, not config.json's lists of what is not. src/engine/hf_packed.c reads
the same.
"""
import torch

from .values import Refused

METHODS = ("fp8", "fbgemm_fp8", "modelopt", "compressed-tensors", "gptq", "awq", "mxfp4")
# a tensor of items: (what its name ends with, its type): what may stand beside it, as unpack() takes them
BESIDE = {("weight", torch.float8_e4m3fn): ("weight_scale_inv", "weight_scale"),
          ("weight", torch.int8): ("weight_scale", "weight_zero_point", "weight_g_idx"),
          ("weight_packed", torch.int32): ("weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape"),
          ("weight_packed", torch.uint8): ("weight_scale",),
          ("qweight", torch.int32): ("scales", "qzeros", "g_idx")}
OF_ACTIVATIONS = ("input_scale", "output_scale", "input_zero_point", "output_zero_point", "activation_scale", "k_scale",
                  "v_scale", "q_scale")  # which are computed with as they are
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


class Packing:
    """What config.json's quantization_config says."""

    def __init__(self, said):
        self.method = said.get("quant_method")
        if self.method not in METHODS:
            raise Refused(f"its weights are packed by {self.method}; {', '.join(METHODS)} are read")
        self.bits = said.get("bits", said.get("w_bit", 4))
        self.plus = said.get("checkpoint_format", "gptq") == "gptq"  # zeros are written less 1
        groups = [g.get("weights") or {} for g in (said.get("config_groups") or {}).values()]
        blocks = [said.get("weight_block_size"), *(g.get("block_structure") for g in groups)]
        sizes = [said.get("group_size"), said.get("q_group_size"), *(g.get("group_size") for g in groups)]
        self.blocks = [tuple(b) for b in blocks if b] + [(1, n) for n in sizes if n and n > 0]

    def spread(self, x, shape):
        """A number for each block, group, row or matrix as one for each item."""
        x = x.reshape(-1, 1) if x.dim() < 2 else x
        for down, along in [*self.blocks, (1, shape[1]), shape]:
            if x.shape == (-(-shape[0] // down), -(-shape[1] // along)):
                return x.repeat_interleave(down, 0)[:shape[0]].repeat_interleave(along, 1)[:, :shape[1]]
        raise Refused(f"scales of {tuple(x.shape)} for {shape[0]} x {shape[1]} packed weights fit no block or group "
                      "size of config.json's quantization_config")

    def of_items(self, x, shape, index):
        return self.spread(x, shape) if index is None else x[:, index.long()]


def bits_of(words, bits, dim):
    """Unsigned items of 32-bit words, the lowest first, along that dimension."""
    words, shifts = words.long().movedim(dim, -1)[..., None], torch.arange(0, 32, bits)
    return ((words >> shifts) & ((1 << bits) - 1)).flatten(-2).movedim(-1, dim)


def unpack_fp8(packing, items, *scales):
    scale = next(s for s in scales if s is not None)
    return items.float() * packing.spread(scale.float(), items.shape)


def unpack_int8(packing, items, scale, zeros, index):
    less = 0 if zeros is None else packing.of_items(zeros.float().reshape(scale.shape), items.shape, index)
    return (items.float() - less) * packing.of_items(scale.float(), items.shape, index)


def unpack_words(packing, items, scale, zeros, index, shape):
    shape = shape.tolist()
    bits = next((b for b in (2, 4, 8) if -(-shape[1] * b // 32) == items.shape[1]), None)
    if bits is None:
        raise Refused(f"packed weights of {shape[0]} x {shape[1]} in rows of {items.shape[1]} words")
    numbers = bits_of(items, bits, 1)[:, :shape[1]]
    less = 1 << (bits - 1) if zeros is None else packing.of_items(bits_of(zeros, bits, 0)[:shape[0]], shape, index)
    return (numbers - less).float() * packing.of_items(scale.float(), shape, index)


def unpack_fp4(packing, items, scale):
    """Two items in a byte; scales are exponents of 2, less 127."""
    numbers = FP4[torch.stack([items & 15, items >> 4], -1).long()].flatten(-2)
    return numbers * torch.exp2(scale.float() - 127).repeat_interleave(32, -1)


def unpack_gptq(packing, items, scale, zeros, index):
    bits = packing.bits
    if packing.method == "awq":
        order = lambda x: bits_of(x, bits, 1).unflatten(1, (-1, 8))[:, :, AWQ_ORDER].flatten(1).T
        numbers, less = order(items), order(zeros)
    else:
        one = 0xffffffff // ((1 << bits) - 1) if packing.plus else 0  # it wraps as its writer's did
        numbers, less = bits_of(items, bits, 0).T, bits_of(zeros.long() + one, bits, 1).T
    shape = numbers.shape
    return (numbers - packing.of_items(less, shape, index)).float() * packing.of_items(scale.T.float(), shape, index)


def unpack_blocks(packing, items, scale):
    """gpt-oss: [experts, out, blocks, 16], of which the parameter is [experts, in, out]."""
    return unpack_fp4(packing, items.flatten(-2), scale).transpose(1, 2).contiguous()


UNPACK = {("weight", torch.float8_e4m3fn): unpack_fp8, ("weight", torch.int8): unpack_int8,
          ("weight_packed", torch.int32): unpack_words, ("weight_packed", torch.uint8): unpack_fp4,
          ("qweight", torch.int32): unpack_gptq}


def shape_of(packing, kind, items, shape):
    """Of the matrix; shape: the numbers of a weight_shape, or None."""
    rows, columns = items.shape[0], items.shape[-1]
    if kind[0] == "qweight":
        per = 32 // packing.bits
        return (columns * per, rows) if packing.method == "awq" else (columns, rows * per)
    return tuple(shape.tolist()) if shape is not None else (rows, columns * (2 if kind[1] == torch.uint8 else 1))


def matrices(tensors, packing, read):
    """{name of a plain weight: (its shape, names of the tensors that make it, how)}, and all names that no weight has.
    read(name): its numbers."""
    out, gone = {}, {n for n in tensors if n.rpartition(".")[2] in OF_ACTIVATIONS}
    for name, items in tensors.items():
        stem, _, last = name.rpartition(".")
        kind, blocks = (last, items.dtype), name.removesuffix("_blocks")
        if blocks != name and blocks + "_scales" in tensors:
            n, rows, groups, size = items.shape
            out[blocks] = (n, groups * size * 2, rows), [name, blocks + "_scales"], unpack_blocks
            gone |= {name, blocks + "_scales"}
        if kind not in UNPACK:
            continue
        beside = [f"{stem}.{b}" if f"{stem}.{b}" in tensors else None for b in BESIDE[kind]]
        if beside[0] is None and beside[1:2] in ([], [None]):
            raise Refused(f"the packed tensor {name} has no scales beside it")
        said = read(beside[3]) if len(beside) > 3 and beside[3] else None
        if last == "qweight" and (beside[1] is None or 32 % packing.bits) or last == "weight_packed" and (
                kind[1] == torch.int32 and said is None):
            raise Refused(f"the packed tensor {name} has no qzeros or weight_shape beside it, or items of "
                          f"{packing.bits} bits")
        out[f"{stem}.weight"] = shape_of(packing, kind, items, said), [name, *beside], UNPACK[kind]
        gone |= {name, *filter(None, beside)}
    return out, gone
