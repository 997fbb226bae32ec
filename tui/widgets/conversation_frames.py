"""When a conversation shows what has come: at once after a rest, else a few times a second.

A frame is drawn by the event loop itself. Textual's timers and messages would say the same, and each costs the screen
more than most frames do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context

from textual.widget import Widget

_FRAME_S = 0.05
_MAX_FRAME_S = 0.1  # nobody waits longer for what has come
_MIN_DELAY_S = 0.01
_FRAME_SHARE = 0.03  # of one core, for what streams in


class Frames:
    """The frames of one widget, which draws what is new when it is told to."""

    def __init__(self, widget: Widget, draw: Callable[[], None]) -> None:
        self._widget, self._draw = widget, draw
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._next: asyncio.TimerHandle | None = None
        self._before: list[Callable[[], None]] = []
        self._frame_s = _FRAME_S
        self._began = (0.0, 0.0)  # by the clock, and in CPU time

    def begin(self) -> None:
        """The widget is there: from now on there are frames, drawn as if it had been sent a message."""
        self._loop, self._context = asyncio.get_running_loop(), copy_context()

    def ask(self, before: Callable[[], None] | None = None) -> None:
        """There is something to show; ``before`` is called just before it is, and what it tells is shown with it."""
        if before is not None:
            self._before.append(before)
        if self._next is None and self._loop is not None and self._widget.is_attached:
            delay = max(self._began[0] + self._frame_s - time.monotonic(), _MIN_DELAY_S)
            self._next = self._loop.call_later(delay, self._show, context=self._context)

    def ask_from_any_thread(self, before: Callable[[], None]) -> None:
        """The same for those who are not on the screen's thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the app has ended
                self._loop.call_soon_threadsafe(self.ask, before, context=self._context)

    def _show(self) -> None:
        app = self._widget.app
        try:
            self._frame_s = self._length_s()
            tasks, self._before = self._before, []
            if self._widget.is_running and self._widget.is_attached:
                for do in tasks:
                    do()
                self._next = None  # what they told is drawn now
                self._draw()
        except Exception as error:  # as Textual does around whatever it calls
            app._handle_exception(error)
        finally:
            self._next = None

    def _length_s(self) -> float:
        """Frames come less often where they, or what else this thread does, take much of a core."""
        now, used = time.monotonic(), time.thread_time()
        (before, used_before), self._began = self._began, (now, used)
        if now - before > 1:  # it was not frames that took the time between
            return _FRAME_S
        return min(max((used - used_before) / _FRAME_SHARE, _FRAME_S), _MAX_FRAME_S)
