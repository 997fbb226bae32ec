"""The end that comes from outside: the terminal was closed, or the system asks the program to end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from textual.app import App

_GRACE_S = 3.0
"""How long the end may take; a terminal that is gone takes no more output, which can hold it up."""


def end_when_asked(app: App[Any], keep: Callable[[], None]) -> None:
    """On SIGHUP and SIGTERM call ``keep``, then end as when one quits; call this in the app's loop."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        keep()
        last_resort = threading.Timer(_GRACE_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        app.exit()

    for name in ("SIGHUP", "SIGTERM"):
        with suppress(AttributeError, NotImplementedError):  # Windows has neither
            loop.add_signal_handler(getattr(signal, name), end)
