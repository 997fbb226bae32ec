"""What the terminal sends, read a little better than Textual does.

Textual reads a paste key by key once it holds an escape character, so that a line end in it would send the prompt;
and it does not tell Alt+Enter from Enter where terminals send it as Escape and Enter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.app import App
from textual.events import Key, Paste
from textual.message import Message


def read_pastes_whole(app: App[object]) -> None:
    """Let the terminal of ``app`` be read by ``PromptParser``; call it before the app runs."""
    module = sys.modules[app.driver_class.__module__]
    if hasattr(module, "XTermParser"):
        module.XTermParser = PromptParser


class PromptParser(XTermParser):
    """Textual's parser, for which a paste is text whatever it holds, and Alt+Enter is a key of its own."""

    _pasted: str | None = None

    def feed(self, data: str) -> Iterable[Message]:
        if not data:
            yield from super().feed(data)
        while data:
            if self._pasted is None:
                typed, mark, data = data.partition(BRACKETED_PASTE_START)
                if typed:
                    yield from super().feed(typed)
                self._pasted = "" if mark else None
            else:
                searched = max(len(self._pasted) - len(BRACKETED_PASTE_END), 0)
                self._pasted, data = self._pasted + data, ""
                end = self._pasted.find(BRACKETED_PASTE_END, searched)
                if end >= 0:
                    data = self._pasted[end + len(BRACKETED_PASTE_END) :]
                    yield Paste(self._pasted[:end].replace("\x00", ""))
                    self._pasted = None

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        if sequence == "\x1b\r":
            return [Key("alt+enter", None)]
        return super()._sequence_to_key_events(sequence, alt)
