"""What a trace cannot look into is one opaque op each: attention, its masks, and the experts' products.

They are put where Transformers lets anybody put an implementation (its registries), so that a model that follows its
conventions needs nothing here. Each op has a reference implementation: a traced graph still runs in torch.
"""
import contextlib
import functools
import itertools
import sys
import types
from unittest import mock

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten
from transformers import AttentionInterface
from transformers.activations import ACT2FN
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from . import text

NAME, OF_SDPA = "andiron", "andiron_sdpa"
_library = torch.library.Library(NAME, "DEF")


def define(schema, run, shape):
    name = schema.split("(")[0]
    _library.define(schema)
    _library.impl(name, run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{NAME}::{name}", shape, lib=_library)
    return getattr(torch.ops.andiron, name).default


# ---- masks: a closure of Transformers, said in words: "causal", "sliding(8)", "chunked(16)",
# "full", "middle(9)", joined by "&"

NOT_HERE = {"blockwise_overlay", "packed_sequence_mask_function"}  # pictures' blocks; several texts in one


def name_and_parts(function):
    """Which of Transformers' mask functions it is, and those that it asks."""
    cells = [c.cell_contents for c in (function.__closure__ or ())]
    parts = [f for c in cells for f in (c if isinstance(c, (tuple, list)) else [c]) if callable(f)]
    named = lambda f: f.__qualname__.split(".<locals>")[0]
    return named(function), [f for f in parts if named(f) not in NOT_HERE]


def words_of(function):
    name, parts = name_and_parts(function)
    number = next((c.cell_contents for c in function.__closure__ or () if isinstance(c.cell_contents, int)), None)
    if name == "causal_mask_function":
        return ["causal"]
    if name == "bidirectional_mask_function":
        return ["full"]
    if name == "or_masks" and len(parts) > 1:
        raise NotImplementedError("masks joined by or")
    if name in ("and_masks", "or_masks", "remap_positions_for_packed_sequence"):
        return sorted({w for p in parts for w in words_of(p)})
    if name == "sliding_window_overlay":
        return [f"sliding({number})"]
    if name == "sliding_window_bidirectional_overlay":
        return [f"middle({2 * number + 1})"]
    if name == "chunked_overlay":
        return [f"chunked({number})"]
    return words_by_trial(function, name)


def square_of(function, q, k):
    """What it says of each pair of places, where it has no words."""
    name, parts = name_and_parts(function)
    if name in ("and_masks", "or_masks", "remap_positions_for_packed_sequence"):
        join = torch.logical_or if name == "or_masks" else torch.logical_and
        return functools.reduce(join, [square_of(p, q, k) for p in parts])
    return function(0, 0, q, k)


def words_by_trial(function, name):
    """Of a model's own function: a window to both sides, where it ends within the text of the trace."""
    q, k = np.arange(text.ROWS)[:, None], np.arange(text.ROWS)[None]  # no torch, which would be traced
    seen = np.asarray(function(0, 0, q, k))
    back, ahead = int((seen * (q - k)).max()), int((seen * (k - q)).max())
    window = (q - k <= back) & (k - q <= ahead)
    if ahead - back not in (0, 1) or ahead + 1 >= text.ROWS or not np.array_equal(seen, window):
        raise NotImplementedError(f"the mask function {name} has no words")
    return [f"middle({back + 1 + ahead})"]


def _allowed(words, q, k):
    allowed = torch.ones(torch.broadcast_shapes(q.shape, k.shape), dtype=torch.bool)
    for word in words.split("&"):
        kind, _, n = word.rstrip(")").partition("(")
        n = int(n or 0)
        allowed &= {"causal": k <= q, "full": k >= 0, "sliding": k > q - n, "chunked": k // max(n, 1) == q // max(n, 1),
                    "middle": (q - k <= (n - 1) // 2) & (k - q <= n // 2)}[kind]
    return allowed


mask = define("mask(SymInt q, SymInt kv, str words) -> Tensor",
              lambda q, kv, words: _allowed(words, torch.arange(q)[:, None] + (kv - q),
                                            torch.arange(kv)[None])[None, None],
              lambda q, kv, words: torch.empty([1, 1, q, kv], dtype=torch.bool))


def make_mask(batch_size=1, q_length=0, kv_length=0, mask_function=None, **_):
    """In words; where a model's own function has none, what it says of each pair of places."""
    try:
        return mask(q_length, kv_length, "&".join(words_of(mask_function)))
    except NotImplementedError:
        seen = square_of(mask_function, torch.arange(q_length)[:, None], torch.arange(kv_length)[None])
        return seen.expand(q_length, kv_length)[None, None]


def make_float_mask(*args, dtype=torch.float32, **more):
    """For models that add it to scores themselves."""
    zero, far = torch.zeros((), dtype=dtype), torch.full((), torch.finfo(dtype).min, dtype=dtype)
    return torch.where(make_mask(*args, **more), zero, far)


# ---- attention

def _attend(q, k, v, mask_, sinks, bias, scale, cap, causal, indices, most):
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    w = q.float() @ k.float().transpose(-1, -2) * scale
    if cap:
        w = torch.tanh(w / cap) * cap
    if bias is not None:
        w = w + bias
    if mask_ is None and causal:
        mask_ = _allowed("causal", torch.arange(w.shape[-2])[:, None], torch.arange(w.shape[-1])[None])
    if mask_ is not None:
        w = w.masked_fill(~mask_, float("-inf")) if mask_.dtype == torch.bool else w + mask_
    if indices is not None:
        chosen = torch.zeros(w.shape[0], *w.shape[2:], dtype=torch.bool).scatter(-1, indices.long(), True)
        w = w.masked_fill(~chosen[:, None], float("-inf"))
    if sinks is not None:
        w = torch.cat([w, sinks.reshape(1, -1, 1, 1).expand(w.shape[0], -1, w.shape[2], 1)], -1)
    p = torch.softmax(w, -1)
    return (p[..., :k.shape[2]] @ v.float()).transpose(1, 2).contiguous().to(q.dtype)


attend = define("attend(Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor? sinks, Tensor? bias, "
                "float scale, float cap, bool causal, Tensor? indices, int most) -> Tensor", _attend,
                lambda q, k, v, *_: q.new_empty([q.shape[0], q.shape[2], q.shape[1], v.shape[3]]))
HARMLESS = {"is_causal", "sliding_window", "position_ids", "use_cache", "output_attentions", "output_hidden_states",
            "return_dict", "output_router_logits", "cache_position", "attention_mask", "deterministic",
            "logits_to_keep"}


def attention(module, query, key, value, attention_mask=None, scaling=None, dropout=0.0, **more):
    sinks = more.pop("s_aux", more.pop("sinks", None))
    bias, cap = more.pop("position_bias", None), more.pop("softcap", None)
    indices = next((x for x in (more.pop("indices", None), more.pop("block_indices", None)) if x is not None), None)
    unknown = sorted(k for k, x in more.items() if x is not None and k not in HARMLESS)
    if unknown:
        raise NotImplementedError(f"attention is given {', '.join(unknown)}, which hooks.py does not know")
    causal = more.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    most = getattr(module.config, "index_topk", 0) if indices is not None else 0  # a traced text may be shorter
    return attend(query, key, value, attention_mask, sinks, bias, scale, float(cap or 0), bool(causal), indices,
                  most), None


# ---- experts: x [T, in] or [T, K, in], places [T, K], weight [E, out, in], or [E, in, out] transposed

def _expert_linear(x, places, weight, bias, transposed):
    if x.dim() == 2:
        x = x[:, None].expand(-1, places.shape[1], -1)
    y = torch.einsum("tki,tkio->tko" if transposed else "tki,tkoi->tko", x, weight[places])
    return y if bias is None else y + bias[places]


expert_linear = define("expert_linear(Tensor x, Tensor places, Tensor weight, Tensor? bias, bool transposed) -> Tensor",
                       _expert_linear, lambda x, places, weight, bias, transposed:
                       x.new_empty([*places.shape, weight.shape[2 if transposed else 1]]))


mix = define("mix(Tensor y, Tensor weights) -> Tensor", lambda y, weights: (y * weights[..., None]).sum(1),
             lambda y, weights: y.new_empty([y.shape[0], y.shape[2]]))


def experts(self, hidden_states, top_k_index, top_k_weights):
    up = "gate_up_proj" if self.has_gate else "up_proj"
    if getattr(self, "has_post_expert_norm", False):
        raise NotImplementedError("experts with a norm after each")
    bias = lambda name: getattr(self, name + "_bias") if self.has_bias else None
    y = expert_linear(hidden_states, top_k_index, getattr(self, up), bias(up), self.is_transposed)
    y = self._apply_gate(y) if self.has_gate else self.act_fn(y)
    y = expert_linear(y, top_k_index, self.down_proj, bias("down_proj"), self.is_transposed)
    return mix(y, top_k_weights)


# ---- what runs along the text with a state: functions of the modeling files that Transformers lets kernels replace

def _reference(name):
    """A traced graph is checked in andiron, not run in torch."""
    def run(*_):
        raise NotImplementedError(f"andiron::{name} is run by andiron only")
    return run


def state_op(schema, shape):
    return define(schema, _reference(schema.split("(")[0]), shape)


conv = state_op("conv(Tensor x, Tensor weight, Tensor? bias) -> Tensor", lambda x, *_: torch.empty_like(x))
delta = state_op("delta(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, bool normed) -> Tensor",
                 lambda q, k, v, *_: v.new_empty(v.shape))
choose = state_op("choose(Tensor q, Tensor k, int n, int span, int local) -> Tensor",
                  lambda q, k, n, *_: q.new_empty([*q.shape[:3], n], dtype=torch.long))
seen = state_op("seen(Tensor q, Tensor k, Tensor? weights, int n, int span) -> Tensor",
                lambda q, k, *_: q.new_empty([1, 1, q.shape[2], k.shape[2]], dtype=torch.bool))
earlier = state_op("earlier(Tensor x, int n) -> Tensor", lambda x, _: torch.empty_like(x))
ngrams = state_op("ngrams(Tensor ids, Tensor table, Tensor multipliers, Tensor sizes, Tensor offsets, int end, "
                  "int n_tokens) -> Tensor",
                  lambda ids, table, _, sizes, *__: table.new_empty([*ids.shape, sizes.shape[0], table.shape[1]]))
faded_sum = state_op("faded_sum(Tensor q, Tensor k, Tensor v, Tensor decay) -> Tensor",
                     lambda q, k, v, _: v.new_empty(v.shape))
ssm2 = state_op("ssm2(Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? dt_bias, bool softplus, "
                "float low, float high) -> Tensor", lambda x, *_: x.new_empty(x.shape))
ssm1 = state_op("ssm1(Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? bias, "
                "bool softplus) -> Tensor", lambda x, *_: x.new_empty(x.shape))


def _conv(x, weight, bias=None, activation=None, **_):
    y = conv(x, weight, bias)
    return ACT2FN[activation](y) if activation else y


def _delta(query, key, value, g, beta, use_qk_l2norm_in_kernel=False, **_):
    return delta(query, key, value, g, beta, use_qk_l2norm_in_kernel), None


def _ssm2(hidden_states, dt, A, B, C, chunk_size=0, D=None, dt_bias=None, initial_states=None, dt_softplus=False,
          dt_limit=(0.0, float("inf")), return_final_states=False, **_):
    y = ssm2(hidden_states, dt, A, B, C, D, dt_bias, dt_softplus, float(dt_limit[0]), float(dt_limit[1]))
    return (y, None) if return_final_states else y


def _ssm1(hidden_states, dt, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False,
          **_):
    y = ssm1(hidden_states, dt, A, B, C, D, z, delta_bias, delta_softplus)
    return (y, None) if return_last_state else y


def _associative_scan(combine_fn, xs, dim=0, reverse=False, **_):
    """torch's own, row after row."""
    if reverse:
        raise NotImplementedError("associative_scan from the text's end")
    leaves, spec = tree_flatten(xs)
    row = lambda i: [x.narrow(dim, i, 1) for x in leaves]
    after = lambda a, b: tree_flatten(combine_fn(tree_unflatten(a, spec), tree_unflatten(b, spec)))[0]
    rows = list(itertools.accumulate(map(row, range(leaves[0].shape[dim])), after))
    return tree_unflatten([torch.cat(x, dim) for x in zip(*rows)], spec)


def _block_mask(mask_mod, *_, **__):
    return types.SimpleNamespace(mask_mod=mask_mod)


def _flex_attention(query, key, value, score_mod=None, block_mask=None, scale=None, enable_gqa=False, **_):
    """torch's own, its functions asked of all pairs of places together."""
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    of = [torch.arange(n).view([n if i == dim else 1 for i in range(4)]) for dim, n in enumerate(scores.shape)]
    scores = score_mod(scores, *of) if score_mod else scores
    if block_mask is not None:
        scores = scores.masked_fill(~block_mask.mask_mod(0, of[1], *of[2:]), float("-inf"))
    return scores.softmax(-1) @ value


FUNCTIONS = {"causal_conv1d_fn": _conv, "torch_chunk_gated_delta_rule": _delta, "chunk_kimi_delta_attention": _delta,
             "mamba2_chunk_scan": _ssm2, "mamba_selective_scan": _ssm1,
             "associative_scan": _associative_scan, "flex_attention": _flex_attention, "create_block_mask": _block_mask,
             "is_torchdynamo_compiling": lambda: False}  # a mask that none gave is left out where it is asked


def growing(model):
    """RoPE modules whose frequencies change where a text is longer than those of the first training."""
    kinds = lambda m: getattr(m, "rope_type", None)
    of = lambda kind: set(kind.values()) if isinstance(kind, dict) else {kind}
    return [(m, kinds(m)) for m in model.modules() if of(kinds(m)) & {"dynamic", "longrope"}]


@contextlib.contextmanager
def functions(model, known=True):
    """For its time, the modeling files' functions of these names are the ones above, if known; frequencies stay."""
    files = {sys.modules[k.__module__] for kind in {type(m) for m in model.modules()} for k in kind.__mro__}
    kept = [(f, name, getattr(f, name)) for f in files for name in FUNCTIONS if known and hasattr(f, name)]
    ropes = growing(model)
    masks = {name: ALL_MASK_ATTENTION_FUNCTIONS[name] for name in ("eager", "sdpa")}
    try:
        ALL_MASK_ATTENTION_FUNCTIONS.register("eager", make_float_mask)
        ALL_MASK_ATTENTION_FUNCTIONS.register("sdpa", make_mask)
        for f, name, _ in kept:
            setattr(f, name, FUNCTIONS[name])
        for module, kind in ropes:
            module.rope_type = dict.fromkeys(kind, "default") if isinstance(kind, dict) else "default"
        with mock.patch.object(torch.nn.Module, "to", lambda self, *_, **__: self):  # a weight is cast where it is read
            yield
    finally:
        for module, kind in ropes:
            module.rope_type = kind
        for f, name, function in kept:
            setattr(f, name, function)
        for name, function in masks.items():
            ALL_MASK_ATTENTION_FUNCTIONS.register(name, function)


def attention_of_sdpa(*args, **more):
    """Which has no sinks, whoever gives it some."""
    return attention(*args, **{k: v for k, v in more.items() if k not in ("s_aux", "sinks")})


AttentionInterface.register(NAME, attention)
AttentionInterface.register(OF_SDPA, attention_of_sdpa)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, make_mask)
ALL_MASK_ATTENTION_FUNCTIONS.register(OF_SDPA, make_mask)
ALL_EXPERTS_FUNCTIONS.register(NAME, experts)


def use(model):
    """Have the model call these ops; what cannot be told stays as Transformers wrote it."""
    parts = [m for m in model.modules() if hasattr(m, "set_attn_implementation")]
    for part in parts:  # Transformers asks for one way of reading its registry; there are others
        if hasattr(sys.modules[type(part).__module__], "ALL_ATTENTION_FUNCTIONS"):
            type(part)._can_set_attn_implementation_cached_value = True
    if any(m._can_set_attn_implementation() for m in parts if hasattr(m, "_can_set_attn_implementation")):
        with contextlib.suppress(ValueError):
            model.set_attn_implementation(OF_SDPA if model.config._attn_implementation == "sdpa" else NAME)
    for module in model.modules():
        config = getattr(module, "config", None)
        if getattr(config, "_experts_implementation_internal", None) not in (None, "eager"):
            config._experts_implementation_internal = NAME
