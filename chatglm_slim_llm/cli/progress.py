"""One line on a terminal that says how far a long job is, how fast and how long it will still take."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

from chatglm_slim_llm.hosting.amounts import Pace, size_text

_CLEAR_TO_END = "\r\x1b[K"
_FIRST_AFTER_S = 0.5
_EVERY_S = 0.1


class ProgressLine:
    """A ``Progress`` that repaints one line of ``stream``; it shows nothing if that is not a terminal.

    The speed is that of the last seconds, and a part that was there before does not count.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_shown = self._stream.isatty()
        self._what = ""
        self._now_s = 0.0
        self._pace = Pace(lambda: self._now_s)
        self._next_paint_s = time.monotonic() + _FIRST_AFTER_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._is_shown:
            self._stream.write(_CLEAR_TO_END)
            self._stream.flush()

    def __call__(self, what: str, done_bytes: int, total_bytes: int) -> None:
        now_s = self._now_s = time.monotonic()
        is_new, self._what = what != self._what, what
        if not self._is_shown or (now_s < self._next_paint_s and not is_new):
            return
        bytes_per_s = self._pace.per_s(what, done_bytes)
        if now_s >= self._next_paint_s:
            self._next_paint_s = now_s + _EVERY_S
            self.show(progress_text(what, done_bytes, total_bytes, bytes_per_s))

    def show(self, text: str) -> None:
        """Say something else on the line, at once."""
        if not self._is_shown:
            return
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(_CLEAR_TO_END + text[:width])
        self._stream.flush()


def progress_text(what: str, done_bytes: int, total_bytes: int, bytes_per_s: float) -> str:
    """Such as ``downloading 45 %, 6.2 GB of 13.4 GB, 85 MB/s, 1 min 25 s left``."""
    percent = 100 * done_bytes // total_bytes if total_bytes else 100
    text = f"{what} {percent} %, {size_text(done_bytes)} of {size_text(total_bytes)}"
    if bytes_per_s <= 0:
        return text
    left_s = max(total_bytes - done_bytes, 0) / bytes_per_s
    return f"{text}, {size_text(round(bytes_per_s))}/s, {time_text(left_s)} left"


def time_text(seconds: float) -> str:
    """Such as ``0.8 s``, ``42 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
