"""The line that names the shelves of the history, and shows which one is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from chatglm_slim_llm.storage import Shelf
from tui.language import tr

_NAMES: dict[Shelf, str] = {"shown": "History", "archived": "Archive", "trash": "Trash"}
_GAP = 2


class Shelves(Widget):
    """The names side by side, each to be clicked; where they do not fit, the one looked at alone."""

    ALLOW_SELECT = False
    SCOPED_CSS = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"shelves--other", "shelves--this"}
    DEFAULT_CSS = """
    Shelves > .shelves--other { color: $text-muted; }
    Shelves > .shelves--this { color: $primary; text-style: bold; }
    Shelves { height: 1; margin-bottom: 1; padding: 0 2; }
    .-accessible Shelves { margin: 0; }
    History.-low Shelves { display: none; }
    """
    ORDER: ClassVar[tuple[Shelf, ...]] = ("shown", "archived", "trash")

    @dataclass
    class Picked(Message):
        """Another shelf is wanted."""

        shelf: Shelf

    def __init__(self) -> None:
        super().__init__()
        self._shelf: Shelf = "shown"

    @property
    def shelf(self) -> Shelf:
        """The one looked at."""
        return self._shelf

    @shelf.setter
    def shelf(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.refresh()

    @property
    def next(self) -> Shelf:
        """The one after it."""
        return self.ORDER[(self.ORDER.index(self._shelf) + 1) % len(self.ORDER)]

    def render(self) -> Content:
        """The names, the one looked at standing out."""
        names = [self._named(shelf) for shelf, _start, _end in self._places()]
        return Content(" " * _GAP).join(names)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        x = event.get_content_offset(self)
        places = list(self._places())
        if x is None or len(places) == 1:
            self.post_message(self.Picked(self.next))
            return
        for shelf, start, end in places:
            if start <= x.x < end:
                self.post_message(self.Picked(shelf))

    def _named(self, shelf: Shelf) -> Content:
        name = tr(_NAMES[shelf])
        if shelf != self._shelf:
            return Content.styled(name, self.get_visual_style("shelves--other"))
        return Content.styled(
            f"[{name}]" if self.app.has_class("-accessible") else name, self.get_visual_style("shelves--this")
        )

    def _places(self) -> Iterator[tuple[Shelf, int, int]]:
        """The shelves that are named, and the columns of each name."""
        marks = 2 if self.app.has_class("-accessible") else 0
        widths = {shelf: cell_len(tr(name)) + (marks if shelf == self._shelf else 0) for shelf, name in _NAMES.items()}
        if sum(widths.values()) + _GAP * (len(widths) - 1) > self.content_size.width:
            yield self._shelf, 0, widths[self._shelf]
            return
        start = 0
        for shelf in self.ORDER:
            yield shelf, start, start + widths[shelf]
            start += widths[shelf] + _GAP
