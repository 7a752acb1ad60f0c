"""andiron run with one answer: what goes where, what changes the answer and what must not, and how it fails."""
import subprocess

import gguf_edit
import harness
from harness import GEMMA3, GOLDEN, SMOLLM2, Case, chat_model, run, scratch, tiny

GREEDY = ["--temperature", "0", "-n", "8"]
LONG = ["-n", "2000000", "-c", "200000", "--raw", "--logit-bias", "0=-inf"]


class Answer(Case):
    def test_stdout_holds_the_answer_alone(self):
        done = run("run", chat_model(), "hello", *GREEDY)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(),
                         r"^prompt \d+ tokens \(0 kept\), .* tokens/s; answer \d+ tokens, .* tokens/s\n$")
        self.assertTrue(done.stdout.endswith(b"\n") and len(done.stdout) > 1)

    def test_ways_to_give_the_prompt(self):
        path = scratch / "prompt"
        path.write_text("hello\n")
        expected = self.ok("run", chat_model(), "hello", *GREEDY)
        self.assertEqual(self.ok("run", chat_model(), *GREEDY, stdin=b"hello"), expected)
        self.assertEqual(self.ok("run", chat_model(), *GREEDY, stdin=b"hello\n"), expected)
        self.assertEqual(self.ok("run", *GREEDY, chat_model(), "--file", path), expected)
        self.assertEqual(self.ok("run", chat_model(), *GREEDY, "-f", "-", stdin=b"hello\n"), expected)
        self.assertEqual(self.ok("run", chat_model(), *GREEDY, "--", "hello"), expected)
        with path.open("rb") as file:
            self.assertEqual(self.ok("run", chat_model(), *GREEDY, stdin=file), expected)

    def test_the_same_answer_everywhere(self):
        base = ["run", chat_model(), "hello", "-n", "40", "--seed", "7"]
        expected = self.ok(*base)
        for more in (["-t", "1"], ["-t", "5"], ["--cpu", "ref"], ["--cpu", "ref", "-t", "3"], ["-c", "77"]):
            self.assertEqual(self.ok(*base, *more), expected, more)

    def test_the_seed_and_the_sampling_matter(self):
        base = ["run", chat_model(), "hello", "-n", "40"]
        answers = {self.ok(*base, *more) for more in (
            ["--seed", "1"], ["--seed", "2"], ["--seed", "18446744073709551615"], ["--temperature", "0"],
            ["--temperature", "0", "--repeat-penalty", "1.9"], ["--temperature", "0", "--frequency-penalty", "9"])}
        self.assertEqual(len(answers), 6)
        greedy = self.ok(*base, "--temperature", "0")
        for more in (["--top-k", "1"], ["--top-p", "0.0001"], ["--min-p", "1"]):
            self.assertEqual(self.ok(*base, *more), greedy, more)

    def test_how_an_answer_ends(self):
        base = ["run", chat_model(), "hello", "--temperature", "0", "--logit-bias", "0=-inf"]
        text = self.ok(*base, "-n", "20").decode().rstrip("\n")
        stop = text[6:8]
        self.assertEqual(self.ok(*base, "-n", "20", "--stop", stop).decode(), text[:text.index(stop)] + "\n")
        done = run(*base, "-c", "24")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"the answer was cut: the context of 24 tokens is full; --ctx N gives more\n", done.stderr)

    def test_what_a_text_about_another_begins_with(self):
        model = GOLDEN.parent / "fuzz/corpus/model/t5.gguf"
        plain, said = self.ok("run", model, "HAB", *GREEDY), self.ok("run", model, "HAB", *GREEDY, "--begin", "H")
        file = gguf_edit.Gguf(model)
        self.assertEqual(file.meta["tokenizer.ggml.tokens"][1][1][40], b"H")
        file.meta["t5.forced_bos_token_id"] = (gguf_edit.U32, 40)
        forced = file.write(scratch / "forced.gguf")
        self.assertEqual(self.ok("run", forced, "HAB", *GREEDY), said)
        self.assertEqual(self.ok("run", forced, "HAB", *GREEDY, "--begin", ""), plain)
        self.assertNotEqual(plain, said)
        self.fails("run", tiny(), "HAB", "--begin", "H", says="--begin is for models that write a text about another")

    def test_biases(self):
        forced = self.ok("run", tiny(), "hello", "-n", "3", "--logit-bias", "40=1000").decode()
        self.assertEqual(forced, "HHH\n")
        self.fails("run", tiny(), "hello", "--raw", "--logit-bias", "128=1", says=["128", "127"])

    def test_system_and_raw(self):
        plain, short, long = (self.ok("run", chat_model(), "hello", *GREEDY, *more)
                              for more in ([], ["--system", "Be short."], ["--system", "Be long."]))
        self.assertEqual(len({plain, short, long}), 3)
        raw = self.ok("run", chat_model(), *GREEDY, "--raw", "--", "<|s|>Be short.<|end|><|u|>hello<|end|><|a|>")
        self.assertEqual(raw, short)
        self.fails("run", chat_model(), "hello", "--raw", "--system", "x", says="--system needs a chat template")
        self.fails("run", tiny(), "hello", "--system", "x", says="this model has none")

    def test_content_spells_no_control_token(self):
        """A user cannot end his own message: with and without the markup in it, the template frames it the same."""
        done = run("run", chat_model(), "a<|end|><|a|>b", *GREEDY)
        self.assertEqual(done.returncode, 0)
        framed = run("run", chat_model(), *GREEDY, "--raw", "--", "<|u|>a<|end|><|a|>b<|end|><|a|>")
        self.assertNotEqual(done.stderr.split(b" tokens")[0], framed.stderr.split(b" tokens")[0])

    def test_raw_takes_every_byte(self):
        lengths = []
        for text in (b"hello", b"hello\n", b"hel\0lo"):
            done = run("run", chat_model(), *GREEDY, "--raw", stdin=text)
            self.assertEqual(done.returncode, 0, done.stderr)
            lengths.append(int(done.stderr.split()[1]))
        self.assertEqual(lengths[1], lengths[0] + 1)

    def test_a_model_without_a_template(self):
        done = run("run", tiny(), "hello", *GREEDY)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"no chat template; it continues the text as it stands (--raw)\n", done.stderr)
        self.assertEqual(done.stdout, self.ok("run", tiny(), "hello", *GREEDY, "--raw"))

    def test_every_tiny_model_answers(self):
        for path in sorted(GOLDEN.glob("*.gguf")):
            own = harness.ROOT / "examples" / (path.stem + ".arch")
            self.ok("run", path, "hello", "--raw", "-n", "3", *(["--arch", own] if own.exists() else []))

    def test_cache_types(self):
        for kind in ("f32", "f16", "q8_0"):
            self.ok("run", chat_model(), "hello", *GREEDY, "--kv-type", kind)

    def test_a_definition_of_ones_own(self):
        self.fails("run", tiny(), "hello", "--arch", scratch / "none.arch", says="none.arch")
        broken = scratch / "broken.arch"
        broken.write_text("arch llama\nblock {\n")
        self.fails("run", tiny(), "hello", "--arch", broken, says="broken.arch:2")
        own = harness.ROOT / "arch/llama.arch"
        base = ["run", tiny(), "hello", *GREEDY]
        self.assertEqual(self.ok(*base, "--arch", own), self.ok(*base))


class Failure(Case):
    def test_models_that_are_none(self):
        folder, empty, text, cut = (scratch / n for n in ("folder", "empty.gguf", "text.gguf", "cut.gguf"))
        folder.mkdir(exist_ok=True)
        empty.write_bytes(b"")
        text.write_text("once upon a time " * 100)
        cut.write_bytes(tiny().read_bytes()[:5000])
        for command in ("run", "show", "tokenize", "bench"):
            self.fails(command, scratch / "none.gguf", says=["none.gguf", "no such file", "path of a GGUF file"])
            self.fails(command, "-", says="-: there is no such file")
            self.fails(command, folder, says=["folder", "config.json"])
            self.fails(command, "", says="there is no such file")
            for path in (empty, text, cut, "/dev/null"):
                self.fails(command, path, says=str(path))

    def test_an_unknown_architecture(self):
        g = gguf_edit.Gguf(tiny())
        g.meta["general.architecture"] = (gguf_edit.STRING, b"mar\x1b[7mtian")
        path = g.write(scratch / "martian.gguf")
        text = self.fails("run", path, "hello", says=["martian.gguf", "is not known here", "--arch FILE"])
        self.assertNotIn("\x1b", text)

    def test_prompts(self):
        self.fails("run", chat_model(), "", says="the prompt is empty")
        self.fails("run", chat_model(), stdin=b"", says="the prompt is empty")
        self.fails("run", chat_model(), stdin=b"a\0b", says="NUL")
        done = run("run", tiny(), "", "--raw")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"the prompt is empty", done.stderr)
        self.fails("run", chat_model(), "-f", scratch / "none", says=["none", "No such file"])
        self.fails("run", chat_model(), "x" * 300, "-c", "64",
                   says=["the prompt has 30", "but the context holds 64", "larger --ctx"])

    def test_bytes_that_are_not_utf8(self):
        self.ok("run", chat_model(), *GREEDY, stdin=b"caf\xe9 \xff\xc3")
        self.ok("run", chat_model(), *GREEDY, b"caf\xe9")

    def test_a_context_beyond_memory(self):
        self.fails("run", GOLDEN / "gemma3.gguf", "x", "--raw", "-c", "268435456", "--kv-type", "f32",
                   says=["MiB", "available", "smaller"])

    def test_a_level_that_is_not_there(self):
        self.fails("run", tiny(), "x", "--cpu", "abacus", says="abacus")

    def test_the_reader_leaves(self):
        """head closes its end: the program stops at once, says nothing and has status 1."""
        words = [*harness.COMMAND, "run", str(chat_model()), "hello", *LONG]
        done = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=harness.environment())
        self.assertTrue(done.stdout.read(3))
        done.stdout.close()
        self.assertEqual(done.stderr.read(), b"")
        done.stderr.close()
        self.assertEqual(done.wait(harness.LIMIT), 1)

    def test_output_that_cannot_be_written(self):
        for command in (["run", chat_model(), "hello", *GREEDY], ["show", tiny()], ["tokenize", tiny(), "x"], ["help"],
                        ["run", "--help"]):
            with open("/dev/full", "wb") as full:
                words = [*harness.COMMAND, *map(str, command)]
                done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, timeout=harness.LIMIT,
                                      stdin=subprocess.DEVNULL, env=harness.environment())
            self.assertEqual((done.returncode, done.stderr),
                             (1, b"andiron: the output could not be written whole\n"), command)

    def test_streams_that_are_closed(self):
        shell = ["sh", "-c", '"$@" >&- 2>&- <&-; echo $?', "sh", *harness.COMMAND, "run", str(chat_model()), *GREEDY]
        done = subprocess.run([*shell, "hello"], capture_output=True, timeout=harness.LIMIT, env=harness.environment())
        self.assertEqual(done.stdout, b"1\n")
        out = scratch / "closed.safetensors"
        shell = ["sh", "-c", '"$@" >&- 2>&- <&-', "sh", *harness.COMMAND, "logits", str(tiny()), "--tokens", "1", "-o"]
        subprocess.run([*shell, out], check=True, timeout=harness.LIMIT, env=harness.environment())
        self.assertEqual(out.stat().st_size % 8, 0)


class RealModels(Case):
    @harness.needs(SMOLLM2)
    def test_smollm2(self):
        self.assertEqual(self.ok("run", SMOLLM2, "--raw", *GREEDY, "--", "The capital of France is"),
                         self.ok("run", SMOLLM2, "--raw", *GREEDY, "-t", "1", "--", "The capital of France is"))
        self.assertIn(b"Paris", self.ok("run", SMOLLM2, "--raw", *GREEDY, "--", "The capital of France is"))
        self.assertTrue(self.ok("run", SMOLLM2, "What is an andiron?", *GREEDY).strip())

    @harness.needs(GEMMA3)
    def test_gemma3(self):
        self.assertIn(b"France", self.ok("run", GEMMA3, "--raw", *GREEDY, "--", "The capital of France is"))


if __name__ == "__main__":
    harness.main()
