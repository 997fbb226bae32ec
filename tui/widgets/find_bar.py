"""The line that finds words in the conversation above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.language import tr
from tui.widgets.conversation import Conversation

_REST_S = 0.1  # while someone types on, nothing is searched for


class FindBar(Horizontal):
    """Words to find, how many there are, and ways to go on; hidden until it is opened."""

    DEFAULT_CSS = """
    FindBar {
        height: 1; padding: 0 1; background: $panel; display: none;
        & > Static { width: auto; color: $text-muted; }
        & > #find-words { width: 1fr; background: $panel; }
        & > #find-words:focus { background: $panel; background-tint: $panel 0%; }
        & > #find-count { padding: 0 1; }
        & > #find-count.-none { color: $text-warning; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down,f3", "step(1)", "Next", id="find.next", tooltip="Go to the next hit", priority=True),
        Binding(
            "shift+enter,up,shift+f3",
            "step(-1)",
            "Previous",
            id="find.previous",
            tooltip="Go to the hit before",
            priority=True,
        ),
        Binding("escape", "close", "Close", id="find.close", tooltip="Close, and unmark the hits", priority=True),
    ]

    def __init__(self, conversation: Conversation, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._conversation = conversation
        self._words = ""
        self._came_from: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Static(tr("Find: "), markup=False)
        yield Input(id="find-words", compact=True)
        yield Static("", id="find-count", markup=False)
        yield _Sign("↑", tr("previous"), lambda: self.action_step(-1))
        yield _Sign("↓", tr("next"), lambda: self.action_step(1))
        yield _Sign("✕", tr("close"), self.action_close)

    def on_mount(self) -> None:
        self.watch(self._conversation, "found", self._show_count)

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return bool(self.display)

    def open(self, words: str = "") -> None:
        """Show the line, find ``words`` if there are any, and take the keyboard."""
        self.display = True
        field = self.query_one(Input)
        if not field.has_focus:
            self._came_from = self.screen.focused
        field.focus()
        if words:
            field.value = words
            self._find()
        else:
            field.select_all()
            if field.value:
                self._find()

    def close(self) -> None:
        """Hide the line and unmark the hits."""
        if self.is_open:
            self.display, self._words = False, ""
            self._conversation.end_find()

    def action_close(self) -> None:
        """Close, and give the keyboard back to where it was."""
        self.close()
        came_from, self._came_from = self._came_from, None
        (came_from if came_from in self.screen.focus_chain else self._conversation).focus()

    def action_step(self, by: int) -> None:
        if self.query_one(Input).value != self._words:
            self._find()
        else:
            self._conversation.find_step(by)

    @on(Input.Changed)
    def _wait(self, event: Input.Changed) -> None:
        event.stop()
        self.set_timer(_REST_S, lambda: self._find() if self.query_one(Input).value == event.value else None)

    def _find(self) -> None:
        words = self.query_one(Input).value
        if self.is_open and words != self._words:
            self._words = words
            self._conversation.find(words)
            self._show_count()

    def _show_count(self) -> None:
        count = self.query_one("#find-count", Static)
        position, total = self._conversation.found
        count.update(f"{position}/{total}" if total else tr("not found") if self._words else "")
        count.set_class(bool(self._words) and not total, "-none")


class _Sign(Static):
    """One sign, or one word, to click on."""

    DEFAULT_CSS = """
    _Sign { width: auto; padding: 0 1; color: $text-muted; pointer: pointer; }
    _Sign:hover { color: $foreground; background: $boost; }
    """

    def __init__(self, sign: str, word: str, do: Callable[[], None]) -> None:
        super().__init__(markup=False)
        self._sign, self._word, self._do = sign, word, do

    def render(self) -> str:
        return self._word if self.app.has_class("-accessible") else self._sign

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self._do()
