"""The text of the prompt: a text area whose keys act in the order they were pressed.

Textual runs a binding when its key has bubbled up to the app; letters typed after it may already be in the text by
then, and letters typed before it not yet. So this one runs its own bindings itself, one key after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.style import StyleType
from rich.text import Text
from textual import events, on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.document._document import Location
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Region
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import TextArea

from tui.language import tr
from tui.widgets.prompt_text import JOINERS, clean, column_at, cuts, is_typed, left_of, right_of, snap, tab_widths

_SAME_KEYS = {"shift+\r": "shift+enter", "ctrl+\r": "ctrl+enter", "alt+\r": "alt+enter"}
"""What terminals with ``modifyOtherKeys`` call them."""


def _edit(keys: str, action: str, name: str, description: str) -> Binding:
    return Binding(keys, action, description, show=False, id=f"prompt.{name}", tooltip=description)


class PromptArea(TextArea, inherit_bindings=False):
    """A text area that grows with its text; its box sends what is typed and does all that is not editing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _edit("left", "cursor_left", "left", "Character left"),
        _edit("right", "cursor_right", "right", "Character right"),
        _edit("ctrl+left,alt+b", "cursor_word_left", "word_left", "Word left"),
        _edit("ctrl+right,alt+f", "cursor_word_right", "word_right", "Word right"),
        _edit("home,ctrl+a", "cursor_line_start", "line_start", "Beginning of the line"),
        _edit("end,ctrl+e", "cursor_line_end", "line_end", "End of the line"),
        _edit("shift+left", "cursor_left(True)", "select_left", "Select to the left"),
        _edit("shift+right", "cursor_right(True)", "select_right", "Select to the right"),
        _edit("shift+up", "cursor_up(True)", "select_up", "Select upwards"),
        _edit("shift+down", "cursor_down(True)", "select_down", "Select downwards"),
        _edit("ctrl+shift+left", "cursor_word_left(True)", "select_word_left", "Select the word before"),
        _edit("ctrl+shift+right", "cursor_word_right(True)", "select_word_right", "Select the word after"),
        _edit("shift+home", "cursor_line_start(True)", "select_line_start", "Select to the beginning of the line"),
        _edit("shift+end", "cursor_line_end(True)", "select_line_end", "Select to the end of the line"),
        _edit("f6", "select_line", "select_line", "Select the line"),
        _edit("f7", "select_all", "select_all", "Select all"),
        _edit("delete,ctrl+d", "delete_right", "delete_right", "Delete to the right"),
        _edit("ctrl+w,ctrl+backspace,alt+backspace", "delete_word_left", "delete_word_left", "Delete the word before"),
        _edit("alt+delete,alt+d", "delete_word_right", "delete_word_right", "Delete the word after"),
        _edit("ctrl+u", "delete_to_start_of_line", "delete_to_start", "Delete to the beginning of the line"),
        _edit("ctrl+shift+k,alt+k", "delete_to_end_of_line", "delete_to_end", "Delete to the end of the line"),
        _edit("ctrl+x,super+x", "cut", "cut", "Cut"),
        _edit("ctrl+c,super+c", "copy", "copy", "Copy what is selected"),
        _edit("ctrl+v,super+v", "paste", "paste", "Paste what was cut or copied here"),
        _edit("ctrl+z,super+z", "undo", "undo", "Undo"),
        _edit("ctrl+shift+z,super+shift+z,alt+z", "redo", "redo", "Redo"),
    ]

    def __init__(self, take_paste: Callable[[str], bool], *, id: str | None = None) -> None:
        super().__init__(id=id, show_line_numbers=False, highlight_cursor_line=False)
        self._take_paste = take_paste
        self._held: list[events.Key | events.Paste] | None = None

    # --- keys

    class Released(Message):
        """What was held may go on; a message, so that it comes after the keys that have arrived before it."""

    def hold(self) -> None:
        """Let keys and pastes wait until ``release``."""
        self._held = self._held or []

    def release(self) -> None:
        """Do what was pressed since ``hold``, in order; another ``hold`` on the way lets the rest wait again."""
        if self._held is not None:
            self.post_message(self.Released())

    @on(Released)
    async def _on_released(self, event: Released) -> None:
        event.stop()
        held, self._held = self._held or [], None
        for each in held:
            await (self._on_paste(each) if isinstance(each, events.Paste) else self._on_key(each))

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return _is_letter(key, character)

    async def _on_key(self, event: events.Key) -> None:
        self._restart_blink()
        event.prevent_default()
        if self._held is not None:
            self._held.append(event)
            event.stop()
            return
        key = _SAME_KEYS.get(event.key, event.key)
        if event.character and _is_letter(key, event.character):
            event.stop()
            self._type(event.character)
        elif await self._run_own_binding(key):
            event.stop()

    async def _run_own_binding(self, key: str) -> bool:
        """Run what the key means here or in the box; what it means to the screen is left to the screen."""
        active = self.screen.active_bindings.get(key)
        if active is None or not isinstance(active.node, Widget) or isinstance(active.node, Screen):
            return False
        return await self.app.run_action(active.binding.action, active.node)

    def _type(self, character: str) -> None:
        row, column = min(self.selection)
        if character in JOINERS and self.document[row][max(column - 1, 0) : column] in ("", "\u200d"):
            return  # nothing to join
        self._replace_via_keyboard(character, *self.selection)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if self._held is None:
            self.paste(event.text)
        else:
            self._held.append(event)

    def action_undo(self) -> None:
        """Take the last edit back; without one the key is left to the screen, which takes back a deleted chat."""
        if not self.history.undo_stack:
            raise SkipAction
        self.undo()

    def action_paste(self) -> None:
        """Paste what was last cut or copied in this program."""
        self.paste(self.app.clipboard)

    def paste(self, text: str) -> None:
        """Insert a text as one piece, unless the box makes something else of it."""
        text = clean(text)
        if not self._take_paste(text):
            self.insert_text(text)
            self.focus()

    def insert_text(self, text: str) -> None:
        """Put ``text`` where the cursor is, in place of what is selected; one step to undo."""
        self._replace_via_keyboard(clean(text), *self.selection)

    # --- what the text is and where the cursor stands

    def set_text(self, text: str) -> None:
        """Begin anew with ``text``, the cursor at its end."""
        self.load_text(clean(text))
        self.move_cursor(self.document.end)

    @property
    def is_on_first_row(self) -> bool:
        return self.selection.is_empty and self.navigator.is_first_wrapped_line(self.cursor_location)

    @property
    def is_on_last_row(self) -> bool:
        return self.selection.is_empty and self.navigator.is_last_wrapped_line(self.cursor_location)

    def clamp_visitable(self, location: Location) -> Location:
        row, column = super().clamp_visitable(location)
        return row, snap(self.document[row], column)

    def get_cursor_left_location(self) -> Location:
        row, column = self.cursor_location
        return (row, left_of(self.document[row], column)) if column else super().get_cursor_left_location()

    def get_cursor_right_location(self) -> Location:
        row, column = self.cursor_location
        line = self.document[row]
        return (row, right_of(line, column)) if column < len(line) else super().get_cursor_right_location()

    def action_delete_to_start_of_line(self) -> None:
        """Delete to the beginning of the line, however many rows it takes; there, join it to the one before."""
        row, column = self.cursor_location
        start = (row, 0) if column else self.get_cursor_left_location()
        self._delete_via_keyboard(start, (row, column))

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        return None  # a prompt is not code, and searching a long one at every key is slow

    # --- what it looks like

    def on_resize(self) -> None:
        self.call_after_refresh(self.scroll_cursor_visible)

    def _set_document(self, text: str, language: str | None) -> None:
        super()._set_document(text, language)
        self.wrapped_document = _Rows(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._rewrap_and_refresh_virtual_size()

    def render_lines(self, crop: Region) -> list[Strip]:
        self.set_reactive(TextArea.placeholder, tr("Ask anything, / for commands"))  # the language may have changed
        return super().render_lines(crop)

    def get_line(self, line_index: int) -> Text:
        return _Line(self.document.get_line(line_index), end="", no_wrap=True)


class _Line(Text):
    """A line whose cursor covers all of what is seen as one character."""

    def stylize(self, style: StyleType, start: int = 0, end: int | None = None) -> None:
        if end == start + 1:
            end = right_of(self.plain, start)
        super().stylize(style, start, end)


class _Rows(WrappedDocument):
    """Lines cut into rows: Chinese wherever it may break, and never inside what is seen as one character."""

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        self._width, self._tab_width = width, tab_width or self._tab_width
        rows = [cuts(line, width, self._tab_width) if width else () for line in self.document.lines]
        self._wrap_offsets = [list(offsets) for offsets in rows]
        self._tab_width_cache = [
            tab_widths(line, offsets, self._tab_width) for line, offsets in zip(self.document.lines, rows, strict=True)
        ]
        self._offset_to_line_info = [
            (line, section) for line, offsets in enumerate(rows) for section in range(len(offsets) + 1)
        ]
        self._line_index_to_offsets = [[] for _ in rows]
        for y, (line, _section) in enumerate(self._offset_to_line_info):
            self._line_index_to_offsets[line].append(y)

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        self.wrap(self._width)  # lines that have not changed come from a cache

    def get_sections(self, line_index: int) -> list[str]:
        line, offsets = self.document[line_index], self.get_offsets(line_index)
        return [line[start:end] for start, end in zip([0, *offsets], [*offsets, None], strict=True)]

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        sections = self.get_sections(line_index)
        index = y_offset % len(sections)
        start = sum(map(len, sections[:index]))
        column = column_at(sections[index], x_offset, self._tab_width)
        if index < len(sections) - 1:
            column = min(column, left_of(sections[index], len(sections[index])))
        return start + column


def _is_letter(key: str, character: str | None) -> bool:
    return is_typed(character) and not key.startswith(("alt+", "ctrl+", "super+"))
