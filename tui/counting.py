"""Counting what is typed: the newest question alone, once the keys rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chatglm_slim_llm.hosting.assistant import Request

REST_S = 0.15

Wanted = tuple[int | None, Request]


class Counter:
    """Runs one count at a time; one that has not begun gives way to a newer one.

    Args:
        count: does it, and may take long.
        start: runs a function in a thread.
    """

    def __init__(
        self, count: Callable[[int | None, Request], None], start: Callable[[Callable[[], None]], None]
    ) -> None:
        self._count_now, self._start = count, start
        self._lock = threading.Lock()
        self._wanted: Wanted | None = None
        self._is_running = False

    def ask(self, conversation_id: int | None, request: Request) -> None:
        """Have this counted next; never waits."""
        with self._lock:
            self._wanted = (conversation_id, request)
            if self._is_running:
                return
            self._is_running = True
        self._start(self._count)

    def _count(self) -> None:
        while True:
            time.sleep(REST_S)
            wanted = self._take()
            if wanted is None:
                return
            self._count_now(*wanted)

    def _take(self) -> Wanted | None:
        """The newest; with none left the thread ends, and the next question starts another."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._is_running = wanted is not None
            return wanted
