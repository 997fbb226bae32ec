"""Looking at the engine's threads from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Return once ``condition`` holds; fail if it never does."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def workers() -> list[threading.Thread]:
    """The threads that run models now."""
    return [thread for thread in threading.enumerate() if thread.name == "chatglm-slim-engine"]
