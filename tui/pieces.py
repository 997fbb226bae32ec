"""Pieces of a reply on their way from the model's thread to the screen's.

Hundreds may come in a second, and each message costs the screen more than the piece it carries: one is told of, and
those that follow wait with it until the screen takes them all.
"""

from __future__ import annotations

import threading

from tui.messages import ReplyDelta


class Pieces:
    """What has come and is not shown yet. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[ReplyDelta] = []

    def put(self, piece: ReplyDelta) -> bool:
        """Add a piece; returns whether it is the first to wait, so that someone must be told."""
        with self._lock:
            self._waiting.append(piece)
            return len(self._waiting) == 1

    def take(self) -> list[ReplyDelta]:
        """All that wait, in order."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken
