"""Bytes and seconds as people read them, and how fast something goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from tui.language import tr

_WINDOW_S = 10.0


def size_text(size_bytes: float) -> str:
    """Such as ``870 B``, ``2.7 MB`` or ``13.4 GB``, in powers of 1000 as disks are sold."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 999.5 or unit == "TB":
            break
    return f"{size_bytes:.{0 if size_bytes >= 99.5 else 1}f} {unit}"


def time_text(seconds: float) -> str:
    """Such as ``42 s``, ``19 min`` or ``2 h 10 min``."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return tr("{count} s", count=whole)
    minutes = round(seconds / 60)
    if minutes < 60:
        return tr("{count} min", count=minutes)
    return tr("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


class Pace:
    """How fast something grows, over the last seconds: what was there at the start does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what = ""
        self._samples: deque[tuple[float, int]] = deque()

    def per_s(self, what: str, done: int) -> float:
        """Take note that so much of ``what`` is done; returns the speed, 0 before there is one."""
        if what != self._what:
            self._what = what
            self._samples.clear()
        now_s = self._clock()
        self._samples.append((now_s, done))
        while now_s - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()
        start_s, start = self._samples[0]
        return max(done - start, 0) / (now_s - start_s) if now_s - start_s >= 0.5 else 0.0
