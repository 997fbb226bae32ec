"""Work that takes longer than a key press, beside the screen.

Daemon threads of our own, not Textual's workers: those are waited for when the app ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message_pump import MessagePump

Result = TypeVar("Result")


def in_background(
    node: MessagePump, work: Callable[[], Result], then: Callable[[Result], None], failed: Callable[[str], None]
) -> None:
    """Run ``work`` in a thread; its result, or the sentence of its error, is handed over in the screen's own thread."""

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # who reads files may raise anything, and what a thread raises nobody would see
            reason = str(error).strip() or type(error).__name__
            node.call_later(lambda: failed(reason))
        else:
            node.call_later(lambda: then(result))

    threading.Thread(target=run, name="background", daemon=True).start()
