"""The conversation as one scrolling widget that draws only what is in view.

A widget a message would not stay smooth. This one keeps a list of entries; ``conversation_layout.py`` knows where
they lie and draws their pieces as they come into view, ``conversation_paint.py`` how they look on the terminal,
``conversation_entry.py`` what belongs to a message, and ``conversation_find.py`` where words stand. Here are the view,
the keys and the mouse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Offset, Region, Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from chatglm_slim_llm.storage import ToolUse
from tui.compositing import paint_at_once
from tui.language import tr
from tui.markdown import CodeBlock, Look, Row
from tui.memory import set_aside
from tui.messages import CitationChosen, MessageAction, MessageAsked, ToolUseChosen
from tui.widgets.conversation_code import CodeCopier, blocks_of
from tui.widgets.conversation_entry import Entry, EntryView
from tui.widgets.conversation_find import Finder, any_word, phrase
from tui.widgets.conversation_frames import Frames
from tui.widgets.conversation_keys import KEYS
from tui.widgets.conversation_layout import Layout, Place
from tui.widgets.conversation_messages import LinkChosen
from tui.widgets.conversation_paint import COMPONENTS, MARGIN, STYLES, Painter
from tui.widgets.conversation_scrollbar import move_bar
from tui.widgets.conversation_selection import selected_words

__all__ = ["Conversation", "Entry", "LinkChosen"]

_MAX_TEXT_WIDTH = 100  # longer lines are hard to read
_REST_S = 1.0  # after a chat was opened


class Conversation(ScrollView, can_focus=True):
    """The messages of one conversation, following the newest while the reader is at the bottom."""

    DEFAULT_CSS = STYLES
    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    found: var[tuple[int, int]] = var((0, 0))
    """Which hit was gone to last, from 1, and how many there are."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._layout = Layout(self._read, self._draw)
        self._anchor: Place | None = None  # what lies at the top; None while following the end
        self._finder: Finder | None = None
        self._before_find: Place | None = None
        self._painter = Painter(self)
        self._copier = CodeCopier(self)
        self._shown: list[tuple[int, Row | None]] = []  # what the view showed last, line by line
        self._shown_at = (-1, -1)
        self._grown: set[int] = set()  # the entries with new text
        self._frames = Frames(self, self._draw_frame)
        self._is_placing = False
        self._has_news = False
        self._clicked_row = 0
        self._resting: Timer | None = None
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
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST_S, set_aside)

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
            self._frames.ask()

    def use_tools(self, message_id: int, uses: tuple[ToolUse, ...]) -> None:
        """What a reply has done with tools so far; the screen catches up a few times a second."""
        if (idx := self._index(message_id)) is not None:
            self.entries[idx].uses = uses
            self._grown.add(idx)
            self._frames.ask()

    def changed(self, message_id: int) -> None:
        """An entry says something else than before: show it."""
        if (idx := self._index(message_id)) is not None:
            self._grown.add(idx)
            self._catch_up()
            self._lay_out()

    def before_frame(self, do: Callable[[], None]) -> None:
        """Do something just before the next frame: what it tells is shown in it. Any thread may call."""
        self._frames.ask_from_any_thread(do)

    def finish(
        self, message_id: int, note: str = "", *, is_error: bool = False, figures: str = "", sources: Iterable[Any] = ()
    ) -> None:
        """A reply is complete, or ended for the reason in ``note``."""
        if (idx := self._index(message_id)) is not None:
            entry = self.entries[idx]
            entry.growing, entry.note, entry.is_error = False, note, is_error
            entry.figures, entry.sources = figures or entry.figures, tuple(sources) or entry.sources
            self.changed(message_id)

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
        style = self._painter.palette.found_now
        offset = next((n for n, row in enumerate(rows) if any(span.style == style for span in row.text.spans)), 0)
        row = self._layout.row(Place(idx, now.segment, offset))
        top = self.scroll_offset.y
        if not top <= row < top + self.size.height - 1 or (self._anchor and self._anchor.offset < 0):
            self._anchor = Place(idx, now.segment, offset - self.size.height // 3)
        elif self._anchor is None:
            self._anchor = self._layout.place(top)

    # --- layout

    def on_mount(self) -> None:
        self._frames.begin()

    def _draw_frame(self) -> None:
        """Show what has come since the last frame."""
        if self._grown:
            self._catch_up()
            self._lay_out(at_once=True)

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

    def _lay_out(self, *, at_once: bool = False) -> None:
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
        self._move_bar()
        if self._anchor is not None and self._anchor.from_end is not None:
            self._anchor = self._layout.place(row)
        if regions := self._changed_regions():
            paint_at_once(self, *regions) if at_once else self.refresh(*regions)

    def _set_virtual_size(self, size: Size) -> None:
        """Only where a scrollbar comes or goes must the screen be laid out again; Textual would do so every time."""
        is_longer = size.height > self.size.height
        if size.width != self.virtual_size.width or is_longer != self.show_vertical_scrollbar:
            self.virtual_size = size
        elif size != self.virtual_size:
            self.set_reactive(Conversation.virtual_size, size)

    def _move_bar(self) -> None:
        if self.show_vertical_scrollbar:
            move_bar(self.vertical_scrollbar, self.virtual_size.height, self.scroll_y)

    def _changed_regions(self) -> list[Region]:
        """The lines that are not as they were."""
        top, height = self.scroll_offset.y, self.size.height
        (top_before, number), self._shown_at = self._shown_at, (top, self._painter.number)
        before, self._shown = self._shown, self._layout.window(top, height)
        changed = self._changed(before, top - top_before) if number == self._painter.number else range(height)
        if top != top_before or len(before) != height or len(changed) == height:
            return [Region(0, 0, self._width, height)]
        lines = [*changed, height - 1] if self._has_news else changed
        return [Region(0, y, self._width, 1) for y in lines]

    def _changed(self, before: list[tuple[int, Row | None]], scrolled: int) -> Sequence[int]:
        """The lines that show something else than before; what was painted of the others is kept."""
        changed = []
        for y, (_, new) in enumerate(self._shown):
            old = before[y + scrolled][1] if 0 <= y + scrolled < len(before) else None
            if old is new:
                continue
            if old and new and old.text == new.text and old.text.style == new.text.style:
                new.painted, new.painted_for = old.painted, old.painted_for
            else:
                changed.append(y)
        return changed

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if not self._is_placing:
            self._move_bar()
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
        was_plain = self._painter.forget()
        if was_plain is not None and was_plain != self._painter.palette.is_plain:
            self._layout.forget()
        self._lay_out()

    # --- entries to rows

    def _read(self, view: EntryView) -> None:
        view.read(is_plain=self._painter.palette.is_plain)

    def _draw(self, idx: int, view: EntryView, segment_idx: int) -> list[Row]:
        segment = view.segments[segment_idx]
        now = self._finder.now if self._finder else None
        number = now.number if now and (now.entry, now.segment) == (idx, segment_idx) else -1
        references = view.document.references if view.document else {}
        width = self._text_width
        made_for = (width, self._painter.number, segment.body.stamp, id(references), id(self._finder), number)
        if segment.drawn is not None and segment.drawn_for == made_for:
            return segment.drawn
        look = Look(
            self._painter.palette,
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
        return max(min(self._layout.width - 2 * MARGIN, _MAX_TEXT_WIDTH), 1)

    # --- rows to the terminal

    def render_lines(self, crop: Region) -> list[Strip]:
        """Some lines of the view; they are kept with what they show, which Textual does not when they move."""
        paint = self._line_painter()
        strips = [paint(y) for y in crop.line_range]
        return (
            strips if crop.column_span == (0, self.size.width) else [strip.crop(*crop.column_span) for strip in strips]
        )

    def render_line(self, y: int) -> Strip:
        """One line of the view, as Textual's line API asks for it."""
        return self._line_painter()(y)

    def _line_painter(self) -> Callable[[int], Strip]:
        """What all lines have in common is looked up once."""
        top, size, selection = self.scroll_offset.y, self.size, self.text_selection
        shown = self._shown if self._shown_at == (top, self._painter.number) else []
        news_y = size.height - 1 if self._has_news else -1

        def paint(y: int) -> Strip:
            if y == news_y:
                return self._painter.news(size.width)
            idx, drawn = shown[y] if 0 <= y < len(shown) else self._layout.row_at(y + top)
            if idx < 0 or drawn is None:
                return self._painter.blank(y + top, size.width)
            span = selection.get_span(y + top) if selection is not None else None
            is_first = self._painter.palette.is_plain and self._layout.row_at(y + top - 1)[1] is None
            return self._painter.strip(self.entries[idx], drawn, y + top, size.width, span, is_first=is_first)

        return paint if self._layout.width else lambda y: self._painter.blank(y + top, size.width)

    # --- selecting text with the mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was said in the selected place, with lines that were cut for the screen joined again."""
        return selected_words(self._layout, selection), "\n"

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
        elif "tool" in meta:
            self.post_message(ToolUseChosen(entry.message_id, meta["tool"]))
        elif "link" in meta:
            self.post_message(LinkChosen(meta["link"]))
        elif "code" in meta:
            place = self._layout.place(self._clicked_row)
            body = self._layout.view(idx).segments[place.segment].body
            blocks = self._blocks(idx)
            if (block := getattr(body, "block", None)) in blocks:
                self._copier.copy(entry.message_id, blocks, blocks.index(block))
        elif "variant" in meta:
            action: MessageAction = "previous_variant" if meta["variant"] < 0 else "next_variant"
            self.post_message(MessageAsked(action, entry.message_id))
        else:
            self.cursor_id = entry.message_id
            self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        is_active = not event.style.meta.keys().isdisjoint(("news", "citation", "tool", "link", "code", "variant"))
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
        if action == "tools":
            return next((entry for entry in entries if entry.uses), None)
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
        self._copier.copy_next(self.entries[idx].message_id, blocks)

    def _in_view(self) -> list[int]:
        """The entries in view, the last one first."""
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        spans = enumerate(pairwise(self._layout.tops))
        return [idx for idx, (first, end) in spans if first < bottom and end > top][::-1]

    def _blocks(self, idx: int) -> list[CodeBlock]:
        return blocks_of(self.entries[idx], self._layout.peek(idx))
