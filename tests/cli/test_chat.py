"""Conversations in a pseudo-terminal. The model's answers are noise; that they are the same noise is what is tested."""
import os
import signal

import gguf_edit
import harness
from harness import Case, chat_model, run, scratch
from terminal import Terminal

GREEDY = ["--temperature", "0", "-n", "6"]
FOREVER = ["--logit-bias", "0=-inf", "--logit-bias", "98=-inf", "--logit-bias", "99=-inf", "--logit-bias", "100=-inf"]


def answer(*args, **options):
    """What one question gives, as the terminal shows it."""
    done = run("run", chat_model(), *GREEDY, *args, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().rstrip("\n")


class Chat(Case):
    def talk(self, *args, **options):
        return Terminal("run", chat_model(), *args, **options)

    def answered(self, terminal, text):
        """The answer `text`, whole, after the echo of what was typed."""
        shown = text.replace("\n", "\r\n")
        terminal.expect(harness.re_escape(shown))

    def test_answers_and_end(self):
        for end in ("/bye\r", "/exit\r", "/quit\r", "\x04"):
            with self.talk(*GREEDY) as t:
                t.expect("/help tells")
                t.say("hello")
                self.answered(t, answer("hello"))
                t.expect(">>> $")
                t.type(end)
                self.assertEqual(t.leave(), 0, t.seen)

    def test_stdout_holds_the_answers_alone(self):
        path = scratch / "answers"
        with path.open("wb") as out, self.talk(*GREEDY, stdout=out) as t:
            t.say("hello")
            t.say("/help")
            t.say("/clear")
            t.say("hello")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertEqual(path.read_text(), 2 * (answer("hello") + "\n"))

    def test_a_conversation_remembers(self):
        """The second answer is that of the whole conversation, and so differs from the first."""
        path = scratch / "remembers"
        with path.open("wb") as out, self.talk(*GREEDY, stdout=out) as t:
            t.say("hello")
            t.say("hello")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        first = answer("hello")
        markup = f"<|u|>hello<|end|><|a|>{first}<|end|><|u|>hello<|end|><|a|>"
        self.assertEqual(path.read_text(), first + "\n" + answer("--raw", "--", markup) + "\n")

    def test_interrupting_an_answer(self):
        with self.talk("--temperature", "0", "-c", "200000", *FOREVER, "--verbose") as t:
            for text in ("hello", "there"):
                t.say(text)
                t.expect(text + "\r\n")
                t.expect("[^>]{40}")
                t.interrupt()
                tokens = int(t.expect(r"answer (\d+) tokens").group(1))
                self.assertLess(tokens, 150000)
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_interrupting_a_prompt(self):
        """A prompt of 160,000 tokens takes minutes; Ctrl-C ends that before the first token, and the talk goes on."""
        with self.talk(*GREEDY, "-c", "190000") as t:
            t.say('"""')
            for _ in range(50):
                t.expect(r"\.\.\. $")
                t.type("abcdefgh" * 400 + "\r")
            t.expect(r"\.\.\. $")
            t.type('"""\r')
            t.expect("reading the prompt: .* of 1[0-9]{5} tokens")
            t.interrupt()
            t.expect("the message is not part of the conversation")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_interrupt_at_the_prompt(self):
        with self.talk(*GREEDY) as t:
            t.expect(">>> $")
            t.type("never said")
            t.expect("never said")
            t.interrupt()  # something stood there: only that is gone
            t.expect(">>> $")
            t.interrupt()
            t.expect("Ctrl-C again")
            t.say("hello")
            self.answered(t, answer("hello"))
            t.expect(">>> $")
            t.interrupt()
            t.expect("Ctrl-C again")
            t.expect(">>> $")
            t.interrupt()
            self.assertEqual(t.leave(), 0, t.seen)

    def test_several_lines(self):
        path = scratch / "lines"
        one = answer("one\ntwo\n three")
        with path.open("wb") as out, self.talk(*GREEDY, stdout=out) as t:
            t.say("one\\")
            t.expect(r"\.\.\. $")
            t.type("two\\\r")
            t.expect(r"\.\.\. $")
            t.type(" three\r")
            for first, last in (('"""one', ' three"""'), ('"""', ' three\r"""'), ('"""one\rtwo', ' three"""')):
                t.say("/clear")
                t.say(first)
                if "one" not in first:
                    t.expect(r"\.\.\. $")
                    t.type("one\r")
                if "two" not in first:
                    t.expect(r"\.\.\. $")
                    t.type("two\r")
                t.expect(r"\.\.\. $")
                t.type(last + "\r")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        texts = path.read_text().split(one)
        self.assertGreaterEqual(len(texts) - 1, 3, path.read_text())

    def test_pasted_lines_stay_together(self):
        path = scratch / "pasted"
        with path.open("wb") as out, self.talk(*GREEDY, stdout=out) as t:
            t.say("\x1b[200~if a:\r\tb \\\r\"\"\"c\x1b[201~")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertEqual(path.read_text(), answer('if a:\n\tb \\\n"""c') + "\n")

    def test_commands(self):
        with self.talk(*GREEDY, "--system", "Be short.") as t:
            t.say("/help")
            for command in ("/help", "/clear", "/system", "/show", "/bye"):
                t.expect(f"  {command} ")
            t.say("/system")
            t.expect("Be short")
            t.say("hello")
            self.answered(t, answer("--system", "Be short.", "hello"))
            t.say("/system Be long.")
            t.expect("begins anew")
            t.say("hello")
            self.answered(t, answer("--system", "Be long.", "hello"))
            t.say("/clear")
            t.expect("begins anew")
            t.say("hello")
            self.answered(t, answer("--system", "Be long.", "hello"))
            t.say("/show")
            t.expect("architecture +llama")
            t.say("/etc/passwd")
            t.expect("there is no command '/etc/passwd'.*a space in front")
            t.say("/clear everything")
            t.expect("there is no command '/clear everything'")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_an_empty_line_says_nothing(self):
        with self.talk(*GREEDY) as t:
            t.say("")
            t.say("hello")
            self.answered(t, answer("hello"))
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)


class Editing(Case):
    def talk(self, *args, **options):
        return Terminal("run", chat_model(), *GREEDY, *args, **options)

    def test_the_arrow_recalls_and_the_history_is_kept(self):
        home = scratch / "new-home"
        home.mkdir()
        with self.talk(HOME=str(home)) as t:
            t.say("hello")
            t.expect(">>> $")
            t.type("\x1b[A")
            t.expect("hello")
            t.type("\r")
            t.say("")
            t.kill()  # a closed window must not cost the history
        kept = home / ".local/state/andiron/history"
        self.assertIn("hello", kept.read_text())
        self.assertEqual(kept.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        with self.talk(HOME=str(home)) as t:
            t.expect(">>> $")
            t.type("\x1b[A")
            t.expect("hello")
            t.type("\x03")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_a_state_folder_of_ones_own(self):
        state = scratch / "state"
        with self.talk(XDG_STATE_HOME=str(state)) as t:
            t.say("hello")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertTrue((state / "andiron/history").exists())

    def test_no_place_for_a_history(self):
        with self.talk(HOME="/proc/nowhere") as t:
            t.say("hello")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_a_line_is_edited(self):
        path = scratch / "edited"
        with path.open("wb") as out, self.talk(stdout=out) as t:
            t.say("ello\x01h\x05x\x7f")  # Home, h, End, x, Backspace
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertEqual(path.read_text(), answer("hello") + "\n")

    def test_other_bytes_than_utf8(self):
        with self.talk() as t:
            t.expect(">>> $")
            t.type(b"caf\xe9\xc3a\xff\r")
            t.expect(">>> $")
            t.type("\u00e9t\u00e9 \u65e5\u672c\r")
            t.expect("\u00e9t\u00e9 \u65e5\u672c")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_a_locale_that_is_not_there(self):
        path = scratch / "locale"
        with path.open("wb") as out, self.talk(stdout=out, LC_ALL="xx_XX.ISO-8859-1") as t:
            t.say("\u00e9")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertEqual(path.read_text(), answer("\u00e9") + "\n")

    def test_a_new_window_size(self):
        path = scratch / "resized"
        with path.open("wb") as out, self.talk(stdout=out) as t:
            t.expect(">>> $")
            t.type("he")
            t.expect("he")
            t.resize(20)
            t.process.send_signal(signal.SIGWINCH)
            t.type("llo\r")
            t.say("x" * 70)
            t.resize(200)
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertTrue(path.read_text().startswith(answer("hello") + "\n"))

    def test_a_dumb_terminal(self):
        with self.talk(TERM="dumb") as t:
            t.say("hello")
            self.assertNotIn("2004", t.seen)
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_the_window_is_closed(self):
        with self.talk() as t:
            t.expect(">>> $")
            os.close(t.main)
            t.process.wait(harness.LIMIT)
            t.main = os.open(os.devnull, os.O_RDONLY)


class Full(Case):
    """A conversation longer than its context goes on."""

    def test_the_oldest_messages_are_forgotten(self):
        path = scratch / "full"
        with path.open("wb") as out, Terminal("run", chat_model(), *GREEDY, "-c", "120", "--system", "Be.",
                                              stdout=out) as t:
            for _ in range(12):
                t.say("tell me more")
            t.expect(">>> $")
            self.assertRegex(t.seen, r"the context of 120 tokens is full: the oldest \d+ messages were forgotten")
            t.type("\r")
            t.say("x" * 200)
            t.expect(r"the prompt has 2\d\d tokens, but the context holds 120; shorten it or give a larger --ctx")
            t.expect("the message is not part of the conversation")
            t.say("tell me more")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
        self.assertGreaterEqual(path.read_text().count("\n"), 13)

    def test_an_answer_that_fills_the_context(self):
        with Terminal("run", chat_model(), "--temperature", "0", "-c", "60", *FOREVER) as t:
            t.say("hello")
            t.expect("the answer was cut: the context of 60 tokens is full")
            t.say("hello")
            t.expect("the oldest 2 messages were forgotten")
            t.expect("the answer was cut")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def test_without_a_template(self):
        with Terminal("run", harness.tiny(), *GREEDY) as t:
            t.expect("no chat template")
            for _ in range(8):
                t.say("once upon a time there was")
            t.expect(">>> $")
            self.assertIn("the older half of the text was forgotten", t.seen)
            t.type("\r")
            t.say("/system Be short.")
            t.expect("needs a chat template")
            t.say("/clear")
            t.say("hello")
            self.answered_raw(t)
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)

    def answered_raw(self, t):
        shown = run("run", harness.tiny(), *GREEDY, "hello").stdout.decode().rstrip("\n")
        t.expect(harness.re_escape(shown))


class Refused(Case):
    def test_a_template_that_refuses(self):
        """A message that cannot be said is told and taken back."""
        template = "{% for m in messages %}{{ m.content }}{{ raise_exception('no') if 'bad' in m.content }}{% endfor %}"
        path = gguf_edit.write_chat_model(harness.GOLDEN / "llama.gguf", scratch / "refuses.gguf", template=template)
        with Terminal("run", path, *GREEDY) as t:
            t.say("bad")
            t.expect("andiron: .*no")
            t.expect("not part of the conversation")
            t.say("good")
            t.say("/bye")
            self.assertEqual(t.leave(), 0, t.seen)
            self.assertEqual(t.seen.count("andiron: "), 1, t.seen)


if __name__ == "__main__":
    harness.main()
