"""What the dialogs have in common: a centred box with a title, a sentence that may be needed, a row of buttons."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import OptionList

from tui.widgets.prose import Prose

HEIGHTS: list[tuple[int, str]] = [(0, "-short"), (16, "-tall")]
"""The vertical breakpoints of every screen with a panel: a short one has no room for frames."""


class Panel(VerticalScroll, can_focus=False):
    """The box of a dialog; it scrolls where the terminal is too small for it."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Panel {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 1 2;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $text-muted;
        background: $surface; scrollbar-size-vertical: 1;
    }
    Panel .muted { color: $text-muted; height: auto; }
    Panel .row { height: auto; }
    Panel .label { width: 10; color: $text-muted; }
    Panel Input.-textual-compact { background: $boost; padding: 0 1; }
    Panel Input.-textual-compact:focus { background: $primary 25%; }
    Panel OptionList {
        border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1; height: auto;
    }
    Panel OptionList:focus { border: none; background-tint: $foreground 0%; }
    .-short Panel { border: none; padding: 0; }
    .-short Panel Buttons { margin-top: 0; }
    .-short Panel Said { margin-top: 0; max-height: 2; }
    .-short Panel Button, .-accessible Panel Button { height: 1; border: none !important; }
    .-accessible Panel { border: none; border-top: blank; border-bottom: blank; }
    """


class Buttons(Horizontal):
    """The last row of a dialog; the arrows go from button to button."""

    DEFAULT_CSS = """
    Buttons { height: auto; align-horizontal: right; margin-top: 1; }
    Buttons Button { margin-left: 2; min-width: 12; width: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", "Previous", show=False, id="dialog.left", tooltip="Previous button"),
        Binding("right", "app.focus_next", "Next", show=False, id="dialog.right", tooltip="Next button"),
    ]


class MarkList(OptionList):
    """A list in which a click only marks, since what is marked can still be changed below; two clicks choose."""

    async def _on_click(self, event: events.Click) -> None:
        event.prevent_default()  # the base class would choose at once
        place = event.style.meta.get("option")
        if place is not None:
            self.highlighted = place
            if event.chain > 1:
                self.action_select()


class Said(Prose):
    """A sentence about what was just done or tried; it takes no room while there is none."""

    DEFAULT_CSS = """
    Said { height: auto; margin-top: 1; color: $text-muted; display: none; }
    Said.-problem { color: $text-error; }
    """

    def say(self, text: str, *, is_problem: bool = False) -> None:
        """Show a sentence; an empty one hides the last."""
        self.set_class(is_problem, "-problem")
        self.display = bool(text)
        self.update(text)
