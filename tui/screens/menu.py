"""A small list of things to do, beside what they are done to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widgets import OptionList


@dataclass(frozen=True)
class Item:
    """One line of a menu."""

    action: str
    label: str
    key: str = ""
    """The key that does the same without the menu."""


class Menu(ModalScreen[str | None]):
    """Returns the action chosen; Escape, or a click outside, is none."""

    DEFAULT_CSS = """
    Menu { align: left top; background: transparent; }
    Menu OptionList, Menu OptionList:focus {
        width: auto; height: auto; max-height: 100%; padding: 0; border: round $primary; background: $surface;
    }
    App.-accessible Menu OptionList { border: none; }
    """
    SCOPED_CSS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Close", id="menu.close", tooltip="Close the menu"),
    ]

    def __init__(self, items: Sequence[Item], at: Offset) -> None:
        super().__init__()
        self._items, self._at = items, at

    def compose(self) -> ComposeResult:
        label_width = max(cell_len(item.label) for item in self._items)
        key_width = max(cell_len(item.key) for item in self._items)
        prompts = []
        for item in self._items:
            gap = " " * (label_width - cell_len(item.label) + 2 + key_width - cell_len(item.key))
            prompts.append(Content.assemble(" ", item.label, gap, (item.key, "dim"), " "))
        yield OptionList(*prompts, markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0
        self.call_after_refresh(self._place)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._place)

    def _place(self) -> None:
        """As near to what it belongs to as the screen allows."""
        options = self.query_one(OptionList)
        room = self.size - options.outer_size
        options.styles.offset = (max(min(self._at.x, room.width), 0), max(min(self._at.y, room.height), 0))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._items[event.option_index].action)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)
