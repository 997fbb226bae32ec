"""A model whose every step the test decides."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence

from tui.assistant import Piece, Progress, Turn

DONE = Piece("", "stop", 5, 12.5)


class ScriptedAssistant:
    """Says the pieces it is given, when it is given them; remembers what it was asked."""

    def __init__(self, *, available: bool = True) -> None:
        self.asked: list[list[Turn]] = []
        self.closed = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()
        self.load_error: Exception | None = None
        self.loads = 0
        self._available = available
        self._script: queue.SimpleQueue[Piece | Exception] = queue.SimpleQueue()

    def say(self, *script: str | Piece | Exception) -> None:
        """Hand over the next pieces; an exception is raised in the middle of the reply."""
        for item in script:
            self._script.put(Piece(item) if isinstance(item, str) else item)

    def is_available(self) -> bool:
        return self._available

    def load(self, progress: Progress) -> None:
        self.loads += 1
        progress("downloading", 0, 100)
        while not self.may_load.wait(0.01):
            progress("downloading", 40, 100)
        if self.load_error is not None:
            raise self.load_error
        self._available = True

    def stream(self, turns: Sequence[Turn]) -> Generator[Piece]:
        self.asked.append(list(turns))
        try:
            while True:
                try:
                    piece = self._script.get(timeout=0.01)
                except queue.Empty:
                    piece = Piece()  # a token whose text is not final yet
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.finish_reason:
                    return
        finally:
            self.closed.set()
