"""The keys, as a list above the chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

_SPELLED = {"pageup": "PageUp", "pagedown": "PageDown"}


class Help(ModalScreen[None]):
    """Every key and what it does; any of Escape, F1 or Enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,enter,q", "dismiss", "Close", id="help.close", tooltip="Close the help"),
    ]

    def __init__(self, bindings: Iterable[BindingType]) -> None:
        super().__init__()
        self._shown = [binding for binding in bindings if isinstance(binding, Binding)]

    def compose(self) -> ComposeResult:
        table = Table.grid(padding=(0, 3))
        for binding in self._shown:
            table.add_row(Text(_name(binding.key), "bold"), Text(binding.tooltip))
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Keys"
            yield Static(table)


def _name(keys: str) -> str:
    return "+".join(_SPELLED.get(part, part.capitalize()) for part in keys.split(",")[0].split("+"))
