#!/usr/bin/env python3
"""What a folder's config.json says in vain: tiny models with one number or switch changed, or one key left out.

    sweep_folders.py change|absent|null|form|more|same TYPE ... [--kind KIND] [--small X] [--andiron PROGRAM] [--seed N]

change: of each number and switch, and models that fit. Of a saved folder's config.json alone: absent: each key is left
out; null: it is null; form: numbers and switches in another spelling, ropes in the older one; more: keys that another
type has; same: nothing. --small 0.03: matrices times that, so that what is added to variances counts. KIND: one of
make_heads.py's, causal where nothing is said; bare for encoders, source for an encoder and a decoder. Each is saved as
Transformers saves it, read by `andiron logits` or `embed`, and compared with what Transformers gives, in double
precision where it has to be. A line for each that is refused, and for each that is WRONG,
which none should be; then counts. What Transformers itself refuses is passed over. Needs tiny_models.py of the shared
folder on PYTHONPATH, which knows small configurations.
"""
import argparse
import contextlib
import copy
import json
import math
import os
import pathlib
import random
import sys
import tempfile

import make_heads
import tiny_models as tiny
import torch

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools/import"))

from andiron_import import check, heads  # noqa: E402

KEPT = {"use_cache", "is_decoder", "is_encoder_decoder", "output_attentions", "output_hidden_states", "return_dict",
        "add_cross_attention", "output_router_logits", "gradient_checkpointing", "initializer_range",
        "chunk_size_feed_forward", "use_mamba_kernels", "rescale_prenorm_residual", "model_type", "architectures",
        "transformers_version", "dtype", "qk_head_dim"}
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
ACTIVATIONS = ["silu", "gelu", "gelu_pytorch_tanh", "relu", "relu2", "gelu_new", "quick_gelu"]
NUMBERS = {"sliding_window": [5, 12], "hidden_size": [96, 72], "intermediate_size": [80, 51], "head_dim": [8, 40],
           "num_key_value_heads": [1, 2, 4], "num_attention_heads": [2, 8], "vocab_size": [251, 333],
           "num_experts_per_tok": [1, 3], "num_experts": [3, 8], "num_local_experts": [3, 8], "n_group": [1, 2],
           "topk_group": [1, 2], "n_shared_experts": [1, 2], "first_k_dense_replace": [0, 2], "conv_kernel": [2, 3],
           "mamba_d_conv": [2, 3], "linear_conv_kernel_dim": [2, 3], "q_lora_rank": [24, None], "v_head_dim": [8, 24],
           "qk_nope_head_dim": [8, 24], "qk_rope_head_dim": [4, 16], "query_pre_attn_scalar": [10],
           "linear_key_head_dim": [8, 24], "linear_value_head_dim": [8, 32], "num_hidden_layers": [1, 3, 5],
           "decoder_attention_heads": [2]}
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 16}
ROPES = [{"rope_type": "default", "rope_theta": 500.0}, {"rope_type": "linear", "factor": 3.0, "rope_theta": 10000.0},
         {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}, YARN, {**YARN, "truncate": False},
         {**YARN, "mscale": 0.8, "mscale_all_dim": 0.5}, {**YARN, "attention_factor": 0.7, "beta_fast": 16.0},
         {**YARN, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}]
FOREIGN = {"use_sliding_window": [True, False], "sliding_window": [6], "max_window_layers": [1], "rope_theta": [500.0],
           "sliding_window_pattern": [2], "attention_bias": [True, False], "mlp_bias": [True], "qkv_bias": [True],
           "tie_word_embeddings": [True, False], "partial_rotary_factor": [0.5], "rotary_pct": [0.5], "rotary_dim": [4],
           "head_dim": [8], "num_key_value_heads": [1], "query_pre_attn_scalar": [10], "logit_scale": [0.3],
           "logits_scaling": [3.0], "final_logit_softcapping": [2.0], "attn_logit_softcapping": [2.0],
           "clip_qkv": [0.4], "norm_topk_prob": [True, False], "routed_scaling_factor": [2.0], "n_group": [2],
           "topk_group": [1], "scoring_func": ["softmax", "sigmoid"], "topk_method": ["greedy"], "rms_norm_eps": [0.1],
           "layer_norm_eps": [0.1], "norm_eps": [0.1], "layer_norm_epsilon": [0.1], "original_max_position_embeddings":
           [16], "hidden_act": ["relu"], "hidden_activation": ["relu"], "activation_function": ["relu"],
           "attention_multiplier": [0.3], "embedding_multiplier": [3.0], "residual_multiplier": [0.3],
           "scale_embedding": [True], "use_parallel_residual": [True, False], "num_nextn_predict_layers": [1],
           "no_rope_layers": [[0, 1, 0, 1]], "rope_scaling": [None, YARN], "local_rope_theta": [300.0],
           "global_rope_theta": [300.0], "rope_local_base_freq": [300.0], "swa_rope_theta": [300.0],
           "rope_interleave": [True, False], "multi_query": [True, False], "scale_attn_weights": [True],
           "mscale": [0.5], "num_experts_per_tok": [1], "moe_intermediate_size": [11], "use_qk_norm": [True, False],
           "layer_types": [["sliding_attention", "full_attention"] * 2], "position_embedding_type": ["rope"],
           "is_decoder": [True, False], "pad_token_id": [0, 2], "add_cross_attention": [False]}


def other_ropes(said):
    """Of one for all layers, or of one for each kind of them."""
    if not any(isinstance(v, dict) for v in said.values()):
        return [{**{k: v for k, v in said.items() if k == "partial_rotary_factor"}, **rope} for rope in ROPES]
    return [{**said, kind: rope} for kind, inner in said.items() if inner for rope in other_ropes(inner)]


def others(name, value, draw):
    """Other values of a key."""
    if name in KEPT or name.endswith(("token_id", "token_index")):
        return []
    if isinstance(value, bool):
        return [not value]
    if name == "rope_parameters" and isinstance(value, dict):
        return other_ropes(value)
    if name.endswith("logit_softcapping"):
        return [None, 3.0]
    if isinstance(value, str):
        return draw.sample([a for a in ACTIVATIONS if a != value], 2) if "act" in name else []
    if name in NUMBERS and (value is not None or name in ("head_dim", "sliding_window")):
        return [n for n in NUMBERS[name] if n != value]
    if isinstance(value, list) and len(set(map(str, value))) > 1:
        return [draw.sample(value, len(value))]
    return [value * 0.5, value * 1.7] if isinstance(value, float) and value and "eps" not in name else []


def changes(said, draw):
    """{key: value} that are to be changed together."""
    for name, value in said.items():
        for other in others(name, value, draw):
            lists = {k: [draw.choice(v) for _ in range(other)] for k, v in said.items()
                     if name in LAYERS and isinstance(v, list) and len(v) == value}
            yield {name: other, **lists}


def paths(config):
    """Of keys, those of ropes and of a model's text part too."""
    for key in sorted(set(config) - KEPT):
        yield (key,)
        inner = config[key]
        if key in ("rope_parameters", "text_config") and isinstance(inner, dict):
            yield from ((key, *more) for more in paths(inner))
            for kind in inner if key == "rope_parameters" else ():
                if isinstance(inner[kind], dict):
                    yield from ((key, kind, *more) for more in paths(inner[kind]))


def edited(config, path, *value):
    """With another value there, or none."""
    rest = dict(config)
    if path[1:]:
        rest[path[0]] = edited(rest[path[0]], path[1:], *value)
    elif value:
        rest[path[0]] = value[0]
    else:
        rest.pop(path[0])
    return rest


def at(config, path):
    return at(config[path[0]], path[1:]) if path else config


def spellings(config):
    """(what, config): of the same numbers."""
    for path in paths(config):
        value = at(config, path)
        if isinstance(value, bool):
            yield f"{path} as a number", edited(config, path, int(value))
        elif isinstance(value, int) or isinstance(value, float) and value.is_integer():
            yield f"{path} otherwise", edited(config, path, float(value) if isinstance(value, int) else int(value))
        elif isinstance(value, list) and len(set(map(str, value))) == 1:
            yield f"{path} as one", edited(config, path, value[0])
    for old in older_ropes(config):
        yield json.dumps({key: old[key] for key in ("rope_theta", "rope_scaling", "partial_rotary_factor")
                          if key in old}), old


def older_ropes(config):
    said = config.get("rope_parameters")
    if not isinstance(said, dict) or any(isinstance(v, dict) for v in said.values()):
        return
    rest = edited(config, ("rope_parameters",))
    outside = {key: said[key] for key in ("rope_theta", "partial_rotary_factor") if key in said}
    yield {**rest, **outside}
    for rope in ROPES[1:]:
        inner = {"type" if key == "rope_type" else key: v for key, v in rope.items() if key != "rope_theta"}
        yield {**rest, **outside, "rope_scaling": inner}
        yield {**rest, **outside, "rope_scaling": {**inner, "rope_type": inner["type"]}}


def foreign(config):
    """(what, config): with a key that another type has."""
    for key, values in FOREIGN.items():
        for value in values if config.get(key) is None else ():
            yield json.dumps({key: value}), {**config, key: value}


EDITS = {"absent": lambda c: ((f"without {'.'.join(path)}", edited(c, path)) for path in paths(c)),
         "null": lambda c: ((f"{'.'.join(path)} is null", edited(c, path, None)) for path in paths(c)
                            if at(c, path) is not None),
         "form": spellings, "more": foreign, "same": lambda c: [("as it is", c)]}


class Model:
    """A type of models, as small as tiny_models.py makes them."""

    def __init__(self, model_type, seed, kind, small=1.0):
        self.type, self.seed, self.kind, self.small = model_type, seed, make_heads.named(kind, model_type), small
        config = make_heads.config_of(kind, self.kind, model_type, 3)
        self.config_class, self.said = type(config), config.to_dict()

    def saved(self, folder, changed):
        said = copy.deepcopy(self.said)
        (said["text_config"] if isinstance(said.get("text_config"), dict) else said).update(copy.deepcopy(changed))
        derived = ("model_type", "architectures", "transformers_version", "dtype", "qk_head_dim")
        config = self.config_class(**{k: v for k, v in said.items() if k not in derived})
        tiny.POST.get(self.type, lambda _: None)(config)
        torch.manual_seed(self.seed)
        model = self.kind._from_config(config, dtype=torch.float32).eval()
        waves = {name: p.data.clone() for name, p in model.named_parameters() if not p.requires_grad}
        tiny.reinit(model, self.seed)
        for p in model.parameters():
            p.data.mul_(self.small if p.dim() > 1 else 1)
        for name, data in waves.items():
            model.get_parameter(name).data.copy_(data)
        model.save_pretrained(folder)

    def folders(self, folder, mode, draw):
        """(what was done, a model as the folder has it)"""
        part = self.said["text_config"] if isinstance(self.said.get("text_config"), dict) else self.said
        for changed in changes(part, draw) if mode == "change" else []:
            with contextlib.suppress(Exception):  # of Transformers, which does not have all that could be said
                self.saved(folder, changed)
                yield json.dumps(changed), self.kind.from_pretrained(folder, dtype=torch.float32).eval()
        if mode in EDITS:
            self.saved(folder, {})
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            for what, other in EDITS[mode](config):
                (folder / "config.json").write_text(json.dumps(other), encoding="utf-8")
                with contextlib.suppress(Exception):
                    model, info = self.kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
                    if not any(info.get(k) for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
                        yield what, model.eval()


def said_of(model, folder, program, tokens):
    """A word, and what is to be said; None: Transformers does not run it."""
    source = tokens[:, ::2] if heads.reads_source(model) else None
    try:
        want = check.answer(model, tokens, source)
    except Exception:  # noqa: BLE001
        return None
    try:
        got = (check.andiron_vector(program, folder, tokens[0].tolist()) if want.ndim == 1 else
               check.Asked(tokens, 0, source).of(program, folder))
        by = check.far(got, want) if got.shape == want.shape else math.inf
        exact = check.exact_answer(model, tokens, source) if check.LIMIT < by < math.inf else None
        by = by if exact is None else min(by, check.far(got, exact))
    except check.Refused as e:
        return "refused", str(e).replace(str(folder), "")
    return ("ok" if by <= check.LIMIT else "WRONG"), f"{by:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("change", *EDITS))
    parser.add_argument("types", nargs="+")
    parser.add_argument("--kind", choices=make_heads.KINDS, default="causal")
    parser.add_argument("--small", type=float, default=1.0)
    parser.add_argument("--andiron", default=str(ROOT / "build/release/bin/andiron"))
    parser.add_argument("--seed", type=int, default=41)
    args = parser.parse_args()
    tokens = torch.randint(5, 240, (1, 40), generator=torch.Generator().manual_seed(args.seed))
    wrong = 0
    for model_type in args.types:
        counts = {"ok": 0, "refused": 0, "WRONG": 0}
        with tempfile.TemporaryDirectory() as name, open(os.devnull, "w", encoding="utf-8") as nothing:
            folder, draw = pathlib.Path(name), random.Random(f"{model_type}{args.seed}")
            with contextlib.redirect_stderr(nothing):
                for done, model in Model(model_type, args.seed, args.kind, args.small).folders(folder, args.mode, draw):
                    word, more = said_of(model, folder, args.andiron, tokens) or ("", "")
                    counts[word] = counts.get(word, 0) + 1
                    if word not in ("ok", ""):
                        print(model_type, word, done[:200], more[:300], flush=True)
        wrong += counts["WRONG"]
        print(model_type, *[f"{n} {word}" for word, n in counts.items() if word], flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
