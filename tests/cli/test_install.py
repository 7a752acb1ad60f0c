"""An installed copy: what is in it, and that the example of the README builds against it with pkg-config and answers.

    test_install.py [EMULATOR ...] PROGRAM -- BUILD COMPILER"""
import os
import shutil
import subprocess
import sys
import unittest

import harness
from harness import COMMAND, ROOT, Case, chat_model, run, scratch

BUILD, COMPILER = sys.argv[-2:]
del sys.argv[-2:]
WANTED = ["bin/andiron", "include/andiron.h", "share/man/man1/andiron.1", "share/bash-completion/completions/andiron",
          "share/zsh/site-functions/_andiron", "share/fish/vendor_completions.d/andiron.fish"]


def call(*words, **env):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True, timeout=harness.LIMIT,
                          env={**os.environ, **env}).stdout


@unittest.skipIf(harness.is_sanitized(), "a sanitizer's library wants its own compiler flags")
class Install(Case):
    @classmethod
    def setUpClass(cls):
        cls.prefix = scratch / "a prefix"
        call("cmake", "--install", BUILD, "--prefix", cls.prefix, DESTDIR="")
        cls.pc = next(cls.prefix.rglob("andiron.pc"))

    def test_files(self):
        for path in WANTED:
            self.assertTrue((self.prefix / path).is_file(), path)
        self.assertEqual(sorted(p.name for p in self.pc.parent.parent.glob("libandiron*")),
                         ["libandiron.a", "libandiron.so", "libandiron.so.0", "libandiron.so." + self.version()])

    def version(self):
        return run("--version").stdout.decode().split()[1]

    def test_the_installed_program(self):
        done = subprocess.run([*COMMAND[:-1], self.prefix / "bin/andiron", "--version"], capture_output=True,
                              timeout=harness.LIMIT)
        self.assertEqual(done.stdout, run("--version").stdout)

    @unittest.skipUnless(shutil.which("pkg-config"), "no pkg-config")
    def test_the_example(self):
        moved = scratch / "moved"
        self.prefix.rename(moved)  # an installed tree may be moved
        try:
            self.build_and_ask(moved)
        finally:
            moved.rename(self.prefix)

    def build_and_ask(self, prefix):
        pc = prefix / self.pc.relative_to(self.prefix)
        example = ROOT / "examples/answer.c"
        flags = call("pkg-config", "--cflags", "--libs", "andiron", PKG_CONFIG_PATH=str(pc.parent)).split()
        call(COMPILER, "-std=c17", "-Wall", "-Wextra", "-Werror", example, *flags, "-o", scratch / "answer")

        def ask(*words):
            words = [*COMMAND[:-1], scratch / "answer", *words]
            return subprocess.run(words, capture_output=True, timeout=harness.LIMIT,
                                  env=harness.environment(LD_LIBRARY_PATH=str(pc.parent.parent)))

        done = ask(chat_model(), "hello")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        expected = self.ok("run", chat_model(), "hello", "--temperature", "0", "-n", "256")
        self.assertEqual(done.stdout.rstrip(), expected.rstrip())
        for words, says in (([], b"usage"), ([scratch / "none.gguf", "x"], b"none.gguf"),
                            ([harness.tiny(), "x"], b"template")):
            done = ask(*words)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(says, done.stderr)

    def test_the_header_alone(self):
        """C and C++ programs may include it first and alone."""
        for name in ("alone.c", "alone.cpp"):
            path = scratch / name
            path.write_text("#include <andiron.h>\nint main(void) { return andiron_version() == 0; }\n")
            try:
                call(COMPILER, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I",
                     self.prefix / "include", path)
            except subprocess.CalledProcessError as error:
                if name.endswith(".c") or "cc1plus" not in error.stderr:
                    raise AssertionError(error.stderr) from error


if __name__ == "__main__":
    harness.main()
