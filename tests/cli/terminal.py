"""terminal.py - the program in a pseudo-terminal, and a person who types."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import harness

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07")


class Terminal:
    """`seen` is all that came from the program. `expect` waits for a pattern after what was expected last."""

    def __init__(self, *args, stdout=None, columns=100, **env):
        self.main, side = pty.openpty()
        self.resize(columns)
        words = [*harness.COMMAND, *map(str, args)]
        self.process = subprocess.Popen(words, stdin=side, stdout=stdout or side, stderr=side, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env=harness.environment(**env))
        os.close(side)
        self.seen, self.at = "", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)

    def resize(self, columns, rows=40):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_some(self, seconds):
        """False at the end or when nothing came."""
        if not select.select([self.main], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.main, 1 << 16)
        except OSError:
            return False
        self.seen = CONTROLS.sub("", self.seen + data.decode(errors="replace"))
        return bool(data)

    def expect(self, pattern):
        """The match of `pattern`; AssertionError with what there was instead at the end or the limit."""
        until = time.monotonic() + harness.LIMIT
        while True:
            match = re.search(pattern, self.seen[self.at:])
            if match:
                self.at += match.end()
                return match
            if time.monotonic() > until or (not self.read_some(1) and self.process.poll() is not None and
                                            not self.read_some(0)):
                raise AssertionError(f"{pattern!r} did not come; there was {self.seen[self.at:]!r}")

    def type(self, text):
        os.write(self.main, text.encode() if isinstance(text, str) else text)

    def say(self, text):
        """Type a line, once the program is ready for one."""
        self.expect(r">>> $")
        self.type(text + "\r")

    def interrupt(self):
        self.type("\x03")

    def leave(self):
        """Wait for the end; the exit status."""
        while self.read_some(harness.LIMIT):
            pass
        return self.process.wait(harness.LIMIT)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
