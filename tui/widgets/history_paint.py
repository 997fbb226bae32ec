"""A row of the history as styled lines, each exactly as wide as the list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len, split_graphemes
from rich.style import Style
from rich.text import Text

from chatglm_slim_llm.storage import Hit
from tui.language import tr
from tui.widgets.history_rows import EmptyTrash, Folder, Found, Heading, Line, Row
from tui.wrapping import visible

_INDENT = 2
_MOST_CHARACTERS = 1000  # of a title of any length, more than any line holds
_PLAIN = Style.null()
_ONE_LINE = dict.fromkeys([*range(32), *range(127, 160), *range(8234, 8239), *range(8294, 8298)], " ")
_FEWEST_CELLS = 4  # of a title; what stands behind it gives way
_CONTEXT = 8  # cells kept before the first word found, where the line is too short for all


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a row stands out at this moment."""

    is_current: bool = False
    is_cursor: bool = False
    is_hovered: bool = False
    is_writing: bool = False
    in_words: bool = False
    """Say in words what symbols say otherwise."""


Styles = Callable[[str], Style]


def painted(row: Row, width: int, look: Look, style: Styles) -> list[Text]:
    """The lines of a row, a gap above it included."""
    ground = style("cursor") if look.is_cursor else style("hover") if look.is_hovered else Style.null()
    lines = _lines(row, width, look, _clear(style) if look.is_cursor else style)
    gap = row.height - len(lines)
    return [Text(" " * width)] * gap + [_grounded(line, width, ground) for line in lines]


def _clear(style: Styles) -> Styles:
    """What is muted elsewhere is not on the ground of the marked row."""
    return lambda name: Style(bold=style(name).bold) if name in ("heading", "muted") else style(name)


def menu_column(width: int) -> int:
    """Where the mark that opens a row's menu begins."""
    return width - 3


def title_of_row(title: str) -> str:
    """A title as one line that cannot steer the terminal; some words where it has none."""
    shown = " ".join(visible(title[:_MOST_CHARACTERS]).split())
    return shown if cell_len(shown) and not shown.isspace() else tr("Untitled")


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, with an ellipsis where some is missing."""
    if cell_len(text) <= width:
        return text
    used = end = 0
    for _start, stop, cells in split_graphemes(text)[0]:
        if used + cells > width - 1:
            break
        used, end = used + cells, stop
    return text[:end].rstrip() + "…" if width > 0 else ""


def _lines(row: Row, width: int, look: Look, style: Styles) -> list[Text]:
    match row:
        case Heading():
            return [_heading(row.text, width, style)]
        case Folder():
            return [_folder(row, width, look, style)]
        case EmptyTrash():
            return [_with_mark(Text(cut(tr("Empty the trash ({count})", count=row.count), width - 3)), look, style)]
        case Line():
            return [_title(Text(title_of_row(row.conversation.title)), width, row.depth, look, style)]
        case Found():
            return _found(row, width, look, style)


def _heading(text: str, width: int, style: Styles) -> Text:
    return Text.assemble(" " * _INDENT, (cut(text, width - _INDENT), style("heading")))


def _folder(row: Folder, width: int, look: Look, style: Styles) -> Text:
    name = title_of_row(row.name)
    if look.in_words:
        words = "{folder}, {count}, open" if row.is_open else "{folder}, {count}, closed"
        return _with_mark(Text(cut(tr(words, folder=name, count=row.count), width - _INDENT)), look, style)
    arrow, count = "▾ " if row.is_open else "▸ ", str(row.count)
    room = width - _INDENT - len(count) - 2
    line = Text.assemble((arrow, style("muted")), (cut(name, room), style("heading")))
    return _justified(line, Text(count, style("muted")), width)


def _title(title: Text, width: int, depth: int, look: Look, style: Styles) -> Text:
    end, room = _end(look, style), width - _INDENT * (1 + depth) - 1
    if end.plain:
        room -= cell_len(end.plain) + 1
        if room < _FEWEST_CELLS:
            end, room = Text(), room + cell_len(end.plain) + 1
    if look.is_current:
        title.style = style("current")
    line = _with_mark(Text.assemble(" " * _INDENT * depth, _cut_text(title, room)), look, style)
    return _justified(line, end, width)


def _found(row: Found, width: int, look: Look, style: Styles) -> list[Text]:
    """The title and the place; where the words are in the title alone, the title is the place."""
    if row.hit.message_id is None and row.hit.marks:
        return [_title(_excerpt(row.hit, width - _INDENT - 1, style), width, 0, look, style)]
    title = Text(title_of_row(row.conversation.title))
    for start, stop in _places(title.plain, row.words):
        title.stylize(style("found"), start, stop)
    place = _excerpt(row.hit, width - _INDENT - 1, style, style("muted"))
    return [_title(title, width, 0, look, style), Text.assemble(" " * _INDENT, place)][: row.height]


def _excerpt(hit: Hit, width: int, style: Styles, ground: Style = _PLAIN) -> Text:
    """The line around what was found, moved so that the first word of it is in view."""
    text = Text(hit.excerpt[:_MOST_CHARACTERS].translate(_ONE_LINE), ground)
    for start, stop in hit.marks:
        text.stylize(style("found"), start, stop)
    if hit.marks and cell_len(text.plain[: hit.marks[0][1]]) > width - 1:
        begin = _start_of_view(text.plain, hit.marks[0][0])
        text = Text.assemble("…", text[begin:], style=ground)
    return _cut_text(text, width)


def _cut_text(text: Text, width: int) -> Text:
    kept = cut(text.plain, width)
    if kept == text.plain:
        return text
    return Text.assemble(text[: len(kept) - 1], "…", style=text.style) if kept else Text()


def _start_of_view(plain: str, start: int) -> int:
    """The character that a few cells before ``start`` begins with."""
    used = 0
    for begin, _stop, cells in reversed(split_graphemes(plain[:start])[0]):
        used += cells
        if used >= _CONTEXT:
            return begin
    return 0


def _end(look: Look, style: Styles) -> Text:
    """What stands at the right edge of a conversation."""
    if look.is_hovered:
        return Text(tr("menu") if look.in_words else "⋯", style("muted"))
    if look.is_writing:
        return Text(tr("writing") if look.in_words else "●", style("writing"))
    return Text(tr("open") if look.in_words and look.is_current else "")


def _with_mark(line: Text, look: Look, style: Styles) -> Text:
    """The two columns before a row."""
    stands_out, symbol = (look.is_cursor, ">") if look.in_words else (look.is_current, "▎")
    mark = f"{symbol} " if stands_out else " " * _INDENT
    return Text.assemble((mark, style("mark")), line)


def _justified(line: Text, end: Text, width: int) -> Text:
    if not end.plain:
        return line
    return Text.assemble(line, " " * (width - cell_len(line.plain) - cell_len(end.plain) - 1), end)


def _grounded(line: Text, width: int, ground: Style) -> Text:
    line = line.copy()
    line.append(" " * (width - cell_len(line.plain)))
    line.style = ground
    return line


def _places(text: str, words: str) -> Iterator[tuple[int, int]]:
    """Where words that were searched for begin in a title; in scripts without spaces, wherever they stand."""
    for word in islice(words.split(), 10):
        start_of_word = r"(?<![^\W_])" if word.isascii() else ""
        for place in re.finditer(start_of_word + re.escape(word), text, re.IGNORECASE):
            yield place.span()
