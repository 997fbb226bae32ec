"""The terminal's end in a served session: where the server goes, however it ends, the session goes too."""

from __future__ import annotations

import asyncio
import os
import threading

from textual import messages
from textual.drivers.web_driver import WebDriver

_GRACE_S = 5.0


class ServedDriver(WebDriver):
    """Textual's driver for the web, which alone would go on without anyone to talk to."""

    def start_application_mode(self) -> None:
        self._loop = asyncio.get_running_loop()
        super().start_application_mode()

    def run_input_thread(self) -> None:
        """Read until the app ends or the server does; the kernel closes its pipes even after ``kill -9``."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        last_resort = threading.Timer(_GRACE_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        asyncio.run_coroutine_threadsafe(self._app._post_message(messages.ExitApp()), self._loop)

    def write(self, data: str) -> None:
        """Nobody reads any more once the server is gone; that must not keep the app from saving."""
        try:
            super().write(data)
        except BrokenPipeError:
            return

    def write_meta(self, data: dict[str, object]) -> None:
        """The same for what is told to the server."""
        try:
            super().write_meta(data)
        except BrokenPipeError:
            return
