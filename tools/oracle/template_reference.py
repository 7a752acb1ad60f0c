"""Renders chat templates with jinja2 as Transformers does, and with ours (tests/text/render_template), for comparison.

Development only: needs jinja2 and transformers. Used by make_template_cases.py and fuzz_templates.py.
"""
import json
import os
import subprocess

os.environ.setdefault("TZ", "UTC")

from transformers.utils.chat_template_utils import _compile_jinja_template  # noqa: E402

NOW_S = 1700000000  # what render_template takes for the time


def strftime_now(form):
    from datetime import datetime, timezone
    return datetime.fromtimestamp(NOW_S, timezone.utc).replace(tzinfo=None).strftime(form)


def reference(template, variables):
    """(True, text) or (False, why)."""
    try:
        compiled = _compile_jinja_template(template)
        compiled.environment.globals["strftime_now"] = strftime_now
        given = {"messages": [], "tools": None, "documents": None, "add_generation_prompt": False,
                 "bos_token": "", "eos_token": ""}
        given.update(json.loads(json.dumps(variables)))
        compiled.globals["strftime_now"] = strftime_now
        return True, compiled.render(**given)
    except RecursionError as e:
        return None, str(e)
    except Exception as e:
        return False, f"{type(e).__name__}: {e}"


class Ours:
    def __init__(self, program):
        self.program = program
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "TZ": "UTC"})

    def __call__(self, template, variables):
        a, b = template.encode(), json.dumps(variables, ensure_ascii=False).encode()
        self.process.stdin.write(f"{len(a)} {len(b)}\n".encode() + a + b)
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if len(head) != 2:
            self.start()
            return None, "it died"
        text = self.process.stdout.read(int(head[1])).decode("utf-8", "replace")
        return head[0] == b"0", text
