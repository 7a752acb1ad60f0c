"""harness.py - what the program's tests share: how to run it, the tiny models, what must hold of every failure.

A test file is started with the program's command line: test_x.py [EMULATOR ...] PROGRAM. Nothing is timed: a limit is
there only so that a hang ends, and is far beyond what a loaded machine, a sanitizer or an emulator needs."""
import atexit
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import gguf_edit

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA3 = ROOT / "models" / "gemma-3-270m-q4_k_m.gguf"
_dashes = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
COMMAND = sys.argv[1:_dashes]
if not COMMAND:
    sys.exit(f"usage: {sys.argv[0]} [EMULATOR ...] PROGRAM [-- unittest's arguments]")
LIMIT = int(os.environ.get("CLI_TEST_LIMIT", "600"))
COMMANDS = ["run", "show", "tokenize", "logits", "perplexity", "embed", "convert", "import", "bench"]

scratch = pathlib.Path(tempfile.mkdtemp(prefix="andiron-cli-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)


def environment(**more):
    """A home without the user's files, so that neither their history nor their definitions matter."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS",
                                                         "LSAN_OPTIONS", "LD_LIBRARY_PATH", "QEMU_LD_PREFIX")}
    return {**kept, "HOME": str(scratch), "LC_ALL": "C.UTF-8", "TERM": "xterm", **more}


def is_sanitized():
    program = pathlib.Path(COMMAND[-1]).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def is_slow():
    """Emulated or sanitized: the large models take too long."""
    return len(COMMAND) > 1 or is_sanitized()


def needs(model, heavy=True):
    """Skips a test where the large model is not there, or is run and would take too long."""
    there = model.exists() and not (heavy and is_slow())
    return unittest.skipUnless(there, f"{model.name} is not there, or too slow here")


def run(*args, stdin=b"", **options):
    """Run the program with its output taken; `stdin` is bytes or a file."""
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    words = [a if isinstance(a, bytes) else str(a) for a in args]
    return subprocess.run([*COMMAND, *words], capture_output=True, timeout=LIMIT, env=environment(), **given, **options)


_made = {}


def chat_model():
    if "chat" not in _made:
        _made["chat"] = gguf_edit.write_chat_model(GOLDEN / "llama.gguf", scratch / "chat.gguf")
    return _made["chat"]


def tiny():
    return GOLDEN / "llama.gguf"


def re_escape(text):
    """A pattern for `text` however the terminal wrapped it."""
    return r"\s*".join(re.escape(c) for c in text if not c.isspace())


class Case(unittest.TestCase):
    maxDiff = 4000

    def ok(self, *args, **options):
        """Must succeed; gives stdout."""
        done = run(*args, **options)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def sentence(self, done, status):
        """What every failure is: its status, nothing on stdout, one sentence on stderr. Gives the sentence."""
        text = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, status, text)
        self.assertEqual(done.stdout, b"", text)
        self.assertTrue(text.startswith("andiron: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        return text

    def fails(self, *args, says=(), **options):
        text = self.sentence(run(*args, **options), 1)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, text)
        return text

    def misused(self, *args, says=(), **options):
        text = self.sentence(run(*args, **options), 2)
        self.assertRegex(text, r"see andiron (\w+ --)?help$")
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, text)
        return text


def main():
    unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[_dashes + 1:]])
