"""What a model gives: scores after each token or at each place, hidden states, or one vector for the text."""
import contextlib
import inspect
import json
import pathlib
import sys

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.modeling_layers import GenericForSequenceClassification, GenericForTokenClassification
from transformers.models.auto.modeling_auto import (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
                                                    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)

from .values import Refused

SCORES = ("ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForPreTraining")
BARE = ("Model", "Encoder")
CHOICES = "ForMultipleChoice"  # each of them is a text, whose score is compared with the others'
CLASSES = ("ForSequenceClassification", "ForTokenClassification", "ForNextSentencePrediction", "ForQuestionAnswering",
           "ForQuestionAnsweringSimple", "RewardModel", CHOICES)
OF_PICTURES = ("ForConditionalGeneration", "Text2Text")  # of which the text's part is told
GENERIC = GenericForSequenceClassification, GenericForTokenClassification
CAUSAL = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())  # some of other names (BertGenerationDecoder)
ABOUT_SOURCE = set(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values())  # encoder and decoder

PADDING = {"cpmant": 0}  # where the class compares tokens with a number, and its configuration does not say so
# whose one pass gives rows scores of distances that are other rows' (two reshapes in different orders), so that later
# tokens change earlier ones; their own steps, which generate takes, do not
RIGHT_BY_STEPS = ("ProphetNetForCausalLM", "ProphetNetForConditionalGeneration")

NEVER = {"canine": "it shortens the text, and writes each of the rows that are left several times",
         "funnel": "it pools rows of the text to fewer ones",
         "mra": "which scores are computed finely depends on coarse ones",
         "nystromformer": "its landmarks are means of parts of the text, however long it is",
         "pegasus_x": "its global tokens are rows beside those of the text",
         "perceiver": "its latents are rows beside those of the text",
         "yoso": "its scores are shares of hashes that fall together"}  # model types that no graph here tells


def class_of(directory, trust=False):
    """(class, configuration): what config.json names, where this package knows what it gives. trust: the folder's own
    Python files may run."""
    directory = pathlib.Path(directory)
    try:
        said = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise Refused("the folder has no config.json") from e
    except ValueError as e:
        raise Refused(f"config.json: {e}") from e
    own = {} if said.get("model_type") in CONFIG_MAPPING else said.get("auto_map") or {}
    if own and not trust:
        raise Refused(f"config.json names Python files of the folder ({', '.join(sorted(files_in(own)))}); read them, "
                      "then say --trust-remote-code")
    config = transformers.AutoConfig.from_pretrained(directory, trust_remote_code=bool(own))
    if config.model_type in NEVER and not has_no_landmarks(config):
        raise Refused(f"{config.model_type} models cannot be told as a graph of rows: {NEVER[config.model_type]}")
    config.__dict__.pop("quantization_config", None)  # packed.py reads such weights
    name = (getattr(config, "architectures", None) or [""])[0]
    if of_files(own, name):
        return get_class_from_dynamic_module(of_files(own, name), directory), config
    named = getattr(transformers, name, None)
    if (directory / "modules.json").exists():
        return (named, config) if name.endswith("EncoderModel") else mapped(transformers.AutoModel, config)
    both = config.is_encoder_decoder and not name.endswith((*SCORES, *CLASSES, "EncoderModel"))
    if both and not (name in ABOUT_SOURCE and named.main_input_name == "input_ids"):
        raise Refused(f"{name or 'the model'} is an encoder and a decoder, and not of a text about a text")
    if named and (both or name.endswith((*SCORES, *CLASSES, *BARE))):
        return named, config
    if named and not name.endswith(OF_PICTURES) and name not in CAUSAL:
        raise Refused(f"{name} gives what is not told here: scores of tokens, classes and hidden states are")
    return mapped(transformers.AutoModelForCausalLM, config)


def has_no_landmarks(config):
    """Nystromformer with as many as the text has parts sees all of it."""
    return config.model_type == "nystromformer" and config.num_landmarks == config.segment_means_seq_len


def files_in(own):
    """What auto_map names."""
    return {x for v in own.values() for x in (v if isinstance(v, list) else [v]) if isinstance(x, str)}


def of_files(own, name):
    """That of the name, or the causal LM of a folder's own Python files; None: they have neither."""
    return next((x for x in files_in(own) if x.rpartition(".")[2] == name), own.get("AutoModelForCausalLM"))


def mapped(auto, config):
    if type(config) not in auto._model_mapping:
        raise Refused(f"Transformers has no {auto.__name__.removeprefix('Auto')} of the type {config.model_type}")
    kind = auto._model_mapping[type(config)]
    return kind, config if kind.config_class is type(config) else config.get_text_config()


def outputs_of(model):
    """scores: of tokens; classes: scores of something else; vector: hidden states, of a text or of each token."""
    name = type(model).__name__
    bare = name.endswith(BARE) and not name.endswith(SCORES) and not reads_source(model)
    return "classes" if name.endswith(CLASSES) else "vector" if bare or isinstance(model, Sentence) else "scores"


def reads_source(model):
    """Does it write a text about another one?"""
    return model.config.is_encoder_decoder and type(model).__name__ in ABOUT_SOURCE


def pooling_of(folder):
    """The one word of a sentence-transformers pooling: first, last or mean."""
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    modes = {"cls_token": "first", "cls": "first", "lasttoken": "last", "mean_tokens": "mean", "mean": "mean"}
    chosen = [k.removeprefix("pooling_mode_") for k, v in said.items() if k.startswith("pooling_mode_") and v is True]
    chosen = chosen or [said.get("pooling_mode")]
    if len(chosen) != 1 or chosen[0] not in modes:
        words = " and ".join(map(str, chosen))
        raise NotImplementedError(f"{folder.name} pools by {words}; cls, mean or the last token is covered")
    return modes[chosen[0]]


class Sentence(torch.nn.Module):
    """A bare model and what a sentence-transformers folder has after it."""

    def __init__(self, model, directory):
        super().__init__()
        self.model, self.config, self.pooling = model, model.config, None
        self.dense = torch.nn.ModuleDict()
        for part in json.loads((directory / "modules.json").read_text(encoding="utf-8"))[1:]:
            self.add(part["type"].rpartition(".")[2], directory / part["path"], f"dense_{part['idx']}")

    def add(self, kind, folder, name):
        if kind == "Pooling":
            self.pooling = pooling_of(folder)
        elif kind == "Dense":
            self.dense[name] = dense(folder)
        elif kind != "Normalize":  # andiron embed makes the length 1
            raise NotImplementedError(f"the folder's part {kind} is not covered")

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def set_attn_implementation(self, name):
        self.model.set_attn_implementation(name)

    def forward(self, **given):
        x = self.model(**given).last_hidden_state
        x = x.mean(1) if self.pooling == "mean" else x[:, 0] if self.pooling == "first" else x[:, -1]
        for part in self.dense.values():
            x = part(x)
        return x


def dense(folder):
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = said.get("activation_function", "torch.nn.modules.linear.Identity").rpartition(".")[2]
    linear = torch.nn.Linear(said["in_features"], said["out_features"], bias=said.get("bias", True))
    state = transformers.modeling_utils.load_state_dict(next(folder.glob("*.safetensors")))
    linear.load_state_dict({k.removeprefix("linear."): v.float() for k, v in state.items()})
    return torch.nn.Sequential(linear, getattr(torch.nn, kind)())


def with_parts(model, directory):
    directory = pathlib.Path(directory)
    return Sentence(model, directory).eval() if (directory / "modules.json").exists() else model


# ---- asking a model

def arguments(model, tokens, positions=None, source=None):
    """Positions are given to models that would count them from 0; some count from their padding's number on. source:
    what the text is about, of models that read one."""
    inner = model.model if isinstance(model, Sentence) else model
    takes = inspect.signature(inner.forward).parameters
    homes = [x for m in model.modules() for x in (m, sys.modules[type(m).__module__])]
    counts = any(hasattr(x, "create_position_ids_from_input_ids") for x in homes)
    text = tokens[None] if type(inner).__name__.endswith(CHOICES) else tokens
    given = {"input_ids": text} if source is None else {"input_ids": source, "decoder_input_ids": tokens}
    if "position_ids" in takes and positions is not None and not counts:
        given["position_ids"] = positions
    if "lengths" in takes:  # else they are counted from the padding
        given["lengths"] = torch.tensor([tokens.shape[1]])
    words = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    passes_on = isinstance(inner, GENERIC) or type(inner).__name__.endswith(("ForCausalLM", "LMHeadModel"))
    if "use_cache" in takes or words and passes_on:
        given["use_cache"] = False
    return given


def first_place(model):
    """What a text's first position is, of models that have a list of them."""
    lists = [b for name, b in model.named_buffers() if name.rpartition(".")[2] == "position_ids" and b.numel()]
    return int(lists[0].flatten()[0]) if lists else 0


def numbers(output):
    """Of a model's output: [1, text, n], or [1, n]."""
    if torch.is_tensor(output):
        return output
    if isinstance(output, dict):  # Transformers' outputs are
        if output.get("start_logits") is not None:  # of an answer in the text, and of its end
            return torch.stack([output["start_logits"], output["end_logits"]], -1)
        places = ("logits", "prediction_logits", "last_hidden_state", "pooler_output")
        found = [output[k] for k in places if output.get(k) is not None]
        return numbers(found or None)
    if isinstance(output, (tuple, list)):
        return numbers(next(x for x in output if x is not None))
    raise Refused("the model gives nothing in which scores or hidden states are found")


def passed(model, tokens, source=None):
    """What it gives of a text, in one pass or, where that is not what it generates by, token by token."""
    given = arguments(model, tokens, source=source)
    if type(model).__name__ not in RIGHT_BY_STEPS:
        return numbers(model(**given))[0]
    rows, cache, key = [], None, "input_ids" if source is None else "decoder_input_ids"
    for token in tokens[0]:
        out = model(**given | {key: token.reshape(1, 1), "use_cache": True, "cache": cache})
        cache = out.cache
        rows.append(numbers(out)[0])
    return torch.cat(rows)


def padding(model):
    """Token numbers that stand for no token: a text has none of them."""
    configs = [getattr(m, "config", None) for m in model.modules()]
    ids = [getattr(c, "pad_token_id", None) for c in configs]
    ids += [PADDING.get(getattr(c, "model_type", None)) for c in configs]
    ids += [getattr(m, "padding_idx", None) for m in model.modules()]
    return {i for i in ids if isinstance(i, int)}


def n_tokens(model):
    """How many there are; where a model does not say which table is theirs, as the configuration says, or the first."""
    with contextlib.suppress(AttributeError, NotImplementedError):
        return model.get_input_embeddings().weight.shape[0]
    tables = [m.num_embeddings for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    return getattr(model.config, "vocab_size", None) or tables[0]


def ends_texts(model):
    """The token that each text ends with, where encoder and decoder read the same one; or None."""
    told = ("ForSequenceClassification", "ForQuestionAnswering")
    both = model.config.is_encoder_decoder and type(model).__name__.endswith(told)
    return model.config.eos_token_id if both else None


def some_tokens(model, n, generator):
    end = ends_texts(model)
    left_out = padding(model) | {end}
    known = [i for i in range(n_tokens(model)) if i not in left_out]
    out = torch.tensor(known)[torch.randint(0, len(known), (1, n), generator=generator)]
    if end is not None:
        out[0, -1] = end
    return out
