"""Asks for one line of text."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui.language import tr


class AskText(ModalScreen[str | None]):
    """Returns what was typed, without the spaces around it; ``None`` for Escape, and where nothing was changed."""

    DEFAULT_CSS = """
    AskText { align: center middle; }
    AskText Input.-textual-compact { margin-top: 1; padding: 0 1; background: $boost; }
    AskText #refusal { color: $text-error; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="ask.cancel", tooltip="Go back and change nothing"),
    ]

    def __init__(self, question: str, *, value: str, yes: str, refusal: str) -> None:
        super().__init__()
        self._question, self._value, self._yes, self._refusal = question, value, yes, refusal

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Input(self._value, compact=True, id="text")
            yield Static(id="refusal", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(tr("Cancel"), id="cancel")
                yield Button(self._yes, id="yes", variant="primary")

    @on(Input.Changed)
    def _forgive(self) -> None:
        self.query_one("#refusal", Static).update("")

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _answer(self) -> None:
        text = self.query_one(Input).value.strip()
        if text:
            self.dismiss(text if text != self._value else None)
        else:
            self.query_one("#refusal", Static).update(self._refusal)
            self.query_one(Input).focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)
