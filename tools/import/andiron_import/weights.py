"""A model as Transformers loads it, its weights still in their files.

Transformers is given tensors that remember how they come about (Lazy): what it renames, stacks, cuts or casts on its
way is done when a weight is asked for, one at a time. The model itself holds fake tensors: shapes without numbers.
"""
import contextlib
import copy
import json
import logging
import math
import os
import pathlib
from unittest import mock

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._pytree import tree_map

from . import packed
from .values import Unfit

MOST_LAYERS = 4096  # of the .arch language
LARGE = 1 << 20
MODE = FakeTensorMode(allow_non_fake_inputs=True)
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # what it logs is refused in a sentence
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
         "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


class Lazy(torch.Tensor):
    """A tensor that make() gives; ops on it give others."""
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, fake, make):
        self = torch.Tensor._make_wrapper_subclass(cls, fake.shape, strides=fake.stride(), dtype=fake.dtype,
                                                   device="cpu")
        self.fake, self.make = fake, make
        return self

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}

        def run():
            return func(*tree_map(made, args), **tree_map(made, kwargs))
        try:
            with MODE:
                out = func(*tree_map(fake_of, args), **tree_map(fake_of, kwargs))
        except DataDependentOutputException:  # are two of them equal?
            return run()
        if isinstance(out, (list, tuple)):
            return [cls(o, lambda i=i: run()[i]) for i, o in enumerate(out)]
        return cls(out, run) if isinstance(out, torch.Tensor) else out


def fake_of(x):
    return x.fake if isinstance(x, Lazy) else x


def made(x):
    return x.make() if isinstance(x, Lazy) else x


def safetensors(path):
    """{name: Lazy} of a file; each make() reads its bytes anew."""
    size = path.stat().st_size
    with path.open("rb") as f:
        n = int.from_bytes(f.read(8), "little")
        if n > size - 8:
            raise Unfit(f"{path.name}: the header is said to take {n} bytes, the file has {size}")
        header = json.loads(f.read(n))
    header.pop("__metadata__", None)
    for name, said in header.items():
        begin, end = said["data_offsets"]
        if not 0 <= begin <= end <= size - 8 - n:
            raise Unfit(f"{path.name}: {name} lies outside of the file")
        if said["dtype"] not in TYPES:
            raise Unfit(f"{path.name}: {name} is of the type {said['dtype']}, which is not known here")
        dtype = TYPES[said["dtype"]]
        if end - begin != math.prod(said["shape"]) * dtype.itemsize:
            raise Unfit(f"{path.name}: {name} has {end - begin} bytes, which its shape and type do not take")
        yield name, stored(path, 8 + n + begin, end - begin, said["shape"], dtype)


def stored(path, at, n_bytes, shape, dtype):
    def make():
        data = bytearray(n_bytes)
        with path.open("rb") as f:
            f.seek(at)
            f.readinto(data)
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
    with MODE:
        return Lazy(torch.empty(shape, dtype=dtype), make)


def checkpoint(directory):
    """{name: Lazy} of a folder: of its safetensors, else of what torch.save wrote."""
    index = directory / "model.safetensors.index.json"
    if index.exists():
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        files = [p.name for p in sorted(directory.glob("model*.safetensors"))]
    out = {}
    absent = [name for name in files if not (directory / pathlib.PurePath(name).name).exists()]
    named("does not have", absent)
    for name in files:
        out |= safetensors(directory / pathlib.PurePath(name).name)
    for path in [] if files else sorted(directory.glob("pytorch_model*.bin")):
        for name, tensor in torch.load(path, map_location="cpu", mmap=True, weights_only=True).items():
            out[name] = Lazy(MODE.from_tensor(tensor), lambda t=tensor: t)
    if not out:
        raise Unfit("the folder has no model.safetensors, no index of it and no pytorch_model.bin")
    said = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    return unpacked(out, packed.Packing(said)) if said else out


def unpacked(given, packing):
    """The same with plain weights: each matrix is unpacked when it is asked for."""
    def matrix(shape, names, how):
        with MODE:
            fake = torch.empty(shape)
        return Lazy(fake, lambda: how(packing, *[None if n is None else made(given[n]) for n in names]))
    plain, gone = packed.matrices(given, packing, lambda name: made(given[name]))
    return {n: t for n, t in given.items() if n not in gone} | {n: matrix(*of) for n, of in plain.items()}


def named(what, names):
    """All that is wrong with the weights in one sentence."""
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise Unfit(f"the folder {what} {', '.join(names[:8])}{more}")


def n_parameters(kind, config):
    with torch.device("meta"):
        return sum(p.numel() for p in kind(copy.deepcopy(config)).parameters())


def refuse_other_size(kind, config, n_given):
    """What is missing Transformers makes, at its full size: so before that."""
    layers = getattr(config.get_text_config(), "num_hidden_layers", None) or 0
    if layers > MOST_LAYERS:
        raise Unfit(f"config.json describes {layers:,} layers; at most {MOST_LAYERS:,} can be told")
    n = n_parameters(kind, config)
    if n > 2 * n_given + 1_000_000:
        raise Unfit(f"config.json describes a model of {n:,} weights, the folder has {n_given:,}")


def report(loading_info, **_):
    """In the place of Transformers' own table: of weights that are made of several some may be missing."""
    if loading_info.conversion_errors:
        named("has not all weights for", sorted({*loading_info.missing_keys, *loading_info.conversion_errors}))
    if loading_info.error_msgs:
        raise Unfit(loading_info.error_msgs[0])


class LargeOnMeta(torch.overrides.TorchFunctionMode):
    """What a layer makes room for, its weights, has no numbers where it is large."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        return out.to("meta") if function is torch.empty and out.numel() >= LARGE else out


def is_known(x):
    return isinstance(x, torch.Tensor) and not x.is_meta


def with_computed(model, kind, config):
    """Transformers makes a model without numbers, so what its constructors compute is lost, unless _init_weights does
    it again: buffers that no file has, and tensors that are plain attributes, are those of a model made for real."""
    given = model.state_dict().keys()
    with contextlib.suppress(Exception):  # whatever a folder's own files say of weights without numbers
        with LargeOnMeta():
            other = kind(copy.deepcopy(config)).float()
        for (name, module), (_, own) in zip(model.named_modules(), other.named_modules()):
            path = lambda key, name=name: f"{name}.{key}".lstrip(".")
            module._buffers |= {k: b for k, b in own._buffers.items() if is_known(b) and path(k) not in given}
            vars(module).update({k: x for k, x in vars(own).items() if is_known(x)})
    return model


def model_of(kind, config, directory):
    """The model with fake parameters, each of which numbers() gives."""
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"  # a dispatched op runs in the thread that asks
    given = checkpoint(pathlib.Path(directory))
    refuse_other_size(kind, config, sum(t.numel() for t in given.values()))
    with mock.patch("transformers.modeling_utils.log_state_dict_report", report):
        model, info = kind.from_pretrained(None, config=config, state_dict=given, dtype=torch.float32,
                                           output_loading_info=True, ignore_mismatched_sizes=True)
    named("has no weights for", sorted(info["missing_keys"]))
    shape = lambda size: " x ".join(map(str, size))
    named("has other sizes than config.json says:", [f"{name} is {shape(has)}, not {shape(wants)}"
                                                     for name, has, wants in sorted(info["mismatched_keys"])])
    return without_numbers(with_computed(model, kind, config)).eval()


def without_numbers(model):
    """Its parameters fake, each of which numbers() gives."""
    fakes = {}
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is not None and id(p) not in fakes:
                fake = p.fake if isinstance(p, Lazy) else MODE.from_tensor(p.data)
                fakes[id(p)] = torch.nn.Parameter(fake, requires_grad=False)
                fakes[id(p)].lazy = p
            module._parameters[name] = p if p is None else fakes[id(p)]
        for name, b in module._buffers.items():
            module._buffers[name] = made(b)
    return model


def whole_model_of(kind, config, directory):
    """With all its weights in memory."""
    given = {name: made(t) for name, t in checkpoint(pathlib.Path(directory)).items()}
    model = kind.from_pretrained(None, config=config, state_dict=given, dtype=torch.float32)
    return with_computed(model, kind, config).eval()


def numbers(parameter):
    return made(getattr(parameter, "lazy", parameter))
