#!/usr/bin/env python3
"""Tiny random models of every type that Transformers has a class of a kind for: a sweep of the importer's heads.

    make_heads.py OUT KIND ... [--types TYPE ...] [--seed N] [--labels N] [--vary] [--jobs N]

KIND: causal, masked, classes, tokens, answers, choices, next (sentence), pretraining, bare, source (encoder and
decoder, a text about another). Writes OUT/KIND/TYPE;
check_imports.py OUT/KIND has each prove itself. Needs tiny_models.py of the shared folder on PYTHONPATH, which
knows small configurations. A line for each type that could not be made; speech has no part in it. --vary changes one to
four switches and numbers of each configuration at random, and says which.
"""
import argparse
import copy
import pathlib
import random
import sys

import tiny_models as tiny
import torch
import transformers
from transformers.models.auto import modeling_auto as auto

KINDS = {"causal": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "masked": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
         "classes": auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, "bare": auto.MODEL_MAPPING_NAMES,
         "tokens": auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
         "answers": auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
         "choices": auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES,
         "next": auto.MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES,
         "pretraining": auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
         "source": auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
SPEECH = set(auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES) | {
    "audioflamingo3", "glmasr", "granite_speech", "granite_speech_plus", "musicflamingo", "nemo_speechlm", "omniasr",
    "qwen2_audio", "qwen3_asr", "seamless_m4t", "seamless_m4t_v2", "vibevoice_asr", "voxtral", "voxtral_realtime"}
# what tiny_models.py cannot guess of encoders
MORE = {"xmod": {"default_language": "en_XX"}, "roformer": {"embedding_size": 64}, "mobilebert": {"embedding_size": 64},
        "longformer": {"attention_window": 8}, "led": {"attention_window": 8}, "funnel": {"block_sizes": [2, 2]},
        "switch_transformers": {"num_sparse_encoder_layers": 2, "num_sparse_decoder_layers": 2},
        "layoutlmv3": {"coordinate_size": 8, "shape_size": 16}, "lilt": {"hidden_size": 96},
        "esm": {"pad_token_id": 1, "mask_token_id": 32}, "t5": {"decoder_start_token_id": 0},
        "canine": {"num_hash_functions": 8, "num_hash_buckets": 64},
        "fnet": {"tpu_short_seq_length": 16}}


# of which switches --vary keeps its hands: they say how a model is run, or make it another class
KEPT = {"use_cache", "is_decoder", "is_encoder_decoder", "output_attentions", "output_hidden_states", "return_dict",
        "add_cross_attention", "gradient_checkpointing", "use_bfloat16", "deterministic"}
OTHERS = {("hidden_act", "hidden_activation", "activation", "activation_function"): ["silu", "relu", "gelu_new"],
          ("layer_norm_eps", "norm_eps", "layer_norm_epsilon"): [1e-3], ("hidden_size", "dim"): [96],
          ("intermediate_size", "hidden_dim"): [80], ("embedding_size",): [48], ("vocab_size",): [251],
          ("type_vocab_size",): [1], ("num_hidden_layers", "n_layers"): [3], ("num_labels",): [1]}


def varied(config, draw):
    """[what was changed]"""
    said = config.to_dict()
    choices = {k: [not v] for k, v in said.items() if isinstance(v, bool) and k not in KEPT}
    choices |= {k: values for names, values in OTHERS.items() for k in names if k in said}
    changed = {k: draw.choice(choices[k]) for k in draw.sample(sorted(choices), min(len(choices), draw.randint(1, 4)))}
    for key, value in changed.items():
        setattr(config, key, value)
    return [f"{k}={v}" for k, v in changed.items()]


def named(kind, model_type):
    name = KINDS[kind][model_type]
    return getattr(transformers, name[0] if isinstance(name, tuple) else name)


def config_of(kind, cls, model_type, labels):
    """As small as tiny_models.py makes them, decoders only where they stand alone."""
    wants = tiny.CONFIG_MAPPING[model_type]
    if cls.config_class is not None and not issubclass(wants, cls.config_class):
        wants = cls.config_class
    tiny.FORCE = {"is_decoder": True} if kind == "causal" else {}
    config = tiny.make_config(wants, {**tiny.OVERRIDES.get(model_type, {}), **MORE.get(model_type, {})})
    if model_type == "encoder-decoder":
        config.decoder.is_decoder = config.decoder.add_cross_attention = True
    if kind in ("classes", "tokens"):
        config.num_labels = labels
    return config


def make(out, kind, model_type, args):
    seed, changed = args.seed, []
    try:
        cls = named(kind, model_type)
        config = config_of(kind, cls, model_type, args.labels)
        if args.vary:
            changed = varied(config, random.Random(f"{kind}{model_type}{seed}"))
        torch.manual_seed(seed)
        model = cls._from_config(copy.deepcopy(config), dtype=torch.float32).eval()
        tiny.reinit(model, seed)
        model.save_pretrained(out / kind / model_type)
    except Exception as e:  # noqa: BLE001 - of Transformers, of which the line tells
        return {"said": f"{' '.join(changed)} {type(e).__name__}: {(str(e) or ' ').splitlines()[0][:200]}"}
    return {"changed": " ".join(changed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    parser.add_argument("--types", nargs="+")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--labels", type=int, default=3)
    parser.add_argument("--vary", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    wanted = [(kind, t) for kind in args.kinds for t in KINDS[kind] if t in (args.types or set(KINDS[kind]) - SPEECH)]
    lost = []

    def tell(item, row):
        said = row.get("said") or row.get("error") or row.get("status")
        if said:
            lost.append(item)
        if said or args.vary:
            print(*item, said or row["changed"], flush=True)
    tiny.fork_pool(wanted, lambda item: make(args.out, *item, args), args.jobs, 600, tell)
    print(f"{len(wanted) - len(lost)} of {len(wanted)} made")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
