"""Helps, the man page, the completions, and every way to use the program wrongly."""
import json
import re
import shutil
import subprocess
import sys
import unittest

import harness
from harness import COMMANDS, ROOT, Case, run, tiny


class Help(Case):
    def test_overview(self):
        for words in (["help"], ["--help"], ["-h"], ["help", "--help"]):
            text = self.ok(*words).decode()
            for command in COMMANDS:
                self.assertRegex(text, rf"(?m)^  {command} +\w")
            self.assertIn("Examples:", text)

    def test_without_a_command(self):
        done = run()
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn(b"Commands:", done.stderr)

    def test_version(self):
        version = re.search(r'#define ANDIRON_VERSION "(.*)"', (ROOT / "include/andiron.h").read_text()).group(1)
        for word in ("--version", "version"):
            self.assertEqual(self.ok(word).decode(), f"andiron {version}\n")

    def test_every_command_has_help_with_examples(self):
        dump = json.loads(self.ok("help", "--dump"))
        self.assertEqual([c["name"] for c in dump["commands"]], COMMANDS)
        for command in dump["commands"]:
            name = command["name"]
            text = self.ok(name, "--help").decode()
            self.assertEqual(self.ok(name, "-h").decode(), text)
            self.assertEqual(self.ok("help", name).decode(), text)
            self.assertEqual(self.ok(name, "model.gguf", "--nonsense", "--help").decode(), text)
            self.assertIn(f"Usage: andiron {name} [options] {command['arguments']}\n", text)
            examples = text.split("Examples:\n")[1]
            self.assertRegex(examples, rf"^(  andiron {name} .*\n)+$")
            for option in command["options"]:
                self.assertRegex(text, rf"(?m)^  (-{option['letter']}, |    )--{option['name']}( [^ ]+)?  +\w")
            self.assertLessEqual(max(map(len, text.splitlines())), 120)

    def test_options_in_examples_exist(self):
        dump = json.loads(self.ok("help", "--dump"))
        for command in dump["commands"]:
            known = {"--" + o["name"] for o in command["options"]} | {"-" + o["letter"] for o in command["options"]}
            for word in re.findall(r"(?<=\s)--?[a-z][a-z-]*", command["examples"]):
                self.assertIn(word, known, command["name"])

    def test_the_issue_names_these(self):
        """The options that users were promised."""
        promised = {
            "run": "system raw temperature top-k top-p min-p repeat-penalty seed ctx threads cpu math mmap arch "
                   "kv-type",
            "show": "metadata tensors graph json ctx", "tokenize": "detokenize special pieces",
            "logits": "tokens prompt ubatch decode output", "perplexity": "ctx", "embed": "lines pooling raw tokens",
            "convert": "type force",
            "import": "type trust-remote-code",
            "bench": "prompt depth sequences json"}
        dump = json.loads(self.ok("help", "--dump"))
        for command in dump["commands"]:
            have = {o["name"] for o in command["options"]}
            self.assertEqual(set(promised[command["name"]].split()) - have, set())
        letters = {c["name"]: {o["letter"] for o in c["options"]} for c in dump["commands"]}
        self.assertTrue({"n"} <= letters["run"] and {"o"} <= letters["logits"] and {"p", "n"} <= letters["bench"])


class Documents(Case):
    def test_man_page_and_completions_agree(self):
        done = subprocess.run([sys.executable, ROOT / "tools/cli_docs.py", " ".join(harness.COMMAND), "--check"],
                              capture_output=True, text=True, timeout=harness.LIMIT)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_completions_parse(self):
        for shell, name in (("bash", "andiron.bash"), ("zsh", "_andiron"), ("fish", "andiron.fish")):
            if shutil.which(shell):
                subprocess.run([shell, "-n", ROOT / "apps/cli/completions" / name], check=True, timeout=harness.LIMIT)

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_bash_completes(self):
        script = (f"source {ROOT}/apps/cli/completions/andiron.bash; COMP_WORDS=(andiron run m.gguf --kv-type '');"
                  "COMP_CWORD=4; _andiron; echo ${COMPREPLY[@]}; COMP_WORDS=(andiron be); COMP_CWORD=1; _andiron;"
                  "echo ${COMPREPLY[@]}; COMP_WORDS=(andiron logits --dec); COMP_CWORD=2; _andiron;"
                  "echo ${COMPREPLY[@]}")
        done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=harness.LIMIT)
        self.assertEqual(done.stdout.splitlines(), ["f32 f16 q8_0", "bench", "--decode"])


class Usage(Case):
    def test_unknown_words(self):
        self.misused("fly", says="'fly'")
        self.misused("help", "fly", says="'fly'")
        for command in COMMANDS:
            self.misused(command, "--nonsense", says=[command, "'--nonsense'"])
            self.misused(command, "-Z", says="'-Z'")

    def test_too_few_and_too_many_arguments(self):
        for command in COMMANDS:
            self.misused(command, says="MODEL")
            self.misused(command, "a", "b", "c", says="one argument too many")
        self.misused("run", tiny(), "Why", "is", says="quote")

    def test_a_dash_begins_an_option_until_two_dashes(self):
        self.misused("tokenize", tiny(), "-5", says="goes after --")
        self.assertEqual(self.ok("tokenize", tiny(), "--", "-5"), self.ok("tokenize", tiny(), stdin=b"-5"))
        self.assertEqual(self.ok("tokenize", "--", tiny(), "--help"), self.ok("tokenize", tiny(), stdin=b"--help"))

    def test_values(self):
        self.misused("run", tiny(), "x", "-n", says="'-n' wants a value")
        self.misused("run", tiny(), "x", "-n", "0", says=["from 1 to 268435456", "'0'"])
        self.misused("run", tiny(), "x", "-n", "1.5", says="whole number")
        self.misused("run", tiny(), "x", "-n", "99999999999999999999", says="whole number")
        self.misused("run", tiny(), "x", "--temperature", "hot", says="a number from 0 to 100")
        self.misused("run", tiny(), "x", "--temperature=nan", says="a number from 0 to 100")
        self.misused("run", tiny(), "x", "--top-p", "1.1", says="from 0 to 1")
        self.misused("run", tiny(), "x", "--seed", "-1", says="whole number")
        self.misused("run", tiny(), "x", "--kv-type", "f64", says="f32|f16|q8_0")
        self.misused("run", tiny(), "x", "--raw=yes", says="takes no value")
        self.misused("run", tiny(), "x", "--logit-bias", "5", says="ID=BIAS")
        self.misused("run", tiny(), "x", *["--stop=x"] * 65, says="64 times")
        self.misused("run", tiny(), "x", "--file", "y", says="--file")
        self.misused("tokenize", tiny(), "x", "--file", "y", says="--file")
        self.misused("tokenize", tiny(), "-d", "--pieces", "1", says="--pieces")
        self.misused("logits", tiny(), "-o", "x", says="--tokens or --prompt")
        self.misused("logits", tiny(), "-o", "x", "--tokens", "1", "--prompt", "x", says="--tokens or --prompt")
        self.misused("logits", tiny(), "--tokens", "1", says="-o FILE")
        self.misused("logits", tiny(), "--tokens", "1", "-o", "x", "--beside", "4", "--ubatch", "4", says="--ubatch")
        self.misused("bench", tiny(), "--sequences", "9", "--ubatch", "8", says="--ubatch")

    def test_forms_of_a_value(self):
        words = ["run", tiny(), "hello", "--temperature", "0"]
        answers = {self.ok(*words, *form) for form in (["-n", "3"], ["-n3"], ["--max-tokens", "3"], ["--max-tokens=3"])}
        self.assertEqual(len(answers), 1)


if __name__ == "__main__":
    harness.main()
