"""The conversation as one scrolling widget that draws only what is in view.

A widget a message would not stay smooth. This one keeps a list of entries; ``conversation_layout.py`` knows where
they lie and draws their pieces as they come into view, ``conversation_entry.py`` what belongs to a message, and
``conversation_find.py`` where words stand. Here are the view, the keys and the mouse.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment as Cells
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Offset, Region, Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from tui.language import tr
from tui.markdown import CodeBlock, Document, Look, Palette, Row
from tui.messages import CitationChosen, MessageAction, MessageAsked
from tui.widgets.conversation_entry import Entry, EntryView
from tui.widgets.conversation_find import Finder, any_word, phrase
from tui.widgets.conversation_keys import KEYS
from tui.widgets.conversation_layout import Layout, Place
from tui.widgets.conversation_messages import LinkChosen

__all__ = ["Conversation", "Entry", "LinkChosen"]

_MAX_TEXT_WIDTH = 100  # longer lines are hard to read
_MARGIN = 2
_MAY_HOLD_CODE = re.compile("```|~~~|^[^\\n]*(?: {4}|\t)", re.MULTILINE)
_FRAME_S = 0.05
_MAX_FRAME_S = 0.3
_ON_THEIR_OWN = ("user", "code", "code-block", "found", "found-now", "news")  # the others keep what is behind them
_FRAME_SHARE = 0.04  # of one core, for what streams in


class Conversation(ScrollView, can_focus=True):
    """The messages of one conversation, following the newest while the reader is at the bottom."""

    DEFAULT_CSS = """
    Conversation {
        height: 1fr; padding: 1 0 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background;
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
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "conversation--user",
        "conversation--mark",
        "conversation--cursor",
        "conversation--heading",
        "conversation--code",
        "conversation--code-block",
        "conversation--link",
        "conversation--muted",
        "conversation--error",
        "conversation--found",
        "conversation--found-now",
        "conversation--news",
    }
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    found: var[tuple[int, int]] = var((0, 0))
    """Which hit was gone to last, from 1, and how many there are."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._layout = Layout(self._read, self._draw)
        self._anchor: Place | None = None  # what lies at the top; None while following the end
        self._finder: Finder | None = None
        self._before_find: Place | None = None
        self._style_number = 0
        self._palette_made: Palette | None = None
        self._styles_made: dict[str, Style] = {}
        self._shown: list[tuple[int, Row | None]] = []  # what the view showed last, line by line
        self._shown_at = (-1, -1)
        self._grown: set[int] = set()  # the entries with new text
        self._frame: Timer | None = None
        self._frame_s = _FRAME_S
        self._frame_began = (0.0, 0.0)  # by the clock, and in CPU time
        self._is_placing = False
        self._has_news = False
        self._code_copied: tuple[int, int] = (-1, -1)
        self._clicked_row = 0
        self.cursor_id: int | None = None
        """The message that keys act on; ``None`` for the last one."""

    # --- what the screen calls

    def show(self, entries: Iterable[Entry], *, at: int | None = None, words: str = "") -> None:
        """Replace everything, and go to the end, or to the message ``at`` with ``words`` marked."""
        self._layout.set_entries(entries)
        self._grown.clear()
        self.cursor_id, self._anchor, self._before_find, self._has_news = None, None, None, False
        self._finder = Finder(any_word(words), self.entries) if words.strip() else None
        if at is not None and (idx := self._index(at)) is not None:
            self.cursor_id = at
            self._anchor = Place(idx, 0, -(self.size.height // 3))
            if self._finder and (found := self._finder.step(1, idx, 0)) and found[0] == idx:
                self._go_to_hit(idx)
        self._tell_found()
        self._lay_out()

    def add(self, *entries: Entry) -> None:
        """Append messages, and go to the end."""
        start = len(self.entries)
        self._layout.append(entries)
        if self._finder:
            for idx in range(start, len(self.entries)):
                self._finder.read(idx, self.entries[idx])
        self._anchor, self._has_news = None, False
        self._lay_out()

    def grow(self, message_id: int, text: str) -> None:
        """Append to a reply; the screen catches up a few times a second."""
        if (idx := self._index(message_id)) is not None:
            self.entries[idx].text += text
            self._grown.add(idx)
            if self._frame is None and self.is_attached:
                self._frame = self.set_timer(self._frame_s, self._draw_frame)

    def finish(
        self, message_id: int, note: str = "", *, is_error: bool = False, figures: str = "", sources: Iterable[Any] = ()
    ) -> None:
        """A reply is complete, or ended for the reason in ``note``."""
        if (idx := self._index(message_id)) is not None:
            entry = self.entries[idx]
            entry.growing, entry.note, entry.is_error = False, note, is_error
            entry.figures, entry.sources = figures or entry.figures, tuple(sources) or entry.sources
            self._grown.add(idx)
            self._catch_up()
            self._lay_out()

    @property
    def entries(self) -> list[Entry]:
        """The messages shown."""
        return self._layout.entries

    @property
    def is_following(self) -> bool:
        """Whether the end stays in view as it grows."""
        return self._anchor is None

    @property
    def top_id(self) -> int | None:
        """The first message in view."""
        idx = self._layout.row_at(self.scroll_offset.y)[0] if self._width else -1
        return self.entries[idx].message_id if idx >= 0 else None

    def code_blocks(self, message_id: int) -> list[str]:
        """The blocks of code in a message, in order."""
        idx = self._index(message_id)
        return [] if idx is None else [block.source for block in self._blocks(idx)]

    def _index(self, message_id: int) -> int | None:
        entries = self.entries
        return next((idx for idx in range(len(entries) - 1, -1, -1) if entries[idx].message_id == message_id), None)

    # --- finding

    def find(self, words: str) -> int:
        """Mark the words wherever they stand and go to the first place in view or below; returns how many there are."""
        if not words:
            self.end_find()
            return 0
        if self._before_find is None and self.entries and self._width:
            self._before_find = self._anchor or Place(len(self.entries) - 1, 0, 0)
            self._followed_before_find = self._anchor is None
        self._finder = Finder(phrase(words), self.entries)
        self._step(1)
        return self._finder.count

    def find_step(self, by: int) -> None:
        """Go on by some hits, and stay there when the search ends; after the last one comes the first."""
        self._before_find = None
        self._step(by)

    def _step(self, by: int) -> None:
        if self._finder is not None and self._width and self.entries:
            top = self._layout.place(self.scroll_offset.y)
            view = self._layout.view(top.entry)
            if (found := self._finder.step(by, top.entry, view.segments[top.segment].line)) is not None:
                self._go_to_hit(found[0])
            self._lay_out()
        self._tell_found()

    def end_find(self) -> None:
        """Unmark everything, and go back to where it began unless someone stepped through the hits."""
        if self._finder is not None:
            self._finder = None
            if self._before_find is not None:
                self._anchor = None if self._followed_before_find else self._before_find
            self._before_find = None
            self._lay_out()
            self._tell_found()

    _followed_before_find = True

    def _tell_found(self) -> None:
        self.found = (self._finder.position, self._finder.count) if self._finder else (0, 0)

    def _go_to_hit(self, idx: int) -> None:
        """Make the hit gone to last the anchor, unless it is in view."""
        if self._finder is None or not self._width:
            return
        now = self._finder.settle(self._layout.view(idx).segments)
        rows = self._layout.rows(idx, now.segment)
        style = self._palette.found_now
        offset = next((n for n, row in enumerate(rows) if any(span.style == style for span in row.text.spans)), 0)
        row = self._layout.row(Place(idx, now.segment, offset))
        top = self.scroll_offset.y
        if not top <= row < top + self.size.height - 1 or (self._anchor and self._anchor.offset < 0):
            self._anchor = Place(idx, now.segment, offset - self.size.height // 3)
        elif self._anchor is None:
            self._anchor = self._layout.place(top)

    # --- layout

    def _draw_frame(self) -> None:
        """Show what has come since the last frame."""
        self._frame = None
        self._frame_s = self._next_frame_s()
        self._catch_up()
        self._lay_out()

    def _next_frame_s(self) -> float:
        """Frames come less often where they, or what else this thread does, take much of a core."""
        now, used = time.monotonic(), time.thread_time()
        (before, used_before), self._frame_began = self._frame_began, (now, used)
        if now - before > 1:  # it was not frames that took the time between
            return _FRAME_S
        return min(max((used - used_before) / _FRAME_SHARE, _FRAME_S), _MAX_FRAME_S)

    def _catch_up(self) -> None:
        for idx in self._grown:
            if idx < len(self.entries):
                self._layout.changed(idx)
                if self._finder:
                    self._finder.read(idx, self.entries[idx])
        self._has_news = self._has_news or (bool(self._grown) and not self.is_following)
        if self._finder and self._grown:
            self._tell_found()
        self._grown.clear()

    def _lay_out(self) -> None:
        if not self._width or not self.is_attached:
            return
        if self._layout.width != self._width:
            self._layout.resize(self._width)
        height = self.size.height
        if self._anchor is None or not self.entries:
            self._layout.fill_end(height)
            row = self._layout.height
        else:
            self._layout.fill(self._anchor, height)
            row = self._layout.row(self._anchor)
        self._is_placing = True
        self._set_virtual_size(Size(self._width, self._layout.height))
        self.scroll_to(y=min(row, self.max_scroll_y), immediate=True, force=True)
        self._is_placing = False
        if self._anchor is not None and self._anchor.from_end is not None:
            self._anchor = self._layout.place(row)
        self._refresh_changed()

    def _set_virtual_size(self, size: Size) -> None:
        """Only where a scrollbar comes or goes must the screen be laid out again; Textual would do so every time."""
        is_longer = size.height > self.size.height
        if size.width != self.virtual_size.width or is_longer != self.show_vertical_scrollbar:
            self.virtual_size = size
        elif size != self.virtual_size:
            self.set_reactive(Conversation.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height

    def _refresh_changed(self) -> None:
        """Paint the lines that are not as they were."""
        top, height = self.scroll_offset.y, self.size.height
        shown_at = (top, self._style_number)
        before, self._shown = self._shown, self._layout.window(top, height)
        if shown_at != self._shown_at or len(before) != height:
            self._shown_at = shown_at
            self.refresh()
            return
        for y, ((_, old), (_, new)) in enumerate(zip(before, self._shown, strict=True)):
            if old is not new and not (old and new and old.text == new.text and old.text.style == new.text.style):
                self.refresh(Region(0, y, self.size.width, 1))
        if self._has_news:
            self.refresh(Region(0, height - 1, self.size.width, 1))

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._is_placing or round(old_value) == round(new_value) or not self.entries or not self._width:
            return
        if self.is_vertical_scroll_end:
            self._anchor, self._has_news = None, False
        else:
            self._anchor = self._layout.place(round(new_value))
        self._lay_out()

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> None:
        """Scroll at once: while heights become exact on the way, an animation would run to a wrong place."""
        super().scroll_to(x, y, **options | {"animate": False})

    def scroll_end(self, **_options: Any) -> None:
        """Go to the end, and follow it."""
        self._anchor, self._has_news = None, False
        self._lay_out()

    def scroll_home(self, **_options: Any) -> None:
        """Go to the beginning."""
        self._anchor = Place(0, 0, 0)
        self._lay_out()

    def on_resize(self, _event: events.Resize) -> None:
        self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        before, self._palette_made = self._palette_made, None
        self._styles_made.clear()
        self._style_number += 1
        if before is not None and before.is_plain != self._palette.is_plain:
            self._layout.forget()
        self._lay_out()

    # --- entries to rows

    def _read(self, view: EntryView) -> None:
        view.read(is_plain=self._palette.is_plain)

    def _draw(self, idx: int, view: EntryView, segment_idx: int) -> list[Row]:
        segment = view.segments[segment_idx]
        now = self._finder.now if self._finder else None
        number = now.number if now and (now.entry, now.segment) == (idx, segment_idx) else -1
        references = view.document.references if view.document else {}
        width = self._text_width
        made_for = (width, self._style_number, segment.body.stamp, id(references), id(self._finder), number)
        if segment.drawn is not None and segment.drawn_for == made_for:
            return segment.drawn
        look = Look(
            self._palette,
            references,
            frozenset(source.number for source in view.entry.sources),
            self._finder.pattern if self._finder else None,
            number,
            tr("copy"),
        )
        segment.drawn_for = made_for
        return segment.draw(width, look)

    @property
    def _text_width(self) -> int:
        return max(min(self._width - 2 * _MARGIN, _MAX_TEXT_WIDTH), 1)

    @property
    def _palette(self) -> Palette:
        if self._palette_made is None:
            names = ("heading", "code", "code-block", "link", "muted", "error", "found", "found-now")
            styles = {name.replace("-", "_"): self._style(name) for name in names}
            theme = getattr(self.app, "code_theme", "") or ("monokai" if self.app.current_theme.dark else "friendly")
            self._palette_made = Palette(**styles, code_theme=theme, is_plain=self.app.has_class("-accessible"))
        return self._palette_made

    def _style(self, name: str) -> Style:
        """A style of the theme, or the widget's own; Textual itself forgets them with every refresh."""
        if (style := self._styles_made.get(name)) is None:
            style = self.get_component_rich_style(f"conversation--{name}") if name else self.rich_style
            if name and name not in _ON_THEIR_OWN:
                style = style.without_color + Style(color=style.color)
            self._styles_made[name] = style
        return style

    # --- rows to the terminal

    def render_line(self, y: int) -> Strip:
        """One line of the view, as Textual's line API asks for it."""
        if self._has_news and y == self.size.height - 1:
            return self._news()
        row = y + self.scroll_offset.y
        if self._shown_at == (self.scroll_offset.y, self._style_number) and 0 <= y < len(self._shown):
            idx, drawn = self._shown[y]
        else:
            idx, drawn = self._layout.row_at(row) if self._width else (-1, None)
        if idx < 0 or drawn is None:
            return self._painted(Text(), None, row)
        entry = self.entries[idx]
        is_under_cursor = entry.message_id == self.cursor_id
        if (selection := self.text_selection) is not None and (span := selection.get_span(row)) is not None:
            line, style = self._line(entry, drawn, row)
            start, end = span
            line.stylize(self.screen.get_component_rich_style("screen--selection"), start, None if end == -1 else end)
            return self._painted(line, style, row)
        made_for = (row, self.size.width, self._style_number, is_under_cursor)
        if drawn.painted_for != made_for:
            drawn.painted, drawn.painted_for = self._painted(*self._line(entry, drawn, row), row), made_for
        assert isinstance(drawn.painted, Strip)
        return drawn.painted

    def _painted(self, line: Text, style: Style | None, row: int) -> Strip:
        strip = Strip(line.render(self.app.console), cell_len(line.plain))
        behind = self._style("")
        return strip.adjust_cell_length(self.size.width, style).apply_style(behind).apply_offsets(0, row)

    def _line(self, entry: Entry, drawn: Row, row: int) -> tuple[Text, Style | None]:
        """A row with the margin before it, and the style of the rest of the line."""
        style = self._style("user") if entry.role == "user" and not self._palette.is_plain else None
        line = Text.assemble(self._margin(entry, row), drawn.text)
        if style:
            line.style = style
        return line, style

    def _margin(self, entry: Entry, row: int) -> Text:
        """The bar at the left: of what people wrote, and of the message that keys act on."""
        is_under_cursor = entry.message_id == self.cursor_id
        if self._palette.is_plain:
            is_first = is_under_cursor and self._layout.row_at(row - 1)[1] is None
            return Text("> " if is_first else "  ")
        if is_under_cursor:
            return Text("┃ ", self._style("cursor"))
        return Text("▌ ", self._style("mark")) if entry.role == "user" else Text("  ")

    def _news(self) -> Strip:
        words = tr("new text below")
        label = words if self._palette.is_plain else f" ↓ {words} "
        style = self._style("news") + Style.from_meta({"news": True})
        before = max((self._width - cell_len(label)) // 2, 0)
        cells = [Cells(" " * before), Cells(label, style)]
        return Strip(cells).adjust_cell_length(self.size.width).apply_style(self._style(""))

    # --- selecting text with the mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was said in the selected place, with lines that were cut for the screen joined again."""
        first = selection.start.y if selection.start else 0
        last = min(selection.end.y if selection.end else self._layout.height, self._layout.height)
        said: list[str] = []
        for row in range(first, last + 1):
            span = selection.get_span(row)
            drawn = self._layout.row_at(row)[1] if self._width else None
            if span is None or (drawn is not None and not drawn.is_said):
                continue
            if drawn is None:
                said.append("\n")
                continue
            start, end = max(span[0] - _MARGIN, drawn.margin), span[1]
            words = drawn.text.plain[start : None if end == -1 else max(end - _MARGIN, 0)]
            said += [drawn.joins if drawn.joins is not None and said else "\n", words.rstrip().replace("▎", ">")]
        return "".join(said[1:]).strip("\n"), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def text_select_all(self) -> None:
        """A double click selects the message, not all that was ever said."""
        if not self._width or (idx := self._layout.row_at(self._clicked_row)[0]) < 0:
            return
        start, end = Offset(0, self._layout.tops[idx]), Offset(self.size.width, self._layout.tops[idx + 1] - 1)
        self.screen.selections = {self: Selection(start, end)}

    # --- the mouse

    def on_click(self, event: events.Click) -> None:
        self._clicked_row = event.y - self.gutter.top + self.scroll_offset.y
        idx = self._layout.row_at(self._clicked_row)[0] if self._width else -1
        meta = event.style.meta
        if "news" in meta:
            self.scroll_end()
        elif idx >= 0 and event.chain == 1 and not self.screen.get_selected_text():
            self._click(self.entries[idx], idx, meta)

    def _click(self, entry: Entry, idx: int, meta: dict[str, Any]) -> None:
        if "citation" in meta:
            self.post_message(CitationChosen(entry.message_id, meta["citation"]))
        elif "link" in meta:
            self.post_message(LinkChosen(meta["link"]))
        elif "code" in meta:
            place = self._layout.place(self._clicked_row)
            body = self._layout.view(idx).segments[place.segment].body
            numbers = [n for n, block in enumerate(self._blocks(idx)) if block is getattr(body, "block", None)]
            if numbers:
                self._copy_block(idx, numbers[0])
        elif "variant" in meta:
            action: MessageAction = "previous_variant" if meta["variant"] < 0 else "next_variant"
            self.post_message(MessageAsked(action, entry.message_id))
        else:
            self.cursor_id = entry.message_id
            self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        is_active = not event.style.meta.keys().isdisjoint(("news", "citation", "link", "code", "variant"))
        self.styles.pointer = "pointer" if is_active else "default"

    # --- the keys

    def action_cursor(self, by: int) -> None:
        """Move the message cursor; from nowhere, it comes to the last message in view."""
        if not self.entries or not self._width:
            return
        idx = self._index(self.cursor_id) if self.cursor_id is not None else None
        if idx is None:
            last = self._layout.row_at(min(self.scroll_offset.y + self.size.height, self._layout.height) - 1)[0]
            idx = max(last, 0) if by < 0 else max(self._layout.row_at(self.scroll_offset.y)[0], 0)
        else:
            idx = min(max(idx + by, 0), len(self.entries) - 1)
        self.cursor_id = self.entries[idx].message_id
        self._bring_into_view(idx)

    def _bring_into_view(self, idx: int) -> None:
        top, height = self.scroll_offset.y, self.size.height
        first, last = self._layout.tops[idx], self._layout.tops[idx + 1] - 1
        if first < top or (last > top + height and first > top):
            self._anchor = Place(idx, 0, 0)
            if idx == len(self.entries) - 1 and last - first <= height:
                self._anchor = None
        self._lay_out()
        self.refresh()

    def action_ask(self, action: MessageAction) -> None:
        """Ask for something to be done with the message under the cursor, or the last one that it fits."""
        entry = self._target(action)
        if entry is not None:
            self.post_message(MessageAsked(action, entry.message_id))

    def _target(self, action: MessageAction) -> Entry | None:
        idx = self._index(self.cursor_id) if self.cursor_id is not None else None
        until = len(self.entries) if idx is None else idx + 1
        entries = self.entries[:until][::-1]
        if action in ("previous_variant", "next_variant") and idx is None:
            return next((entry for entry in entries if entry.variant), None)
        if action == "edit":
            return next((entry for entry in entries if entry.role == "user"), None)
        if idx is not None:
            return self.entries[idx]
        return next((entry for entry in entries if entry.role == "assistant"), None)

    def action_step(self, by: int) -> None:
        self.find_step(by)

    def action_copy_code(self) -> None:
        """Copy a block of code of the message, or in view; the key pressed again takes the next one."""
        if not self._width:
            return
        target = self._target("copy_code")
        idx = self._index(target.message_id) if target is not None else None
        if self.cursor_id is None:
            idx = next((seen for seen in self._in_view() if self._blocks(seen)), idx)
        if idx is None or not (blocks := self._blocks(idx)):
            return
        copied, number = self._code_copied
        self._copy_block(idx, (number + 1) % len(blocks) if copied == self.entries[idx].message_id else 0)

    def _in_view(self) -> list[int]:
        """The entries in view, the last one first."""
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        spans = enumerate(pairwise(self._layout.tops))
        return [idx for idx, (first, end) in spans if first < bottom and end > top][::-1]

    def _blocks(self, idx: int) -> list[CodeBlock]:
        entry, view = self.entries[idx], self._layout.peek(idx)
        if entry.role == "user" or not _MAY_HOLD_CODE.search(entry.text):
            return []
        document = view.document if view else None
        if document is None:
            document = Document()
            document.update(entry.text, growing=entry.growing)
        return document.code_blocks()

    def _copy_block(self, idx: int, number: int) -> None:
        from tui.clipboard import copy

        blocks = self._blocks(idx)
        self._code_copied = self.entries[idx].message_id, number
        copy(self.app, blocks[number].source)
        if len(blocks) == 1:
            self.notify(tr("The code is copied."), markup=False)
        else:
            self.notify(tr("Block {number} of {count} is copied.", number=number + 1, count=len(blocks)), markup=False)
