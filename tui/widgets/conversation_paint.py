"""Rows to what the terminal shows: the theme's styles, the margin at the left, and strips that are painted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment as Cells
from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

from tui.language import tr
from tui.markdown import Palette, Row

if TYPE_CHECKING:
    from tui.widgets.conversation import Conversation
    from tui.widgets.conversation_entry import Entry

MARGIN = 2
STYLES = """
Conversation {
    height: 1fr; margin: 1 0 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background;
    & > .conversation--user { background: $boost; color: $foreground; }
    & > .conversation--mark { color: $accent; text-style: bold; }
    & > .conversation--cursor { color: $primary; text-style: bold; }
    & > .conversation--heading { color: $primary; }
    & > .conversation--code { color: $accent; background: $boost; }
    & > .conversation--code-block { color: $foreground; background: $surface; }
    & > .conversation--link { color: $primary; }
    & > .conversation--muted { color: $foreground 60%; }
    & > .conversation--error { color: $text-error; }
    & > .conversation--found { background: $warning 40%; color: $foreground; }
    & > .conversation--found-now { background: $warning; color: $background; text-style: bold; }
    & > .conversation--news { background: $primary; color: $background; text-style: bold; }
}
"""
_OF_PALETTE = ("heading", "code", "code-block", "link", "muted", "error", "found", "found-now")
COMPONENTS = {f"conversation--{name}" for name in (*_OF_PALETTE, "user", "mark", "cursor", "news")}
_ON_THEIR_OWN = ("user", "code", "code-block", "found", "found-now", "news")  # the others keep what is behind them
_MAX_BLANKS = 500


class Painter:
    """Paints the rows of one conversation. A row is painted again only where it looks different, not when it moves."""

    def __init__(self, widget: Conversation) -> None:
        self.number = 0
        """Another one with every theme."""
        self._widget = widget
        self._palette: Palette | None = None
        self._styles: dict[str, Style] = {}
        self._blanks: dict[int, Strip] = {}
        self._filters: tuple[Sequence[LineFilter], Color] | None = None

    def forget(self) -> bool | None:
        """The theme, or what is around the conversation, has changed; returns whether all was plain, if known."""
        before, self._palette = self._palette, None
        self._styles.clear()
        self._blanks.clear()
        self._filters = None
        self.number += 1
        return before.is_plain if before is not None else None

    @property
    def palette(self) -> Palette:
        """The styles that messages are drawn with."""
        if self._palette is None:
            app = self._widget.app
            styles = {name.replace("-", "_"): self.style(name) for name in _OF_PALETTE}
            theme = getattr(app, "code_theme", "") or ("monokai" if app.current_theme.dark else "friendly")
            self._palette = Palette(**styles, code_theme=theme, is_plain=app.has_class("-accessible"))
        return self._palette

    def style(self, name: str) -> Style:
        """A style of the theme, or the widget's own; Textual itself forgets them with every refresh."""
        if (style := self._styles.get(name)) is None:
            widget = self._widget
            style = widget.get_component_rich_style(f"conversation--{name}") if name else widget.rich_style
            if name and name not in _ON_THEIR_OWN:
                style = style.without_color + Style(color=style.color)
            self._styles[name] = style
        return style

    # --- strips

    def strip(
        self, entry: Entry, drawn: Row, row: int, width: int, span: tuple[int, int] | None, *, is_first: bool
    ) -> Strip:
        """One row of a message, with what is selected of it."""
        is_under_cursor = entry.message_id == self._widget.cursor_id
        if span is not None:
            line, style = self._line(entry, drawn, is_under_cursor, is_first)
            start, end = span
            selected = self._widget.screen.get_component_rich_style("screen--selection")
            line.stylize(selected, start, None if end == -1 else end)
            return self._painted(line, style, row, width)
        made_for = (row, width, self.number, is_under_cursor)
        if drawn.painted_for != made_for:
            line, style = self._line(entry, drawn, is_under_cursor, is_first)
            drawn.painted, drawn.painted_for = self._painted(line, style, row, width), made_for
        assert isinstance(drawn.painted, Strip)
        return drawn.painted

    def blank(self, row: int, width: int) -> Strip:
        """An empty row."""
        strip = self._blanks.get(row)
        if strip is None or strip.cell_length != width:
            if len(self._blanks) >= _MAX_BLANKS:
                self._blanks.clear()
            strip = self._blanks[row] = self._painted(Text(), None, row, width)
        return strip

    def news(self, width: int) -> Strip:
        """What takes the place of the last row while there is new text below it."""
        words = tr("new text below")
        label = words if self.palette.is_plain else f" ↓ {words} "
        style = self.style("news") + Style.from_meta({"news": True})
        before = max((width - cell_len(label)) // 2, 0)
        cells = [Cells(" " * before), Cells(label, style)]
        return self._finished(Strip(cells).adjust_cell_length(width).apply_style(self.style("")))

    def _painted(self, line: Text, style: Style | None, row: int, width: int) -> Strip:
        strip = Strip(line.render(self._widget.app.console), cell_len(line.plain))
        strip = strip.adjust_cell_length(width, style).apply_style(self.style(""))
        return self._finished(strip.apply_offsets(0, row))

    def _finished(self, strip: Strip) -> Strip:
        """What the app does to all that is shown, such as giving it other colours."""
        if self._filters is None:
            self._filters = self._widget.get_line_filters(), self._widget.background_colors[1]
        filters, background = self._filters
        for line_filter in filters:
            strip = strip.apply_filter(line_filter, background)
        return strip

    def _line(self, entry: Entry, drawn: Row, is_under_cursor: bool, is_first: bool) -> tuple[Text, Style | None]:
        """A row with the margin before it, and the style of the rest of the line."""
        style = self.style("user") if entry.role == "user" and not self.palette.is_plain else None
        line = Text.assemble(self._margin(entry, is_under_cursor, is_first), drawn.text)
        if style:
            line.style = style
        return line, style

    def _margin(self, entry: Entry, is_under_cursor: bool, is_first: bool) -> Text:
        """The bar at the left: of what people wrote, and of the message that keys act on."""
        if self.palette.is_plain:
            return Text("> " if is_under_cursor and is_first else "  ")
        if is_under_cursor:
            return Text("┃ ", self.style("cursor"))
        return Text("▌ ", self.style("mark")) if entry.role == "user" else Text("  ")
