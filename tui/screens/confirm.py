"""A yes-or-no question above the chat."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.screens.dialog import HEIGHTS, Buttons, Panel


class Confirm(ModalScreen[bool]):
    """Asks, and returns whether the answer was yes; Escape is no.

    Args:
        question: what is asked; it is shown as it is.
        yes: what the button says that does it.
        no: what the button says that does nothing; it has the focus, unless the question is harmless.
        is_harmless: nothing is lost by a yes.
    """

    VERTICAL_BREAKPOINTS = HEIGHTS
    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm Panel { width: 64; }
    Confirm.-short Button { border: none !important; min-width: 0; margin-left: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes", tooltip="Yes"),
        Binding("n,escape", "answer(False)", "No", id="confirm.no", tooltip="No, go back"),
    ]

    def __init__(self, question: str, *, yes: str, no: str, is_harmless: bool = False) -> None:
        super().__init__()
        self._question, self._yes, self._no = question, yes, no
        self._is_harmless = is_harmless

    def compose(self) -> ComposeResult:
        with Panel():
            yield Static(self._question, markup=False)
            with Buttons():
                yield Button(self._no, id="no")
                yield Button(self._yes, id="yes", variant="primary" if self._is_harmless else "error")

    def on_mount(self) -> None:
        if self._is_harmless:
            self.query_one("#yes", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
