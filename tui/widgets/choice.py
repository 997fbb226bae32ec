"""A few possibilities in a row, of which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from tui.language import tr

_FOCUSED = "bold $block-cursor-foreground on $block-cursor-background"


class Choice(Widget, can_focus=True):
    """One value of several; the arrows or a click choose another one."""

    DEFAULT_CSS = """
    Choice { height: auto; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "step(-1)", "Previous", show=False, id="choice.previous", tooltip="The one before"),
        Binding("right,down", "step(1)", "Next", show=False, id="choice.next", tooltip="The next one"),
    ]
    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """Another one was chosen."""

        choice: Choice
        value: str

        @property
        def control(self) -> Choice:
            """The row itself, for selectors."""
            return self.choice

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = list(options)
        self.set_reactive(Choice.value, value)

    def offer(self, options: Sequence[tuple[str, str]], value: str) -> None:
        """Offer other possibilities, as value and label; the first one where ``value`` is none of them."""
        self._options = list(options)
        values = [each for each, _ in self._options]
        self.value = value if value in values else values[0]
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        is_plain = self.app.has_class("-accessible")
        parts: list[Content] = []
        for place, (value, label) in enumerate(self._options):
            is_chosen = value == self.value
            if is_plain:
                shown = Content(label + (f" ({tr('chosen')})" if is_chosen else ""))
            else:
                shown = Content.assemble(
                    ("● " if is_chosen else "○ ", "$accent" if is_chosen else "$foreground 60%"), label
                )
            if is_chosen:
                shown = shown.stylize(_FOCUSED if self.has_focus else "bold")
            parts.append(shown.stylize(Style.from_meta({"place": place})))
        return Content("   ").join(parts)

    def action_step(self, by: int) -> None:
        values = [value for value, _ in self._options]
        self._choose((values.index(self.value) + by) % len(values) if self.value in values else 0)

    def on_click(self, event: events.Click) -> None:
        place = event.style.meta.get("place")
        if isinstance(place, int) and place < len(self._options):
            self._choose(place)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _choose(self, place: int) -> None:
        value = self._options[place][0]
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(self, value))
