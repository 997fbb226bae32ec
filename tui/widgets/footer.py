"""The last line: the keys that do something now, as many as fit, the most needed ones first to stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui import keys
from tui.language import tr

_KEPT = (
    "chat.answer_tool",
    "tool.once",
    "tool.chat",
    "tool.refuse",
    "chat.stop",
    "app.help",
    "chat.help",
    "help.close",
    "app.quit",
    "app.palette",
    "chat.new",
    "chat.history",
)
"""What stays longest where room is short, in this order."""


@dataclass(frozen=True)
class Item:
    """A key in the line."""

    id: str
    key: str
    shown: str
    does: str
    tooltip: str
    enabled: bool = True

    @property
    def width(self) -> int:
        return cell_len(self.shown) + 1 + cell_len(self.does)


class Footer(Widget):
    """Shows keys with what they do; a click on one presses it."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"footer--key", "footer--does"}
    DEFAULT_CSS = """
    Footer {
        dock: bottom; height: 1; background: $footer-background; color: $footer-foreground;
        & > .footer--key { color: $footer-key-foreground; text-style: bold; }
        & > .footer--does { color: $footer-description-foreground; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Item] = []
        self._places: list[tuple[int, int, Item]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._read)

    def _read(self, screen: Screen[object]) -> None:
        if not screen.app.app_focus or screen is not self.screen:
            return
        items: dict[str, Item] = {}
        for active in screen.active_bindings.values():
            binding = active.binding
            name = binding.id or binding.action
            if binding.show and binding.description and name not in items:
                does, tooltip = tr(binding.description), tr(binding.tooltip)
                items[name] = Item(name, binding.key, keys.short(binding.key), does, tooltip, active.enabled)
        if list(items.values()) != self._items:
            self._items = list(items.values())
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line, cut to what fits."""
        background = self.rich_style
        key_style = background + self.get_component_rich_style("footer--key", partial=True)
        does_style = background + self.get_component_rich_style("footer--does", partial=True)
        width = self.size.width
        segments, at = [Segment(" ", background)], 1
        self._places = []
        for item in fitting(self._items, width - 2):
            dim = Style(dim=not item.enabled)
            segments += [
                Segment(item.shown, key_style + dim),
                Segment(" ", background),
                Segment(item.does, does_style + dim),
                Segment("  ", background),
            ]
            self._places.append((at, at + item.width, item))
            at += item.width + 2
        return Strip(segments).adjust_cell_length(width, background)

    def on_click(self, event: events.Click) -> None:
        if item := self._at(event.x):
            self.app.simulate_key(item.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        item = self._at(event.x)
        self.tooltip = Content(item.tooltip) if item and item.tooltip else None

    def _at(self, x: int) -> Item | None:
        return next((item for start, end, item in self._places if start <= x < end), None)


def fitting(items: Sequence[Item], width: int) -> list[Item]:
    """As many as fit, in their order; those that are needed least give way first."""
    kept = list(items)
    while kept and sum(item.width for item in kept) + 2 * (len(kept) - 1) > width:
        kept.remove(max(reversed(kept), key=_dispensable))
    return kept


def _dispensable(item: Item) -> int:
    return _KEPT.index(item.id) if item.id in _KEPT else len(_KEPT)
