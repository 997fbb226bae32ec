"""The installed ``chatglm-tui`` in a pseudo-terminal, and what a person would see there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
import pyte

QUIT = "\x11"
ESCAPE = "\x1b"
ALT_ENTER = "\x1b\r"
PASTE = "\x1b[200~", "\x1b[201~"


class Terminal:
    """A screen that a program draws on."""

    def __init__(
        self, home: Path, *arguments: str, size: tuple[int, int] = (100, 30), environ: Mapping[str, str] | None = None
    ) -> None:
        columns, rows = size
        program = shutil.which("chatglm-tui", path=str(Path(sys.executable).parent))
        assert program, "chatglm-tui is not installed beside this Python"
        around = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "2",
            "CHATGLM_SLIM_HOME": str(home),
            "HF_HOME": str(home / "hub"),
            "HF_HUB_OFFLINE": "1",
            **(environ or {}),
        }
        self.process = pexpect.spawn(program, [*arguments], env=around, dimensions=(rows, columns), timeout=60)
        self.process.delaybeforesend = None
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._text, self._is_new = "", True

    def read(self) -> str:
        """What the screen shows once the program rests for a moment, or has drawn long enough to look at it."""
        for timeout_s in (0.05, *[0.005] * 20):
            if not self._draw(timeout_s):
                break
        if self._is_new:  # laying out the lines costs more than reading them
            self._text, self._is_new = "\n".join(self._screen.display), False
        return self._text

    def _draw(self, timeout_s: float) -> bool:
        with suppress(pexpect.TIMEOUT, pexpect.EOF):
            self._stream.feed(self.process.read_nonblocking(1 << 16, timeout=timeout_s))
            self._is_new = True
            return True
        return False

    def send(self, keys: str) -> None:
        """Type; what the program draws meanwhile is read, as a terminal does."""
        left = keys.encode()
        while left:
            left = left[self.process.send(left[:4000]) :]
            self._draw(timeout_s=0)

    def paste(self, text: str) -> None:
        """Paste in brackets, as terminals do where the program asked for it."""
        self.send(text.join(PASTE))

    def resize(self, columns: int, rows: int) -> None:
        """Drag the corner of the window."""
        self._screen.resize(rows, columns)
        self._screen.reset()
        self._is_new = True
        self.process.setwinsize(rows, columns)

    def until(self, holds: Callable[[str], object], *, timeout_s: float = 60) -> str:
        """Wait until the screen is as wanted."""
        deadline = time.monotonic() + timeout_s
        while not holds(text := self.read()):
            assert time.monotonic() < deadline, f"not on the screen in time:\n{text}"
        return text

    def until_shown(self, *words: str) -> str:
        """Wait until all of these are on the screen."""
        return self.until(lambda text: all(each in text for each in words))

    def quit(self) -> float:
        """Press Ctrl+Q; returns how long the program took to end."""
        started = time.monotonic()
        self.send(QUIT)
        self.process.expect(pexpect.EOF)
        self.process.wait()
        return time.monotonic() - started

    def kill(self) -> None:
        """End the program without a word, as the kernel does when memory is short."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def cpu_s(self) -> float:
        """CPU time that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def children(self) -> list[int]:
        """The processes that the program has started and that still run, and theirs."""
        listed = subprocess.run(["ps", "-Ao", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in listed.splitlines()]
        found = [self.process.pid]
        for pid in found:
            found += [int(row[0]) for row in rows if int(row[1]) == pid and not row[2].startswith("Z")]
        return found[1:]


def are_gone(pids: list[int], *, timeout_s: float = 10) -> bool:
    """Whether all of these processes end, within a while."""
    deadline = time.monotonic() + timeout_s
    while left := [pid for pid in pids if _runs(pid)]:
        if time.monotonic() > deadline:
            return False
        pids = left
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.strip().startswith("Z")


@contextmanager
def terminal(
    home: Path, *arguments: str, size: tuple[int, int] = (100, 30), environ: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run ``chatglm-tui`` with its files below ``home``; it is gone afterwards, whatever happened."""
    opened = Terminal(home, *arguments, size=size, environ=environ)
    try:
        yield opened
    finally:
        opened.process.close(force=True)
