#!/usr/bin/env python3
"""cli_docs.py PROGRAM [--check]: write the man page and the shell completions from `PROGRAM help --dump`.

--check writes nothing and fails where a committed file differs, so that the program and its documents cannot part."""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def choices(option):
    value = option["value"] or ""
    return value.split("|") if "|" in value else []


def words_of(option):
    return [f"--{option['name']}"] + ([f"-{option['letter']}"] if option["letter"] else [])


def bash(dump):
    cases, values = [], {}
    for command in dump["commands"]:
        words = " ".join(w for o in command["options"] for w in words_of(o))
        cases.append(f"    {command['name']}) words=\"{words} -h --help\" ;;")
        for option in command["options"]:
            if choices(option):
                values["|".join(words_of(option))] = " ".join(choices(option))
    names = " ".join(c["name"] for c in dump["commands"])
    lists = "\n".join(f"    {k}) COMPREPLY=($(compgen -W \"{v}\" -- \"$now\")); return ;;" for k, v in values.items())
    return f"""# bash completion of andiron; made by tools/cli_docs.py
_andiron()
{{
    local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "{names} help --version" -- "$now"))
        return
    fi
    case $before in
    help) COMPREPLY=($(compgen -W "{names}" -- "$now")); return ;;
{lists}
    esac
    case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
    esac
    if [[ $now == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$now"))
    else
        COMPREPLY=($(compgen -f -- "$now"))
    fi
}}
complete -o filenames -F _andiron andiron
"""


def zsh_text(text):
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def zsh(dump):
    blocks = []
    for command in dump["commands"]:
        lines = []
        for option in command["options"]:
            value = ""
            if option["value"]:
                action = "_files" if option["file"] else f"({' '.join(choices(option))})" if choices(option) else ""
                value = f":{zsh_text(option['value'])}:{action}"
            lines += [f"      '{word}[{zsh_text(option['help'])}]{value}'" for word in words_of(option)]
        blocks.append(f"  {command['name']})\n    _arguments \\\n" + " \\\n".join(lines + ["      '*:file:_files'"]) +
                      "\n    ;;")
    names = "\n".join(f"    '{c['name']}:{zsh_text(c['summary'])}'" for c in dump["commands"])
    return f"""#compdef andiron
# zsh completion of andiron; made by tools/cli_docs.py
_andiron() {{
  local -a commands
  commands=(
{names}
    'help:tell about a command'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{chr(10).join(blocks)}
  esac
}}
_andiron "$@"
"""


def fish(dump):
    def quoted(text):
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = ["# fish completion of andiron; made by tools/cli_docs.py"]
    for command in dump["commands"]:
        lines.append(f"complete -c andiron -n __fish_use_subcommand -f -a {command['name']} "
                     f"-d {quoted(command['summary'])}")
    for command in dump["commands"]:
        for option in command["options"]:
            line = f"complete -c andiron -n '__fish_seen_subcommand_from {command['name']}' -l {option['name']}"
            line += f" -s {option['letter']}" if option["letter"] else ""
            line += " -r" if option["value"] else ""
            line += f" -f -a {quoted(' '.join(choices(option)))}" if choices(option) else ""
            lines.append(f"{line} -d {quoted(option['help'])}")
    return "\n".join(lines) + "\n"


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def man(dump):
    out = [f'.\\" made by tools/cli_docs.py\n.TH ANDIRON 1 "" "andiron {dump["version"]}" "User Commands"', ".SH NAME",
           "andiron \\- run language models on the machine you have", ".SH SYNOPSIS"]
    for command in dump["commands"]:
        out.append(f".B andiron {command['name']}\n[options] {roff(command['arguments'])}\n.br")
    out += [".SH DESCRIPTION", "MODEL is the path of a GGUF file. The file is mapped and used as it is. "
            "After \\fB\\-\\-\\fR nothing is an option."]
    for command in dump["commands"]:
        summary = command["summary"][0].upper() + command["summary"][1:]
        out.append(f".SH ANDIRON {command['name'].upper()}\n{roff(summary)}.")
        if command["details"]:
            out += [".PP\n" + roff(part) for part in command["details"].split("\n\n")]
        for option in command["options"]:
            words = roff(option["value"] or "").replace("|", "|\\:")  # a line may end there
            value = f" \\fI{words}\\fR" if words else ""
            form = ", ".join(f"\\fB{roff(w)}\\fR" for w in reversed(words_of(option)))
            out.append(f".TP\n{form}{value}\n{roff(option['help'])}")
        out.append(".PP\nExamples:\n.PP\n.nf\n" + roff(command["examples"]) + "\n.fi")
    out += [".SH EXIT STATUS", "0: done. 1: failed, with one sentence on standard error. 2: wrong usage.", ".SH FILES",
            ".TP\n\\fI$XDG_DATA_HOME/andiron/arch/NAME.arch\\fR\nthe user's own architecture definitions "
            "(without the variable: ~/.local/share)",
            ".TP\n\\fI$XDG_STATE_HOME/andiron/history\\fR\nwhat was typed in conversations; "
            "a folder that is missing is created (without the variable: ~/.local/state)",
            ".TP\n\\fI~/.editrc\\fR\nkeys of the line editor: see editrc(5)"]
    return "\n".join(out) + "\n"


def main():
    dump = json.loads(subprocess.run([*sys.argv[1].split(), "help", "--dump"], check=True, capture_output=True).stdout)
    made = {
        "apps/cli/completions/andiron.bash": bash(dump),
        "apps/cli/completions/_andiron": zsh(dump),
        "apps/cli/completions/andiron.fish": fish(dump),
        "docs/man/andiron.1": man(dump),
    }
    differ = [p for p, text in made.items() if not (ROOT / p).exists() or (ROOT / p).read_text() != text]
    if "--check" in sys.argv:
        if differ:
            sys.exit(f"{', '.join(differ)}: not what the program says; run tools/cli_docs.py PROGRAM")
        return
    for path in differ:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(made[path])


main()
