"""The box above the history where people type what they look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from tui.language import tr

_REST_S = 0.12


class HistorySearch(Input):
    """One line; the list below follows once the keyboard rests, and Up and Down move in it."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    HistorySearch.-textual-compact { padding: 0 1; margin: 0 1 1 1; background: $surface; }
    History.-low HistorySearch.-textual-compact,
    .-accessible HistorySearch.-textual-compact { margin: 0; padding: 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="history.search_open", tooltip="Open what is marked in the history"),
        Binding("escape", "leave", "Clear", id="history.search_leave", tooltip="Clear the search, then leave it"),
        Binding("up", "step(-1)", "Up", show=False, id="history.search_up", tooltip="The conversation above"),
        Binding("down", "step(1)", "Down", show=False, id="history.search_down", tooltip="The conversation below"),
    ]

    @dataclass
    class Asked(Message):
        """These words are to be looked for now; none ends the search."""

        words: str

    @dataclass
    class Stepped(Message):
        """The mark in the list is to move."""

        by: int

    @dataclass
    class OpenAsked(Message):
        """Enter: what is marked is to be opened, of the words as they now are."""

        words: str

    @dataclass
    class Left(Message):
        """Escape in the empty box."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, select_on_focus=False)
        self._rest: Timer | None = None
        self.speak()

    def speak(self) -> None:
        """Say what the box is for, in the language in use."""
        self.placeholder = tr("Search")

    @property
    def words(self) -> str:
        """What is looked for."""
        return self.value.strip()

    def watch_value(self, _value: str) -> None:
        self._stop_waiting()
        self._rest = self.set_timer(_REST_S if self.words else 0, self._ask)

    def clear_words(self) -> None:
        """End the search at once."""
        self.value = ""
        self._stop_waiting()
        self._ask()

    async def _on_key(self, event: events.Key) -> None:
        # The app would run the bindings before characters typed just ahead of the key have arrived here.
        actions = {"enter": self.action_open, "escape": self.action_leave}
        if action := actions.get(event.key):
            event.stop()
            event.prevent_default()
            action()
        else:
            await super()._on_key(event)

    def action_open(self) -> None:
        self._stop_waiting()
        self.post_message(self.OpenAsked(self.words))

    def action_leave(self) -> None:
        if self.value:
            self.clear_words()
        else:
            self.post_message(self.Left())

    def action_step(self, by: int) -> None:
        self.post_message(self.Stepped(by))

    def _ask(self) -> None:
        self.post_message(self.Asked(self.words))

    def _stop_waiting(self) -> None:
        if self._rest is not None:
            self._rest.stop()
