"""Published chat templates, ours against jinja2: every template of a folder with every conversation.

    python tools/oracle/compare_templates.py build/x/bin/render_template FOLDER|FILE ...

A template is a file (*.jinja), or the tokenizer.chat_template of a *.gguf. Prints what differs.
"""
import pathlib
import sys

from conversations import conversations
from template_reference import Ours, reference


def templates(paths):
    for path in map(pathlib.Path, paths):
        for file in sorted(path.glob("*.jinja")) + sorted(path.glob("*.gguf")) if path.is_dir() else [path]:
            if file.suffix == ".gguf":
                from gguf import GGUFReader
                field = GGUFReader(file).fields.get("tokenizer.chat_template")
                if field:
                    yield file.name, field.contents()
            else:
                yield file.name, file.read_text()


def main():
    ours, n_cases, n_rendered, n_different, n_templates = Ours(sys.argv[1]), 0, 0, 0, 0
    for name, template in templates(sys.argv[2:]):
        n_templates += 1
        for conversation, variables in conversations():
            want, got = reference(template, variables), ours(template, variables)
            n_cases += 1
            n_rendered += want[0] is True
            if want[0] != got[0] or (want[0] and want[1] != got[1]):
                n_different += 1
                print(f"--- {name}, {conversation}\n  jinja2 {want}\n  ours   {got}")
    print(f"{n_templates} templates, {n_cases} cases, {n_rendered} rendered by jinja2, {n_different} differences")
    return n_different != 0


if __name__ == "__main__":
    raise SystemExit(main())
