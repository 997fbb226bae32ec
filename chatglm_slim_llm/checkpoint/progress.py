"""How long-running work says how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and with bytes done and bytes in all."""


class Meter:
    """Adds up the bytes of one job and passes the sum on."""

    def __init__(self, progress: Progress | None, what: str, total_bytes: int) -> None:
        self._progress, self._what, self._total_bytes, self._done_bytes = progress, what, total_bytes, 0
        self.advance(0)

    def advance(self, size_bytes: int) -> None:
        """Report that so many more bytes are done."""
        self._done_bytes += size_bytes
        if self._progress is not None:
            self._progress(self._what, self._done_bytes, self._total_bytes)
