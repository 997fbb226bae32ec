"""Jump mode: a letter on every place that can have the keyboard; pressing it goes there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from string import ascii_lowercase
from typing import Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Label

from tui.language import tr

_LETTERS = "asdfghjkl" + "".join(letter for letter in ascii_lowercase if letter not in "asdfghjkl")


def start(app: App[Any]) -> None:
    """Put letters on the screen; where there is no place to go to, say so."""
    places = [widget for widget in app.screen.focus_chain if _seen(widget)]
    if not places:
        app.notify(tr("There is nothing to jump to here."))
        return

    def go(widget: Widget | None) -> None:
        if widget is not None and widget.is_attached:
            widget.press() if isinstance(widget, Button) else widget.focus()

    app.push_screen(Jump(places), go)


class Jump(ModalScreen[Widget]):
    """The letters; Escape leaves, any other key that is no letter of a place does too."""

    DEFAULT_CSS = """
    Jump {
        background: $background 50%; layers: letters; overflow: hidden;
        & Label { position: absolute; width: auto; padding: 0 1; }
        & Label { background: $accent; color: $background; text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="jump.close", tooltip="Leave the jump mode"),
    ]

    def __init__(self, places: Sequence[Widget]) -> None:
        super().__init__()
        self._places = dict(zip(letters(len(places)), places, strict=True))
        self._typed = ""
        self._laid_out_for: Size | None = None

    def compose(self) -> ComposeResult:
        for name, place in self._places.items():
            label = Label(name.upper(), markup=False)
            label.styles.offset = place.region.offset
            yield label

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            return
        event.stop()
        self._typed += event.character or " "
        if place := self._places.get(self._typed.lower()):
            self.dismiss(place)
        elif not any(name.startswith(self._typed.lower()) for name in self._places):
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        at = event.screen_offset
        self.dismiss(next((place for place in self._places.values() if place.region.contains_point(at)), None))

    def on_resize(self, event: events.Resize) -> None:
        if self._laid_out_for not in (None, event.size):
            self.dismiss(None)  # the places have moved
        self._laid_out_for = event.size


def letters(count: int) -> list[str]:
    """One letter for each place, the home row first; two where one is not enough."""
    if count <= len(_LETTERS):
        return list(_LETTERS[:count])
    return ["".join(pair) for pair in product(_LETTERS, repeat=2)][:count]


def _seen(widget: Widget) -> bool:
    """Whether its corner is on the screen."""
    return bool(widget.region) and widget.screen.region.contains_point(widget.region.offset)
