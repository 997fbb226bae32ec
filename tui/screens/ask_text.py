"""Asks for one line of text."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui.language import tr
from tui.screens.dialog import HEIGHTS, Buttons, Panel, Said


class AskText(ModalScreen[str | None]):
    """Returns what was typed, without the spaces around it; ``None`` for Escape, and where nothing was changed."""

    VERTICAL_BREAKPOINTS = HEIGHTS
    DEFAULT_CSS = """
    AskText { align: center middle; }
    AskText Panel { width: 64; }
    AskText.-tall Input { margin-top: 1; }
    AskText.-short Button { border: none !important; min-width: 0; margin-left: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="ask.cancel", tooltip="Go back and change nothing"),
    ]

    def __init__(self, question: str, *, value: str, yes: str, refusal: str) -> None:
        super().__init__()
        self._question, self._value, self._yes, self._refusal = question, value, yes, refusal

    def compose(self) -> ComposeResult:
        with Panel():
            yield Static(self._question, markup=False)
            yield Input(self._value, compact=True, id="text")
            yield Said()
            with Buttons():
                yield Button(tr("Cancel"), id="cancel")
                yield Button(self._yes, id="yes", variant="primary")

    @on(Input.Changed)
    def _forgive(self) -> None:
        self.query_one(Said).say("")

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _answer(self) -> None:
        text = self.query_one(Input).value.strip()
        if text:
            self.dismiss(text if text != self._value else None)
        else:
            self.query_one(Said).say(self._refusal, is_problem=True)
            self.query_one(Input).focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)
