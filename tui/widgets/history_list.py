"""The history as one scrolling list that paints only the rows in view."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.history_paint import Look, menu_column, painted, title_of_row
from tui.widgets.history_rows import EmptyTrash, Folder, Found, Line, Row
from tui.wrapping import wrap

Key = int | str
_RIGHT_BUTTON = 3


class HistoryList(ScrollView, can_focus=True):
    """Rows with one marked by the keys; it survives that the rows are replaced."""

    ALLOW_SELECT = False
    SCOPED_CSS = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "history--heading",
        "history--muted",
        "history--mark",
        "history--current",
        "history--writing",
        "history--found",
        "history--cursor",
        "history--hover",
    }
    DEFAULT_CSS = """
    HistoryList { width: 100%; height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; background: $background; }
    HistoryList > .history--heading { color: $text-muted; text-style: bold; }
    HistoryList > .history--muted { color: $text-muted; }
    HistoryList > .history--mark { color: $primary; text-style: bold; }
    HistoryList > .history--current { color: $foreground; text-style: bold; }
    HistoryList > .history--writing { color: $text-accent; }
    HistoryList > .history--found { color: $text-accent; text-style: bold; }
    HistoryList > .history--cursor { background: $panel; }
    HistoryList > .history--hover { background: $surface; }
    HistoryList:focus > .history--cursor { background: $primary 35%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="history.up", tooltip="The conversation above"),
        Binding("down,j", "move(1)", "Down", show=False, id="history.down", tooltip="The conversation below"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="history.page_up", tooltip="A page up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="history.page_down", tooltip="A page down"),
        Binding("home,g", "move_far(-1)", "First", show=False, id="history.first", tooltip="The first conversation"),
        Binding("end,G", "move_far(1)", "Last", show=False, id="history.last", tooltip="The last conversation"),
        Binding("enter", "choose", "Open", id="history.open", tooltip="Open the conversation marked in the history"),
        Binding("left", "fold", "Close folder", show=False, id="history.fold", tooltip="Close the folder"),
        Binding("right", "unfold", "Open folder", show=False, id="history.unfold", tooltip="Open the folder"),
    ]

    @dataclass
    class Chosen(Message):
        """Enter or a click on a row."""

        row: Row

    @dataclass
    class MenuAsked(Message):
        """What can be done with a row is to be shown, beside this place of the screen."""

        row: Row
        at: Offset

    @dataclass
    class FolderAsked(Message):
        """A folder is to be opened or closed."""

        name: str
        is_open: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._tops: list[int] = [0]
        self._index: dict[Key, int] = {}
        self._cursor: int | None = None
        self._hovered: int | None = None
        self._current_id: int | None = None
        self._writing: frozenset[int] = frozenset()
        self._nothing = ""

    # --- what the pane calls

    def show(self, rows: Sequence[Row], *, nothing: str, current_id: int | None) -> None:
        """Replace the rows; the marked one and the place in view stay where they still exist."""
        marked, was = self.marked, self._rows[self._cursor or 0 :] + self._rows[: self._cursor or 0][::-1]
        anchor = self._row_at(self.scroll_offset.y) if self.scroll_offset.y else None
        shift = self.scroll_offset.y - self._top_of(anchor)
        self._rows, self._nothing, self._current_id = list(rows), nothing, current_id
        self._tops = list(accumulate((row.height for row in rows), initial=0))
        self._index = {row.key: idx for idx, row in enumerate(rows) if row.key is not None}
        self._hovered = None
        self._lay_out()
        if anchor is not None and anchor.key in self._index:
            self.scroll_to(y=self._top_of(anchor) + shift, animate=False, immediate=True, force=True)
        if marked is not None:  # else the one below it, or the one above
            self._cursor = next((self._index[row.key] for row in was if row.key in self._index), self._nearest(0))

    def keep_mark_in_view(self) -> None:
        """Scroll to the marked row, wherever it is now."""
        self._go(self._cursor)

    def mark(self, key: Key | None) -> bool:
        """Put the mark on a row and bring it into view; returns False if there is no such row."""
        idx = self._index.get(key) if key is not None else None
        if idx is not None:
            self._go(idx)
        return idx is not None

    def mark_first(self) -> None:
        """Put the mark on the first conversation or folder."""
        self._go(self._nearest(1 if self._rows and isinstance(self._rows[0], EmptyTrash) else 0))

    def set_writing(self, conversation_ids: frozenset[int]) -> None:
        """Mark the conversations in which an answer is being written."""
        self._writing = conversation_ids
        self.refresh()

    @property
    def rows(self) -> list[Row]:
        """What is listed."""
        return self._rows

    @property
    def marked(self) -> Row | None:
        """The row that keys act on."""
        return self._rows[self._cursor] if self._cursor is not None else None

    @property
    def place_of_mark(self) -> Offset:
        """Where the marked row is on the screen."""
        row = self._bottom(self._cursor) if self._cursor is not None else 0
        return self.content_region.offset + Offset(0, row - self.scroll_offset.y)

    # --- keys

    def action_move(self, by: int) -> None:
        """Go to the next row in a direction that takes the mark."""
        if self._cursor is None:
            self.mark_first()
            return
        steps = range(self._cursor + by, len(self._rows) if by > 0 else -1, by)
        if (idx := next((idx for idx in steps if self._rows[idx].key is not None), None)) is not None:
            self._go(idx)
        elif by < 0:
            self.scroll_home(animate=False)  # so that the heading above the first one is seen

    def action_move_page(self, pages: int) -> None:
        if self._cursor is not None:
            line = self._tops[self._cursor] + pages * max(self.size.height - 1, 1)
            self._go(self._nearest(bisect_right(self._tops, max(line, 0)) - 1))

    def action_move_far(self, side: int) -> None:
        self._go(self._nearest(0 if side < 0 else len(self._rows) - 1))

    def action_choose(self) -> None:
        if (row := self.marked) is not None:
            self._choose(row)

    def action_fold(self) -> None:
        """Close the folder that is marked, or go to the one that the marked conversation is in."""
        match self.marked:
            case Folder(name=name, is_open=True):
                self.post_message(self.FolderAsked(name, is_open=False))
            case Line(conversation=conversation, depth=1):
                self.mark(conversation.folder)

    def action_unfold(self) -> None:
        match self.marked:
            case Folder(name=name, is_open=False):
                self.post_message(self.FolderAsked(name, is_open=True))
            case Folder():
                self.action_move(1)

    def on_focus(self) -> None:
        if self._cursor is None:
            self._cursor = self._index.get(self._current_id or 0, self._nearest(0))
        self._go(self._cursor)

    # --- the mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        idx = self._index_at(event.y + self.scroll_offset.y)
        if idx != self._hovered:
            self._hovered = idx
            self.tooltip = self._whole_title(idx)
            self.refresh()

    def on_leave(self) -> None:
        self._hovered = None
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._hovered = None  # what is below the mouse is another row now

    def on_click(self, event: events.Click) -> None:
        idx = self._index_at(event.y + self.scroll_offset.y)
        if idx is None or self._rows[idx].key is None:
            return
        event.stop()
        row = self._rows[idx]
        self._cursor = idx
        self.refresh()
        has_menu = isinstance(row, Line | Found)
        if has_menu and (event.button == _RIGHT_BUTTON or self._is_on_menu_mark(event, idx)):
            self.post_message(self.MenuAsked(row, event.screen_offset))
        elif event.button != _RIGHT_BUTTON:
            self._choose(row)

    def _is_on_menu_mark(self, event: events.Click, idx: int) -> bool:
        is_first_line = event.y + self.scroll_offset.y == self._first_line(idx)
        return is_first_line and event.x >= menu_column(self._width)

    def _whole_title(self, idx: int | None) -> Content | None:
        """What a tooltip says: the title, where the list cuts it."""
        row = self._rows[idx] if idx is not None else None
        if not isinstance(row, Line | Found):
            return None
        title = title_of_row(row.conversation.title)
        return Content(title[:400]) if cell_len(title) > self._width - 3 else None

    def _choose(self, row: Row) -> None:
        if isinstance(row, Folder):
            self.post_message(self.FolderAsked(row.name, not row.is_open))
        else:
            self.post_message(self.Chosen(row))

    # --- where rows are

    def _lay_out(self) -> None:
        self.virtual_size = Size(self._width, self._tops[-1])
        self.refresh()

    def on_resize(self, _event: events.Resize) -> None:
        self._lay_out()

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _index_at(self, line: int) -> int | None:
        return bisect_right(self._tops, line) - 1 if 0 <= line < self._tops[-1] else None

    def _row_at(self, line: int) -> Row | None:
        """The first row from a line on that is known by a key."""
        start = self._index_at(line)
        return next((row for row in self._rows[start:] if row.key is not None), None) if start is not None else None

    def _top_of(self, row: Row | None) -> int:
        idx = self._index.get(row.key) if row is not None and row.key is not None else None
        return self._tops[idx] if idx is not None else 0

    def _first_line(self, idx: int) -> int:
        """The line where a row itself begins, below the gap above it."""
        row = self._rows[idx]
        return self._tops[idx] + (row.height - 1 if isinstance(row, Folder) else 0)

    def _bottom(self, idx: int) -> int:
        return self._tops[idx + 1]

    def _nearest(self, idx: int) -> int | None:
        """The row at ``idx``, or the next one to take the mark, or the one before."""
        idx = min(idx, len(self._rows) - 1)
        candidates = chain(range(max(idx, 0), len(self._rows)), range(idx - 1, -1, -1))
        return next((one for one in candidates if self._rows[one].key is not None), None)

    def _go(self, idx: int | None) -> None:
        self._cursor = idx
        if idx is not None and self.size.height:
            top, bottom, above = self._tops[idx], self._bottom(idx), self.scroll_offset.y
            while idx > 0 and self._rows[idx - 1].key is None:  # a heading is shown with its first row
                idx -= 1
                top = self._tops[idx]
            to = min(above, top) if top < above else max(above, bottom - self.size.height)
            self.scroll_to(y=to, animate=False, immediate=True, force=True)
            self._place_terminal_cursor()
        self.refresh()

    def _place_terminal_cursor(self) -> None:
        """Readers of the screen follow the terminal's own cursor."""
        if self.app.focused is self and self._cursor is not None:
            first = self._first_line(self._cursor) - self.scroll_offset.y
            self.app.cursor_position = self.content_region.offset + Offset(0, first)

    # --- to the terminal

    def render_line(self, y: int) -> Strip:
        """One line of the view, as Textual's line API asks for it."""
        line = y + self.scroll_offset.y
        if not self._rows:
            return self._line_of_nothing(y)
        if (idx := self._index_at(line)) is None:
            return Strip.blank(self.size.width, self.rich_style)
        text = painted(self._rows[idx], self._width, self._look(idx), self._style)[line - self._tops[idx]]
        strip = Strip(text.render(self.app.console), cell_len(text.plain))
        return strip.adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def _look(self, idx: int) -> Look:
        row = self._rows[idx]
        one = row.conversation.id if isinstance(row, Line | Found) else None
        return Look(
            is_current=one is not None and one == self._current_id,
            is_cursor=idx == self._cursor and self._shows_mark,
            is_hovered=idx == self._hovered and row.key is not None,
            is_writing=one in self._writing,
            in_words=self.app.has_class("-accessible"),
        )

    @property
    def _shows_mark(self) -> bool:
        """While the keys are elsewhere, a mark would only be noise."""
        return isinstance(self.parent, Widget) and self.parent.has_focus_within

    def _line_of_nothing(self, y: int) -> Strip:
        paragraphs = [Text(line, self._style("muted")) for line in self._nothing.split("\n")]
        lines = [line for each in paragraphs for line in wrap(each, max(self._width - 4, 1))]
        text = Text.assemble("  ", lines[y - 1]) if 0 < y <= len(lines) else Text()
        strip = Strip(text.render(self.app.console), cell_len(text.plain))
        return strip.adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def _style(self, name: str) -> Style:
        full = self.get_component_rich_style(f"history--{name}")
        if name in ("cursor", "hover"):
            return full
        return Style(color=full.color, bold=full.bold)
