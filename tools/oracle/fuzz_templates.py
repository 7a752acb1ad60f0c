"""Differential test: random small templates, ours against jinja2.

    python tools/oracle/fuzz_templates.py build/x/bin/render_template [--seed S] [--count N]

Prints what differs. Known differences that are meant (docs/templates.md) are left out by the generator: integers stay
small, objects whose text is an address are not printed.
"""
import argparse
import random

from template_reference import Ours, reference

WORDS = ["", "a", "Hello World", "  pad \n", "x,y,,z", "été", "日本語", "😀!", "<|im_start|>", "it's", 'q"q',
         "line1\nline2\n", "42", "-3.5", "%s", "{}", "A-b c", "\t", "ΑΣ", "a\u00a0b", "<b>&", "a\r\nb\x0bc", "%d%%",
         "{0:>5}", "ﬁ", "1_000", " 7 ", "</think>\n\nyes"]
VARIABLES = {
    "s": "Hello World", "u": "häß 日本 😀", "e": "", "i": 3, "j": -7, "z": 0, "r": 2.5,
    "t": True, "f": False, "n": None,
    "l": [3, 1, 2], "ls": ["b", "A", " c "], "el": [], "d": {"x": 1, "y": {"z": [1, "q"]}, "b": "B"}, "ed": {},
    "us": [{"name": "bob", "age": 3, "role": "user"}, {"name": "Al", "age": 5}, {"name": "cy", "age": 3, "role": "x"}],
    "messages": [
        {"role": "system", "content": " sys "}, {"role": "user", "content": "Hi <b>"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "user", "content": [{"type": "text", "text": "part"}]}],
}
NAMES = list(VARIABLES) + ["nope", "x", "y", "m", "loop"]
FILTERS = [
    "upper", "lower", "trim", "length", "first", "last", "list", "join", "join(',')", "string", "int", "float",
    "tojson", "tojson(indent=2)", "default('D')", "default('D', true)", "reverse|list", "sort", "unique|list",
    "capitalize", "title", "replace('a', 'b')", "replace('l', '', 1)", "indent", "indent(2, true)", "items|list",
    "dictsort", "sum", "min", "max", "abs", "round", "round(1)", "map('upper')|list", "map('string')|list",
    "map(attribute='name')|list", "map(attribute='role', default='?')|join('/')", "select|list", "reject|list",
    "select('string')|list", "select('odd')|list", "selectattr('role')|list", "selectattr('age', 'gt', 3)|list",
    "rejectattr('role', 'eq', 'user')|list", "sort(attribute='age')", "sort(attribute='name', reverse=true)",
    "groupby('age')|list", "batch(2)|list", "slice(2)|list", "wordcount", "count", "d('q')", "trim('ab ')",
    "truncate(5)", "center(9)", "unique(attribute='age')|list", "sum(attribute='age')", "format(1)", "attr('x')",
    "string|urlencode", "safe", "e", "escape", "forceescape", "tojson|safe", "tojson(ensure_ascii=true)",
    "tojson(separators=(',', ':'))", "tojson(sort_keys=true)", "tojson(indent=1, sort_keys=true)",
    "tojson(indent='-')", "map('trim')|join(' ')", "map('length')|sum", "map('default', 'q')|list",
    "map('replace', 'b', 'c')|list", "map(attribute='y.z.0')|list", "map('tojson')|join", "map('attr', 'x')|list",
    "map('int')|list", "selectattr('name', 'in', ls)|list", "selectattr('role', 'equalto', 'user')|list|length",
    "selectattr('role', 'defined')|map(attribute='name')|first", "rejectattr('name', 'none')|list",
    "selectattr('content', 'string')|list|last", "select('in', [1, 2])|list", "reject('equalto', 'b')|list",
    "select('mapping')|first", "dictsort(by='value')", "dictsort(false, 'key', true)", "sort(reverse=true)",
    "sort(case_sensitive=true)", "sort(attribute='age,name')", "min(attribute='age')", "max(attribute='name')",
    "join(', ', attribute='name')", "int(-1)", "int(default=5)", "int(0, 16)", "float(1.5)", "round(0, 'ceil')",
    "round(2, 'floor')", "round(-1)", "default(none)", "default(value='v')", "default([], true)", "replace('o', 0)",
    "replace('', '-')", "replace(' ', '_')|lower", "indent(width=3, first=True)", "indent('> ')",
    "indent(2, blank=true)", "truncate(8, true)", "truncate(7, false, '~', 0)", "wordcount", "batch(2, 'x')|list",
    "slice(3, 'x')|list", "groupby('role', default='-')|map('first')|list",
    "groupby('age')|map(attribute='list')|list", "unique(true)|list", "first|upper", "last|string", "list|length",
    "string|list", "string|length", "trim|upper|trim", "items|map('first')|list", "items|list|length",
    "tojson|length", "upper|e", "e|e", "e|length", "safe|upper"]
TESTS = [
    "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable",
    "sequence", "true", "false", "odd", "even", "divisibleby(3)", "in l", "eq 3", "equalto('a')", "sameas none",
    "lower", "upper", "ge 2", "lt r", "not none", "not defined", "not string", "callable", "divisibleby 2",
    "in ['user', 'b']", "in d", "in 'Hello'", "not in l", "ne 'a'", "eq(none)", "gt 1", "le 3", "sameas true",
    "not mapping", "not iterable", "escaped", "filter", "test", "greaterthan 1", "lessthan(2)", "sameas(false)"]
METHODS = [
    "upper()", "lower()", "strip()", "lstrip('H ')", "rstrip()", "split()", "split(',')", "split('l', 1)",
    "rsplit(' ', 1)", "splitlines()", "title()", "capitalize()", "startswith('H')", "endswith(('d', 'x'))",
    "find('o')", "rfind('l')", "count('l')", "replace('l', 'L')", "isdigit()", "isalpha()", "get('x')", "get('q', 9)",
    "items()|list", "keys()|list", "values()|list", "x", "y.z", "name", "content", "role", "join(ls)", "index(1)",
    "format(1, x=2)", "partition('o')", "zfill(5)", "isupper()", "removeprefix('He')", "nope", "center(7, '*')",
    "copy()", "tool_calls[0].function.name", "split('</think>')[-1].lstrip('\n')", "strip('\n')",
    "split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')", "rstrip('\n ')", "lstrip()",
    "split(' ')[0]", "rsplit('l')", "rsplit(none, 1)", "split(none)", "split(sep=',')", "split(',', maxsplit=1)",
    "splitlines(true)", "startswith(('a', 'H'))", "startswith('e', 1)", "endswith('d', 0, 3)", "find('o', 5)",
    "rfind('o', 0, 5)", "index('o')", "rindex('o')", "count('')", "count('o', 5)", "replace('', '.')",
    "replace('o', '0', 1)", "isalnum()", "isspace()", "islower()", "isnumeric()", "isdecimal()", "swapcase()",
    "casefold()", "ljust(8)", "rjust(8, '.')", "rpartition('o')", "removesuffix('ld')", "zfill(12)", "format()",
    "format(i, s)", "format(*l)", "get('y', {}).get('z', [])", "get('role') == 'user'", "get('content', '') or ''",
    "items()|map('last')|list", "index('q')", "count(1)", "index", "0", "append(1)", "pop()", "update({})",
    "__class__", "keys()|join", "values()|first", "strip().split()", "upper().lower()", "join('-')",
    "format(name='n', x=3)", "title", "items", "get", "length", "first", "index(2)"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or", "in", "not in",
          "~", "+", "==",
          "**"]
NUMBERS = ["0", "1", "2", "5", "10", "-1", "1.5", "0.1", "3.0", "1e3", "true", "false", "none", "1_000", "0x1F", "0b11",
           "1e-7", "123456789012", "1e16", "0.30000000000000004", "True", "None", "100", "7"]
FORMATS = [
    "%s-%s", "%5d|%-5s|", "%05.1f", "%x %X %o", "%r %s", "%(a)s %(b)s", "%c", "%e %g", "%+d", "%.2s", "%%", "%5.3f%%"]
FIELDS = [
    "{}", "{0} {1} {0}", "{a} {b}", "{:>8}|{:<8}|", "{:^9}", "{:*^9}", "{:,}", "{:.2f}", "{:05d}", "{!r}", "{0[0]}",
    "{:x} {:b}", "{a.x}", "{:+d}", "{:e}", "{:.1%}", "{{}}", "{:3}", "{0!s:>4}", "{:_}", "{:g}", "{:#x}"]


# Longer things that published templates do; E1 and E2 are any expressions.
LARGER = [
    "{% macro m(x) %}<{{ x }}{{ caller() if caller is defined }}>{% endmacro %}{% call m(E1) %}{{ E2 }}{% endcall %}",
    "{% macro m() %}{{ varargs|join(',') }}{{ kwargs|dictsort }}{% endmacro %}{{ m(1, E1, q=E2) }}",
    "{% macro m(k) %}{% if k > 0 %}{{ k }}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(3) }}{{ E1 }}",
    "{% macro m(x) %}{% for y in x %}({{ caller(y) }}){% endfor %}{% endmacro %}{% call(y) m(l) %}{{ y }}"
    "{{ E1 }}{% endcall %}",
    "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}"
    "{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{% set ns.n = loop.index0 %}"
    "{% endif %}{% endfor %}{{ ns.n }}{{ ns.found }}",
    "{% for m in messages[::-1] %}{% set index = (messages|length - 1) - loop.index0 %}{{ index }}"
    "{{ m.role }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v if v is string else v|tojson }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.first }}{{ loop.revindex }}"
    "{{ m.content }}{% else %}E1{% endfor %}",
    "{% for m in messages %}{% if m.content is string %}{{ m.content|trim }}"
    "{% elif m.content is iterable %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b', E2) }}{{ loop.changed(x > 1) }}{{ loop.nextitem }}"
    "{{ loop.depth }}{% endfor %}",
    "{% for x in E1 %}{{ x }}{% break %}{% else %}none{% endfor %}",
    "{% for x in l %}{% for y in ls %}{% if y == 'A' %}{% continue %}{% endif %}{{ x }}{{ y }}"
    "{{ loop.index }}{% endfor %}{% endfor %}",
    "{% set x %}{% for y in l %}{{ y }}{{ E2 }}{% endfor %}{% endset %}{{ x|trim }}{{ x|length }}",
    "{% set x | trim | upper %} E1 {{ E2 }}{% endset %}{{ x }}", "{% set x, y = 1, E1 %}{{ x }}{{ y }}",
    "{% set (x, y) = l[:2] %}{{ x + y }}", "{% set x = 1 if E1 else 2 %}{{ x }}",
    "{% if E1 %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% with x = E1, y = 2 %}{{ x }}{{ y }}{% endwith %}{{ x }}", "{% filter upper|trim %} a{{ E1 }} {% endfilter %}",
    "{% generation %}{{ E1 }}{% endgeneration %}",
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% else %}"
    "{% set rest = messages %}{% endif %}{{ rest|length }}",
    "{% if (E1) is not none and E2 %}a{% elif not (E2) %}b{% endif %}", "{{ E1 if E2 }}", "{{ [E1, E2]|join(' ') }}",
    "{{ {'a': E1, 'b': E2}|tojson }}", "{{ (E1)|tojson(indent=4) }}", "{{ E1, E2 }}", "{% print E1, 2 %}",
    "{{ dict(a=E1).items()|list }}", "{{ '<|' + (E1)|string + '|>' }}", "{{ 'a' 'b' ~ E1 ~ \"c\" }}",
    "{{ -(E1) ** 2 }}", "{{ 1 < i <= E1 }}", "{{ not E1 is defined }}",
    "{%- for x in [E1, E2] -%}\n  {{- x }}\n{%- endfor %}\n", "{# {{ E1 }} #}",
    "{%- raw -%} {{ E1 }} {%- endraw +%}\n", "{{ caller }}", "{{ raise_exception('no') if (E1) == 17 }}",
    "{{ nope.x }}", "{{ (E1)[0] }}{{ (E2).x }}", "{{ x }}{% set x = 5 %}{{ x }}",
    "{% for x in l %}{% macro q() %}{{ x }}{% endmacro %}{{ q() }}{% endfor %}",
    "{% set x = l + [E1] %}{{ x|length }}{{ x[-1] }}",
    "{% for x in range(3) %}{{ x }}{% set y = x %}{% endfor %}{{ y }}", "{{ (E1)|default('q')|safe + '<' }}",
    "{{ [1, 2] + [E2] }}"]


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, items):
        return self.rng.choice(items)

    def string(self):
        s = self.pick(WORDS)
        return repr(s) if self.rng.random() < 0.7 else '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def atom(self, depth):
        k = self.rng.random()
        if k < 0.5:
            return self.pick(NAMES)
        if k < 0.65:
            return self.string()
        if k < 0.75:
            return self.pick(NUMBERS)
        if k < 0.8 or depth <= 0:
            return self.pick(["range(4)", "range(1, 9, 3)|list", "[]", "{}", "()", "dict(a=1)", "namespace(q=1).q",
                              "range(5, 0, -2)", "dict(d, q=2)", "dict([('a', 1)])", "messages[1:]",
                              "messages[0]['content']",
                              "messages[-1].role", "(messages|length)", "messages[::-1]", "cycler('a', 'b').next()",
                              "joiner('-')()", "strftime_now('%d %b %Y')", "strftime_now('%Y-%m-%d %H:%M')",
                              "us[1].role",
                              "tools", "add_generation_prompt", "bos_token", "messages[2].tool_calls[0]['function']"])
        if k < 0.88:
            return "[" + ", ".join(self.expression(depth - 1) for _ in range(self.rng.randrange(4))) + "]"
        if k < 0.94:
            return "(" + self.expression(depth - 1) + ", " + self.expression(depth - 1) + ")"
        pairs = [f"{self.string()}: {self.expression(depth - 1)}" for _ in range(self.rng.randrange(3))]
        return "{" + ", ".join(pairs) + "}"

    def subscript(self, depth):
        k = self.rng.random()
        if k < 0.4:
            return "[" + self.pick(["0", "1", "-1", "'x'", "'name'", "'role'", "9", "1:", ":-1", "::-1", ":2", "1:3",
                                    "::2",
                                    "-2:", "5:1:-2"]) + "]"
        return "[" + self.expression(depth - 1) + "]"

    def expression(self, depth):
        if depth <= 0:
            return self.atom(0)
        k = self.rng.random()
        if k < 0.18:
            return self.atom(depth)
        if k < 0.2:
            return f"{self.pick(FORMATS)!r} % {self.operand(depth)}"
        if k < 0.22:
            arguments = [self.expression(depth - 1)] * self.rng.randrange(3) + self.pick([[], ["a=1"], ["**d"]])
            form = f"{self.pick(FIELDS)!r}.format" if k < 0.21 else f"{self.pick(FORMATS)!r}|format"
            return f"{form}({', '.join(arguments)})"
        if k < 0.42:
            return f"{self.operand(depth)} {self.pick(BINARY)} {self.operand(depth)}"
        if k < 0.6:
            return f"{self.operand(depth)}|{self.pick(FILTERS)}"
        if k < 0.72:
            return f"{self.operand(depth)}.{self.pick(METHODS)}"
        if k < 0.8:
            return f"{self.operand(depth)}{self.subscript(depth)}"
        if k < 0.87:
            return f"{self.operand(depth)} is {self.pick(TESTS)}"
        if k < 0.93:
            other = f" else {self.expression(depth - 1)}" if self.rng.random() < 0.8 else ""
            return f"{self.expression(depth - 1)} if {self.expression(depth - 1)}{other}"
        return self.pick(["not ", "-", "+"]) + self.operand(depth)

    def operand(self, depth):
        e = self.expression(depth - 1)
        return e if self.rng.random() < 0.4 else f"({e})"

    def tag(self, inside):
        left, right = self.pick(["{%", "{%", "{%-", "{%-", "{%+"]), self.pick(["%}", "%}", "-%}", "-%}", "+%}"])
        return f"{left} {inside} {right}"

    def text(self):
        return self.pick(["", " ", "\n", "\n\n", "  \n  ", "a", " b ", "\nc\n", "x: ", "\t", "<|e|>\n", "  "])

    def body(self, depth, in_loop):
        return "".join(self.text() + self.statement(depth, in_loop) + self.text()
                       for _ in range(self.rng.randrange(1, 3)))

    def statement(self, depth, in_loop=False):
        k = self.rng.random()
        if depth <= 0 or k < 0.4:
            e = self.expression(self.rng.randrange(1, 4))
            return self.pick(["{{ ", "{{- ", "{{"]) + e + self.pick([" }}", " -}}", "}}"])
        if k < 0.55:
            other = ""
            if self.rng.random() < 0.3:
                other = self.tag("elif " + self.expression(1)) + self.body(depth - 1, in_loop)
            if self.rng.random() < 0.5:
                other += self.tag("else") + self.body(depth - 1, in_loop)
            return self.tag("if " + self.expression(2)) + self.body(depth - 1, in_loop) + other + self.tag("endif")
        if k < 0.7:
            head = self.pick(["for x in ", "for x in ", "for x, y in "]) + self.pick(
                ["l", "ls", "us", "messages", "d", "d.items()", "range(3)", "u", "el", "us|map(attribute='name')",
                 self.operand(2)])
            head += self.pick(["", "", " if x", " if loop is defined", " if x is string"])
            middle = self.pick(["", "", "{{ loop.index }}/{{ loop.length }}{{ loop.last }}", "{{ loop.previtem }}",
                                "{% if loop.index == 2 %}{% continue %}{% endif %}",
                                "{% if x == 1 %}{% break %}{% endif %}"])
            other = self.tag("else") + self.body(depth - 1, in_loop) if self.rng.random() < 0.2 else ""
            return self.tag(head) + middle + self.body(depth - 1, True) + other + self.tag("endfor")
        if k < 0.82:
            return self.tag(self.pick(["set x = ", "set y = ", "set x, y = "]) + self.expression(2))
        if k < 0.86:
            head = self.tag("set y" + self.pick(["", " | upper", "|trim"]))
            return head + self.body(depth - 1, in_loop) + self.tag("endset")
        if k < 0.9:
            return (self.tag(self.pick(["macro m(x)", "macro m(x, y=3)", "macro m()", "macro m(x=1, y=x)"])) +
                    self.body(depth - 1, False) + self.tag("endmacro") +
                    "{{ m(" + self.pick(["", "1", "1, 2", "y=s"]) + ") }}")
        if k < 0.91:
            return self.pick(LARGER).replace("E1", self.expression(2)).replace("E2", self.expression(1))
        if k < 0.93:
            return ("{% set ns = namespace(a=0) %}{% for q in l %}{% set ns.a = " + self.expression(1) +
                    " %}{% endfor %}{{ ns.a }}")
        return self.pick(["{# c #}", "{#- c -#}", "{% raw %}{{ x }}{% endraw %}", "{%- raw -%} {{ }} {%- endraw -%}",
                          "{% generation %}g{% endgeneration %}", "{% with x = 1 %}{{ x }}{% endwith %}",
                          "{% filter upper %}f{% endfilter %}"])

    def template(self):
        return self.body(self.rng.randrange(4), False)


ADDRESSES = (" object at 0x", "<function", "<bound method", "<built-in", "<class", "<generator", "method-wrapper",
             "reverseiterator", "reversed object")


def tells_an_address(text):
    return any(a in text for a in ADDRESSES)


def same(want, got):
    if want[0] is None or tells_an_address(want[1]):
        return True
    if "a LoopContext cannot be iterated" in got[1]:  # docs/templates.md
        return True
    if "cannot be sliced" in got[1]:  # jinja2 folds constants with other rules than it runs by
        return True
    if want[0] is False and ("No filter named" in want[1] or "No test named" in want[1]):  # ours fails where it is run
        return True
    return want[0] == got[0] and (not want[0] or want[1] == got[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10000)
    args = parser.parse_args()
    ours, differences, rendered = Ours(args.program), 0, 0
    for k in range(args.count):
        template = Generator(random.Random(f"{args.seed}-{k}")).template()
        want, got = reference(template, VARIABLES), ours(template, VARIABLES)
        rendered += want[0] is True
        if not same(want, got):
            differences += 1
            print(f"--- {k}: {template!r}\n  jinja2 {want}\n  ours   {got}")
    print(f"{args.count} templates, {rendered} rendered by jinja2, {differences} differences")
    return differences != 0


if __name__ == "__main__":
    raise SystemExit(main())
