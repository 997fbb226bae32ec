"""What the terminal sends, read a little better than Textual does.

Textual reads a paste key by key once it holds an escape character, so that a line end in it would send the prompt;
and it does not tell Alt+Enter from Enter where terminals send it as Escape and Enter.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import Any

from textual._xterm_parser import BRACKETED_PASTE_END as _END
from textual._xterm_parser import BRACKETED_PASTE_START as _START
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.events import Key, Paste
from textual.message import Message


def read_pastes_whole(app: App[Any]) -> None:
    """Let the terminal of ``app`` be read by ``PromptParser``; call it before the app runs."""
    module = sys.modules[app.driver_class.__module__]
    if hasattr(module, "XTermParser"):
        setattr(module, "XTermParser", PromptParser)  # noqa: B010  (no type checker knows that it is there)


class PromptParser(XTermParser):
    """Textual's parser, for which a paste is text whatever it holds, and Alt+Enter is a key of its own."""

    _pasted: str | None = None
    """What has arrived of a paste; ``None`` outside one."""
    _tail = ""
    """The end of what was typed last: the mark of a paste may come in two parts."""

    def feed(self, data: str) -> Iterable[Message]:
        if not data:
            yield from super().feed(data)
        while data:
            data = (yield from self._feed_typed(data)) if self._pasted is None else (yield from self._feed_pasted(data))

    def _feed_typed(self, data: str) -> Generator[Message, None, str]:
        typed, mark, rest = (self._tail + data).partition(_START)
        # the mark goes to Textual too, which may be in the middle of it, and is closed there at once
        known, self._tail = len(self._tail), "" if mark else typed[1 - len(_START) :]
        for event in super().feed((typed + mark + _END * bool(mark))[known:]):
            if not isinstance(event, Paste):
                yield event
        self._pasted = "" if mark else None
        return rest

    def _feed_pasted(self, data: str) -> Generator[Message, None, str]:
        before = self._pasted or ""
        self._pasted = before + data
        end = self._pasted.find(_END, max(len(before) - len(_END), 0))
        if end < 0:
            return ""
        pasted, self._pasted = self._pasted, None
        yield Paste(pasted[:end].replace("\x00", ""))
        return pasted[end + len(_END) :]

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        if sequence == "\x1b\r":
            return [Key("alt+enter", None)]
        return super()._sequence_to_key_events(sequence, alt)
