"""When a reply should end although the model would go on."""

from __future__ import annotations

import threading
import time

from chatglm_slim_llm.errors import GenerationError


class ReplyTimeoutError(GenerationError, TimeoutError):
    """The reply took longer than ``timeout`` seconds; its computation has ended."""


class Until(threading.Event):
    """Set once somebody cancels, or by itself once the time is over."""

    def __init__(self, timeout_s: float | None, cancel: threading.Event) -> None:
        super().__init__()
        self._timeout_s, self._cancel = timeout_s, cancel
        self._ends_s = None if timeout_s is None else time.monotonic() + timeout_s

    def is_set(self) -> bool:
        """Whether the reply should end."""
        return self._cancel.is_set() or self._is_over_time()

    def _is_over_time(self) -> bool:
        return self._ends_s is not None and time.monotonic() > self._ends_s

    def want_time(self) -> None:
        """Raise `ReplyTimeoutError` if the time is over."""
        if self._is_over_time():
            raise ReplyTimeoutError(
                f"the reply was not ready within timeout={self._timeout_s:g} seconds; allow more, or fewer max_tokens"
            )

    def check_loading(self, _what: str, _done_bytes: int, _total_bytes: int) -> None:
        """A progress callback that breaks off the loading of weights that nobody waits for any more."""
        self.want_time()
        if self.is_set():
            raise GenerationError("the reply was cancelled while the weights were loading")
