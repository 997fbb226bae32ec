"""The conversation as one scrolling widget that renders only the messages in view.

A widget a message would not stay smooth: this one keeps a list of entries, guesses the height of
those never seen, and renders an entry when it first scrolls into view.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from chatglm_slim_llm.storage import Role
from tui.markdown import Palette, StreamedMarkdown
from tui.wrapping import visible, wrap

_MAX_TEXT_WIDTH = 100  # longer lines are hard to read
_MARGIN = 2
_FRAME_S = 0.04


@dataclass
class Entry:
    """One message as it is shown."""

    message_id: int
    role: Role
    text: str
    note: str = ""
    """Why a reply ended early, or what went wrong."""
    is_error: bool = False
    growing: bool = False
    lines: list[Text] | None = None
    """The rendering for the current width; ``None`` until it is in view."""
    markdown: StreamedMarkdown = field(default_factory=StreamedMarkdown)


class Conversation(ScrollView, can_focus=True):
    """The messages of one conversation, following the newest while the reader is at the bottom."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "conversation--user",
        "conversation--mark",
        "conversation--heading",
        "conversation--code",
        "conversation--code-block",
        "conversation--link",
        "conversation--muted",
        "conversation--error",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Scroll up", show=False, id="conversation.up", tooltip="Scroll up"),
        Binding("down,j", "scroll_down", "Scroll down", show=False, id="conversation.down", tooltip="Scroll down"),
        Binding("home,g", "scroll_home", "Top", show=False, id="conversation.top", tooltip="Go to the first message"),
        Binding("end,G", "scroll_end", "Bottom", show=False, id="conversation.end", tooltip="Go to the last message"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: list[Entry] = []
        self._tops: list[int] = [0]
        self._frame: Timer | None = None
        self._follow = True

    # --- what the screen calls

    def show(self, entries: Iterable[Entry]) -> None:
        """Replace everything, and go to the end."""
        self._entries = list(entries)
        self._follow = True
        self._lay_out()

    def add(self, *entries: Entry) -> None:
        """Append messages, and go to the end."""
        self._entries.extend(entries)
        self._follow = True
        self._lay_out()

    def grow(self, message_id: int, text: str) -> None:
        """Append to a reply; the screen catches up a few times a second."""
        if entry := self._entry(message_id):
            entry.text += text
            entry.lines = None
            if self._frame is None:
                self._frame = self.set_timer(_FRAME_S, self._draw_frame)

    def finish(self, message_id: int, note: str = "", *, is_error: bool = False) -> None:
        """A reply is complete, or ended for the reason in ``note``."""
        if entry := self._entry(message_id):
            entry.growing, entry.note, entry.is_error, entry.lines = False, note, is_error, None
            self._lay_out()

    @property
    def entries(self) -> list[Entry]:
        """The messages shown."""
        return self._entries

    def _entry(self, message_id: int) -> Entry | None:
        return next((entry for entry in reversed(self._entries) if entry.message_id == message_id), None)

    # --- layout: guessed heights become exact as entries come into view

    def _draw_frame(self) -> None:
        self._frame = None
        self._lay_out()

    def _lay_out(self) -> None:
        if not self._width or not self.is_attached:
            return
        self._measure()
        if self._follow:
            self._render_from_bottom()
        else:
            self._render_in_view()
        self.refresh()

    def _measure(self) -> None:
        heights = (
            _guessed_height(entry, self._width) if entry.lines is None else len(entry.lines) for entry in self._entries
        )
        self._tops = list(accumulate(heights, initial=0))
        self.virtual_size = Size(self._width, self._tops[-1])

    def _render_from_bottom(self) -> None:
        room = self.size.height
        for entry in reversed(self._entries):
            if room <= 0:
                break
            room -= len(self._rendered(entry))
        self._measure()
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)

    def _render_in_view(self) -> None:
        """Render what is in view; what grows above the top line must not push the view down."""
        first = max(bisect_right(self._tops, self.scroll_offset.y) - 1, 0)
        changed = shift = 0
        for idx in range(first, len(self._entries)):
            if self._tops[idx] + shift >= self.scroll_offset.y + shift + self.size.height:
                break
            entry = self._entries[idx]
            if entry.lines is None:
                growth = len(self._rendered(entry)) - (self._tops[idx + 1] - self._tops[idx])
                changed += growth != 0
                if self._tops[idx] < self.scroll_offset.y and not entry.growing:
                    shift += growth
        if changed:
            self._measure()
        if shift:
            self.scroll_to(y=self.scroll_offset.y + shift, animate=False, immediate=True, force=True)

    def _rendered(self, entry: Entry) -> list[Text]:
        if entry.lines is None:
            entry.lines = self._render_entry(entry)
        return entry.lines

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follow = self.is_vertical_scroll_end
        if not self._follow and round(old_value) != round(new_value):
            self._render_in_view()

    def on_resize(self, _event: events.Resize) -> None:
        self._forget_rendering()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._forget_rendering()

    def _forget_rendering(self) -> None:
        for entry in self._entries:
            entry.lines = None
        self._lay_out()

    # --- entries to lines

    def _render_entry(self, entry: Entry) -> list[Text]:
        width = max(min(self._width - 2 * _MARGIN, _MAX_TEXT_WIDTH), 1)
        if entry.role == "user":
            lines = self._user_lines(entry.text, width)
        else:
            lines = entry.markdown.lines(visible(entry.text), width, self._palette, growing=entry.growing)
            if entry.growing and not entry.text:
                lines = [Text("…", self._style("muted"))]
            lines = [Text.assemble(" " * _MARGIN, line) for line in lines]
        if entry.note:
            style = self._style("error" if entry.is_error else "muted")
            note = wrap(Text(("✗ " if entry.is_error else "") + visible(entry.note), style), width)
            lines += [Text.assemble(" " * _MARGIN, line) for line in note]
        return [*lines, Text()]

    def _user_lines(self, text: str, width: int) -> list[Text]:
        wrapped = [line for raw in visible(text).split("\n") for line in wrap(Text(raw), width)]
        lines = [Text.assemble(("  " if idx else "❯ ", self._style("mark")), line) for idx, line in enumerate(wrapped)]
        for line in lines:
            line.append(" " * (self._width - cell_len(line.plain)))
            line.style = self._style("user")
        return lines

    @property
    def _palette(self) -> Palette:
        names = ("heading", "code", "code-block", "link", "muted")
        styles = {name.replace("-", "_"): self._style(name) for name in names}
        return Palette(**styles, code_theme="monokai" if self.app.current_theme.dark else "friendly")

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"conversation--{name}")

    # --- lines to the terminal

    def render_line(self, y: int) -> Strip:
        """One line of the view, as Textual's line API asks for it."""
        row = y + self.scroll_offset.y
        line = self._line(row)
        if (selection := self.text_selection) is not None and (span := selection.get_span(row)) is not None:
            line = line.copy()
            start, end = span
            line.stylize(self.screen.get_component_rich_style("screen--selection"), start, None if end == -1 else end)
        strip = Strip(line.render(self.app.console), cell_len(line.plain))
        return strip.adjust_cell_length(self.size.width).apply_style(self.rich_style).apply_offsets(0, row)

    def _line(self, row: int) -> Text:
        idx = bisect_right(self._tops, row) - 1
        if not 0 <= idx < len(self._entries):
            return Text()
        lines = self._rendered(self._entries[idx])
        offset = row - self._tops[idx]
        return lines[offset] if offset < len(lines) else Text()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, without the padding at the ends of its lines."""
        first = selection.start.y if selection.start else 0
        last = selection.end.y if selection.end else self._tops[-1]
        picked = []
        for row in range(first, min(last, self._tops[-1]) + 1):
            if (span := selection.get_span(row)) is not None:
                start, end = span
                picked.append(self._line(row).plain[start : None if end == -1 else end].rstrip())
        return "\n".join(picked), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()


def _guessed_height(entry: Entry, width: int) -> int:
    return 1 + sum(1 + cell_len(line) // max(width, 1) for line in entry.text.split("\n"))
