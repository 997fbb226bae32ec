"""What the code of others prints goes to stderr: stdout is for answers, which scripts read."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ASIDE = threading.local()


@contextmanager
def printing_aside() -> Iterator[None]:
    """Meanwhile this thread prints to stderr. Other threads, and one that never comes back, disturb nobody."""
    if sys.stdout is not None and not isinstance(sys.stdout, _Divided):
        sys.stdout = _Divided(sys.stdout)
    depth = getattr(_ASIDE, "depth", 0)
    _ASIDE.depth = depth + 1
    try:
        yield
    finally:
        _ASIDE.depth = depth


class _Divided:
    """Standard output, but standard error for threads that are aside; all else is that of standard output."""

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if getattr(_ASIDE, "depth", 0) else self._stdout, name)
