#!/usr/bin/env python3
"""A definition for arch/, of a model's class as Transformers has it, with its golden test.

    contribute.py MODEL_DIR

A small model of the class is imported, once as it is and once for each number of its configuration that can be another
one. The numbers of the definition that change with them become parameters, read from the metadata under the
configuration's names. Writes arch/TYPE.arch, and a model whose configuration differs in all of them at once, without a
definition of its own, with Transformers' logits: tests/golden/imports/TYPE.gguf and .bin. Imported files keep their own
definitions, under the name hf-TYPE. Needs what tools/import needs.
"""
import argparse
import itertools
import math
import pathlib
import re
import sys

import torch

ROOT = pathlib.Path(__file__).parents[1]
sys.path += [str(ROOT / "tools/import"), str(ROOT / "tools/oracle")]

from andiron_import import heads, shrink  # noqa: E402
from andiron_import.emit import NUMBER  # noqa: E402
from andiron_import.imported import Imported  # noqa: E402
from andiron_import.values import Refused  # noqa: E402
from andiron_import.write import numbers_of  # noqa: E402
from make_imports import write_golden  # noqa: E402

NOT_TOLD = ("token", "vocab", "dropout", "range", "seed", "layers", "position", "label")


def model_of(kind, config):
    torch.manual_seed(1)
    return shrink.filled(kind(config).float().eval())


def tried(kind, config, changed):
    """(its configuration, its import) of a small model with other numbers; None where there is no such model."""
    try:
        said = config.to_dict()
        for name, value in changed.items():
            group, _, inside = name.rpartition(".")
            (said[group] if group else said)[inside] = value
        other = type(config).from_dict(said)
        model = model_of(kind, other)
        with torch.no_grad():
            model(input_ids=torch.zeros(1, 4, dtype=torch.long), use_cache=False)
        return other, Imported(model)
    except Exception as e:  # noqa: BLE001 - whatever a model says of numbers that do not go together
        print(f"  no such model: {str(e).splitlines()[0][:100] if str(e) else type(e).__name__}", file=sys.stderr)
        return None


def skeleton(text):
    return NUMBER.sub("#", text)


def numbers_in(text):
    return [float(n) for n in NUMBER.findall(text)]


def told_by(config):
    """{name: number} of those that a definition may read."""
    return {n: v for n, v in numbers_of(config).items() if v and not any(word in n for word in NOT_TOLD)}


def others(value):
    return [value * 2, value // 2, value + 1] if type(value) is int else [value * 1.5]


class Variants:
    """Models of other numbers with the same definition but for its numbers. together: all that changed, at once."""

    def __init__(self, kind, config, imported):
        self.kind, self.skeleton, self.together, self.last = kind, skeleton(imported.text), {}, config
        self.configs, self.texts = [config], [imported.text]
        alone = [n for n in told_by(config) if not self.varied(config, [n])]
        pairs = [p for p in itertools.combinations(alone, 2) if self.varied(config, p)]
        for name in set(alone) - {n for p in pairs for n in p}:  # perhaps where others are larger
            self.varied(self.last, [name])

    def varied(self, config, names):
        """Is there one where these are others?"""
        said = told_by(config)
        return any(self.add(config, dict(zip(names, v))) for v in zip(*(others(said[n]) for n in names)))

    def add(self, config, changed):
        print(changed, file=sys.stderr)
        made = tried(self.kind, config, changed)
        if not made or skeleton(made[1].text) != self.skeleton:
            return False
        self.keep(*made)
        if config is self.last:  # all that changed before is in it
            self.together, self.last = self.together | changed, made[0]
            return True
        both = tried(self.kind, self.configs[0], self.together | changed)
        if both and skeleton(both[1].text) == self.skeleton:
            self.keep(*both)
            self.together, self.last = self.together | changed, both[0]
        return True

    def keep(self, config, imported):
        self.configs.append(config)
        self.texts.append(imported.text)


# ---- what a number of the definition is, told in those of the configuration

def variable(name):
    return name.rpartition(".")[2]


def expressions(names):
    """(text, function of a configuration's numbers), the plainest first."""
    one = [(variable(n), lambda c, n=n: c[n]) for n in names]
    yield from one
    for (a, f), k in itertools.product(one, (2, 3, 4, 6, 8)):
        yield f"{k} * {a}", lambda c, f=f, k=k: k * f(c)
        yield f"{a} / {k}", lambda c, f=f, k=k: f(c) / k
    for (a, f), (b, g) in itertools.product(one, one):
        yield f"{a} * {b}", lambda c, f=f, g=g: f(c) * g(c)
        yield f"{a} / {b}", lambda c, f=f, g=g: f(c) / g(c)
        yield f"{a} - {b}", lambda c, f=f, g=g: f(c) - g(c)
        yield f"{a} + {b}", lambda c, f=f, g=g: f(c) + g(c)
    for (a, f), (b, g), k in itertools.product(one, one, (2, 3, 4)):
        yield f"{a} * {b} / {k}", lambda c, f=f, g=g, k=k: f(c) * g(c) / k
        yield f"{k} * {a} * {b}", lambda c, f=f, g=g, k=k: f(c) * g(c) * k
    for (a, f), (b, g), (d, h) in itertools.product(one, one, one):
        yield f"{a} * {b} / {d}", lambda c, f=f, g=g, h=h: f(c) * g(c) / h(c)
        yield f"({a} + {b}) * {d}", lambda c, f=f, g=g, h=h: (f(c) + g(c)) * h(c)
        yield f"({a} + 2 * {b}) * {d}", lambda c, f=f, g=g, h=h: (f(c) + 2 * g(c)) * h(c)
    ratios = [(f"{a} / {b}", lambda c, f=f, g=g: f(c) / g(c)) for (a, f), (b, g) in itertools.product(one, one)]
    for a, f in [*one, *ratios]:
        yield f"1 / sqrt({a})", lambda c, f=f: f(c) ** -0.5
        yield f"sqrt({a})", lambda c, f=f: f(c) ** 0.5
        yield f"1 / ({a})", lambda c, f=f: 1 / f(c)


def told(values, configs, names):
    """An expression that gives values[i] for configs[i], all of them."""
    for text, function in expressions(names):
        try:
            if all(math.isclose(function(c), v, rel_tol=1e-6) for c, v in zip(configs, values)):
                return text
        except (ArithmeticError, TypeError, KeyError):
            continue
    return None


def general(texts, configs, names):
    """The first text with parameters in the place of numbers that change, and which those are."""
    rows, used, at = [numbers_in(t) for t in texts], set(), itertools.count()

    def said(found):
        values = [row[i] for row in rows] if (i := next(at)) >= 0 else []
        if len(set(values)) == 1:
            return found[0]
        text = told(values, configs, names)
        if text is None:
            raise Refused(f"the number {found[0]} of the definition, {values}, follows from none of the configuration")
        used.update(n for n in names if re.search(rf"\b{variable(n)}\b", text))
        return text if re.fullmatch(r"\w+", text) else f"({text})"
    return NUMBER.sub(said, texts[0]), sorted(used)


def definition(name, text, params):
    """With its parameters told, and the layers and the context as the file counts them."""
    text = re.sub(r"param n_ctx_train = \S+", 'param n_ctx_train = meta("context_length")', text)
    text = re.sub(r'layers\("blk", [^)]*\)', 'layers("blk", meta("block_count"))', text)
    lines = "".join(f'param {variable(p)} = meta("{p}")\n' for p in params)
    return text.replace(f"hf-{name}", name).replace("\nblock ", f"{lines}\nblock ", 1).replace(
        "imported from Transformers by andiron-import.", "written by tools/contribute.py, of Transformers' class.")


def contribute(directory):
    kind, config = heads.class_of(directory)
    small = shrink.model(kind, config, 3).config
    heads_of = {n: 2 * v for n, v in told_by(small).items() if "heads" in n}  # so many that two are none of one kind
    wide = {n: 2 * v for n, v in told_by(small).items() if n in ("hidden_size", "n_embd", "d_model")}
    for more in (heads_of | wide, heads_of, {}):
        made = tried(kind, small, {"vocab_size": 64} | more)
        if made:
            break
    else:
        raise Refused("no small model of its class")
    all_of = Variants(kind, *made)
    numbers, name = [numbers_of(c) for c in all_of.configs], made[1].name.removeprefix("hf-")
    text, params = general(all_of.texts, numbers, list(told_by(made[0])))
    (ROOT / f"arch/{name}.arch").write_text(definition(name, text, params), encoding="utf-8")
    write_golden(model_of(kind, all_of.last), name, definition=False)
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="a Hugging Face directory")
    args = parser.parse_args()
    try:
        name = contribute(args.model)
    except (Refused, NotImplementedError, OSError) as e:
        sys.exit(f"contribute.py: {args.model}: {e}; nothing was written")
    print(f"arch/{name}.arch, tests/golden/imports/{name}.gguf and .bin: build, run ctest -R 'imports|definitions', "
          "read the definition, give its blocks names")


if __name__ == "__main__":
    main()
