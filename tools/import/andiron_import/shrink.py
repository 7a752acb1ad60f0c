"""A small model of a large one's class, with random weights: the proof of what is too large to run."""
import itertools

import torch

from . import heads, trace
from .values import Refused

SIZE = 64  # a number of the configuration that is at least as large is a size
FACTORS = (8, 16, 32, 4, 2)
BINDING = {"window": 8, "topk": 8, "attention_chunk": 16}  # so small that they matter in the proof's texts
NO_SIZE = ("vocab", "token", "position", "theta", "base", "window", "length", "seed", "layers")
VOCAB = 1000  # and ids of special tokens below it
MOST = 50_000_000  # parameters
TUNED = {}  # {class: what a model with random weights needs so that the proof's texts show all that it does}


def sizes_of(said):
    """The names of what may be smaller, also of configurations inside."""
    inside = [sizes_of(v) for v in said.values() if isinstance(v, dict)]
    return list(dict.fromkeys(itertools.chain(*inside, (k for k, v in said.items() if is_size(k, v)))))


def is_size(name, value):
    """One number, or one for each layer."""
    sizes = value if isinstance(value, list) else [value]
    return bool(sizes) and all(type(n) is int and n >= SIZE for n in sizes) and not any(
        word in str(name) for word in NO_SIZE)


def smaller(said, sizes, by, old_layers, layers):
    """A configuration's fields: those named in `sizes` divided, and of each list of layers the first ones."""
    out = {}
    for key, value in said.items():
        name = str(key)
        bound = next((n for word, n in BINDING.items() if word in name), None)
        if isinstance(value, dict):
            value = smaller(value, sizes, by, old_layers, layers)
        elif bound and type(value) is int:
            value = min(value, bound)
        elif type(value) is int and value >= VOCAB and ("vocab" in name or "token" in name):
            value = VOCAB if "vocab" in name else value % VOCAB
        elif name in sizes and type(value) is int and value % by == 0:
            value //= by
        elif isinstance(value, list):
            value = value[:layers] if len(value) == old_layers else value
            value = [n // by for n in value] if name in sizes else value
        out[key] = value
    return out


def attempts(config, layers):
    """Configurations, the likeliest first: all sizes divided, or all but one or two; fewer layers, or all."""
    said, text = config.to_dict(), config.get_text_config()
    sizes, old = sizes_of(said), getattr(text, "num_hidden_layers", None)  # None: its parts have their own
    for but in itertools.chain([()], itertools.combinations(sizes, 1), itertools.combinations(sizes, 2)):
        for by, n in itertools.product(FACTORS, dict.fromkeys((layers, old))):
            fields = smaller(said, set(sizes) - set(but), by, old, n)
            text_fields = fields if text is config else next(
                v for k, v in fields.items() if getattr(config, k, None) is text)
            if old is not None:
                text_fields[text.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = n
            yield fields


def model(kind, config, layers, tries=200):
    """With at least so many layers; Refused where no smaller configuration gives a model that runs."""
    why = "it has no sizes"
    torch.manual_seed(1)
    for fields in itertools.islice(attempts(config, layers), tries):
        try:
            small = type(config).from_dict(fields)
            with torch.device("meta"):
                n = sum(p.numel() for p in kind(small).parameters())
            if n > MOST:
                why = f"it has {n // 1_000_000} million weights still"
                continue
            out = TUNED.get(kind.__name__, lambda m: m)(filled(kind(small).float().eval()))
            with torch.no_grad():
                out(**heads.arguments(out, *trace.inputs_of(out, 4)))
            return out
        except Exception as e:  # noqa: BLE001 - whatever a model says of sizes that do not go together
            why = str(e).strip().split("\n")[0][:200]
    raise Refused(f"no smaller configuration of its class gives a model to prove it with; of the last one tried: {why}")


@torch.no_grad()
def filled(out):
    """No weight is left at zero or one, and none so small that what it does is not seen."""
    for p in out.parameters():
        p += torch.randn_like(p) * (p.shape[-1] ** -0.5 if p.dim() > 1 else 0.1)
    return out
