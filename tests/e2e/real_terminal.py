"""The installed ``chatglm-tui`` in a pseudo-terminal, and what a person would see there."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
import pyte

QUIT = "\x11"
ESCAPE = "\x1b"


class Terminal:
    """A screen of 100 by 30 that a program draws on."""

    def __init__(self, home: Path, *arguments: str, columns: int = 100, rows: int = 30) -> None:
        program = shutil.which("chatglm-tui", path=str(Path(sys.executable).parent))
        assert program, "chatglm-tui is not installed beside this Python"
        environ = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "CHATGLM_SLIM_HOME": str(home),
            "HF_HOME": str(home / "hub"),
            "HF_HUB_OFFLINE": "1",
        }
        self.process = pexpect.spawn(program, [*arguments], env=environ, dimensions=(rows, columns), timeout=60)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def read(self) -> str:
        """What the screen shows now."""
        with suppress(pexpect.TIMEOUT, pexpect.EOF):
            self._stream.feed(self.process.read_nonblocking(1 << 16, timeout=0.02))
        return "\n".join(self._screen.display)

    def send(self, keys: str) -> None:
        self.process.send(keys)

    def until(self, holds: Callable[[str], object], *, timeout_s: float = 60) -> str:
        """Wait until the screen is as wanted."""
        deadline = time.monotonic() + timeout_s
        while not holds(text := self.read()):
            assert time.monotonic() < deadline, f"not on the screen in time:\n{text}"
        return text

    def quit(self) -> float:
        """Press Ctrl+Q; returns how long the program took to end."""
        started = time.monotonic()
        self.send(QUIT)
        self.process.expect(pexpect.EOF)
        self.process.wait()
        return time.monotonic() - started

    def cpu_s(self) -> float:
        """CPU time that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def terminal(home: Path, *arguments: str) -> Iterator[Terminal]:
    """Run ``chatglm-tui`` with its files below ``home``; it is gone afterwards, whatever happened."""
    opened = Terminal(home, *arguments)
    try:
        yield opened
    finally:
        opened.process.close(force=True)
