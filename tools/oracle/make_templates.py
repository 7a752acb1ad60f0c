"""Writes what jinja2, configured as Transformers does, makes of templates:

    tests/golden/templates.json            of those in tests/golden/templates/ in the talks of conversations.py
    tests/golden/template_constructs.json  of one small template a filter, test, method, format, statement and way of
                                           trimming, with the variables of fuzz_templates.py

    tests/fuzz/corpus/template/            seeds of tests/fuzz/fuzz_template.c, several constructs each

    python tools/oracle/make_templates.py

The templates are ours: each does what a family's published one does, with the same constructs. A case is the text, or
{"raised": message} where the template calls raise_exception, or {"failed": why} where jinja2 fails otherwise.
"""
import json
import pathlib
import random

import fuzz_templates as fuzz
from conversations import conversations
from template_reference import reference

GOLDEN = pathlib.Path(__file__).parents[2] / "tests" / "golden"
LEFT_OUT = {"empty", "continue", "effort", "other", "odd", "last_assistant", "hello_stop", "calls_text_tools",
            "no_content"}


def outcome(template, variables):
    rendered, text = reference(template, variables)
    if rendered:
        return text
    kind, _, message = text.partition(": ")
    return {"raised": message} if kind == "TemplateError" else {"failed": text}


OPERANDS = ["s", "u", "l", "ls", "us", "d", "i", "j", "r", "messages", "n", "nope", "'42'", "' a,b '", "t",
            "(1, 2)", "1e20"]


def small_templates():
    """For each construct, templates of which the first few that render count."""
    for f in fuzz.FILTERS:
        yield 2, [f"{{{{ {x}|{f} }}}}" for x in OPERANDS]
    for t in fuzz.TESTS:
        yield 3, [f"{{{{ {x} is {t} }}}}" for x in OPERANDS]
    for m in fuzz.METHODS:
        yield 2, [f"{{{{ {x}.{m} }}}}" for x in OPERANDS]
    for b in fuzz.BINARY:
        yield 4, [f"{{{{ {x} {b} {y} }}}}" for x, y in zip(OPERANDS, OPERANDS[::-1])] + \
            [f"{{{{ {x} {b} {y} }}}}" for x in ("i", "j", "r", "s", "l") for y in ("i", "r", "s", "l")]
    for f in fuzz.FORMATS:
        yield 2, [f"{{{{ {f!r} % {x} }}}}" for x in ("(s, i)", "s", "i", "r", "{'a': 1, 'b': s}", "(1, 2, 3)", "()")]
    for f in fuzz.FIELDS:
        yield 2, [f"{{{{ {f!r}.format({x}) }}}}" for x in ("r", "i, s", "a=d, b=2", "s", "us", "")]
    for n in fuzz.NUMBERS:
        yield 1, [f"{{{{ {n} }}}}"]
    for w in fuzz.WORDS:
        yield 1, [f"{{{{ {w!r} }}}}|{{{{ [{w!r}]|tojson(ensure_ascii=true) }}}}|{{{{ [{w!r}] }}}}"]
    for t in fuzz.LARGER:
        yield 1, [t.replace("E1", "s").replace("E2", "l"), t.replace("E1", "l").replace("E2", "'k'"),
                  t.replace("E1", "i").replace("E2", "2")]
    for k in range(60):
        g = fuzz.Generator(random.Random(f"trim {k}"))
        body = "".join(g.text() + g.pick([g.tag("if i") + g.text() + g.tag("endif"), "{{ i }}", "{{- i -}}", "{# c #}",
                                          g.tag("set y = 1"), "{%- raw %} {{ }} {% endraw -%}"]) for _ in range(3))
        yield 1, [body + g.text()]


def constructs():
    cases = {}
    for n_wanted, templates in small_templates():
        seen = set()
        for template in templates:
            rendered, text = reference(template, fuzz.VARIABLES)
            if rendered and len(seen) < n_wanted and text not in seen and not fuzz.tells_an_address(text):
                seen.add(text)
                cases[template] = text
    return cases


def write_seeds(folder):
    """A seed is a template, and behind a zero byte JSON of its own where it has that."""
    operands = zip(fuzz.LARGER, ["l", "s|upper", "d.x"] * 99, ["s", "i"] * 99)
    larger = [t.replace("E1", x).replace("E2", y) for t, x, y in operands if "raise_" not in t and "nope.x" not in t]
    for k in range(0, len(larger), 6):
        (folder / f"statements_{k // 6:02}").write_text("\n".join(larger[k:k + 6]))
    expressions = {"filters": [f"s|{f}" for f in fuzz.FILTERS], "tests": [f"i is {t}" for t in fuzz.TESTS],
                   "methods": [f"s.{m}" for m in fuzz.METHODS] + [f"d.{m}" for m in fuzz.METHODS[-12:]],
                   "fields": [f"{f!r}.format(i, s, a=d)" for f in fuzz.FIELDS],
                   "formats": [f"{f!r} % i" for f in fuzz.FORMATS]}
    for name, words in expressions.items():
        for k in range(0, len(words), 12):
            (folder / f"{name}_{k // 12:02}").write_text("".join(f"{{{{ {w} }}}}\n" for w in words[k:k + 12]))
    json_seed = b'{{ a }}{{ b|tojson }}\0{"a": "\\ud83d\\ude00\\n", "b": [1, -2.5e3, null, {}]}'
    (folder / "json").write_bytes(json_seed)


def main():
    chosen = {name: variables for name, variables in conversations() if name not in LEFT_OUT}
    cases = {}
    for file in sorted((GOLDEN / "templates").glob("*.jinja")):
        template = file.read_text()
        cases[file.stem] = {name: outcome(template, variables) for name, variables in chosen.items()}
    out = json.dumps({"conversations": chosen, "cases": cases}, ensure_ascii=False, indent=0)
    (GOLDEN / "templates.json").write_text(out + "\n")
    small = constructs()
    (GOLDEN / "template_constructs.json").write_text(json.dumps(
        {"variables": fuzz.VARIABLES, "cases": small}, ensure_ascii=False, indent=0) + "\n")
    print(len(small), "constructs")
    write_seeds(GOLDEN.parent / "fuzz" / "corpus" / "template")
    kinds = [type(c) is str for case in cases.values() for c in case.values()]
    print(f"{len(cases)} templates, {len(kinds)} cases, {sum(kinds)} rendered, {len(out)} bytes")


if __name__ == "__main__":
    main()
