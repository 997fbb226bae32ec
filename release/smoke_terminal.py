"""The terminal in a real pseudo-terminal: its first screen, and one message answered."""

from __future__ import annotations

import time
from contextlib import suppress

import pexpect
import pyte

from release.environment import Environment, SmokeError, want

_COLUMNS, _ROWS = 100, 30
_QUIT, _ENTER = "\x11", "\r"


def terminal(place: Environment) -> str:
    """It starts, shows the choice of a model, answers, and ends when it is told to."""
    screen = _Screen(place)
    try:
        screen.until("demo model")  # the first start asks which
        screen.send(_ENTER)
        screen.until("ready")
        screen.send("你好" + _ENTER)
        text = screen.until("tokens/s")
        want(text.count("你好") >= 2, f"the terminal shows no answer:\n{text}")
        screen.send(_QUIT)
        screen.program.expect(pexpect.EOF, timeout=30)
        screen.program.close()
        want(screen.program.exitstatus == 0, f"the terminal ended with {screen.program.exitstatus}")
    finally:
        screen.program.close(force=True)
    return "answered"


class _Screen:
    """What a person sees."""

    def __init__(self, place: Environment) -> None:
        self.program = pexpect.spawn(
            place.program("chatglm-tui"), env=place.environ, cwd=str(place.folder), dimensions=(_ROWS, _COLUMNS)
        )
        self._screen = pyte.Screen(_COLUMNS, _ROWS)
        self._stream = pyte.ByteStream(self._screen)

    def send(self, keys: str) -> None:
        self.program.send(keys)

    def until(self, words: str, *, timeout_s: float = 60) -> str:
        """The screen, once these words are on it."""
        deadline = time.monotonic() + timeout_s
        while words not in (text := self._read()):
            if time.monotonic() > deadline or not self.program.isalive():
                raise SmokeError(f"{words!r} does not come up in the terminal:\n{text}")
        return text

    def _read(self) -> str:
        with suppress(pexpect.TIMEOUT, pexpect.EOF):
            self._stream.feed(self.program.read_nonblocking(1 << 16, timeout=0.2))
        return "\n".join(line.rstrip() for line in self._screen.display)
