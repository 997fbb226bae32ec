"""Text that a prompt can hold: nothing that steers a terminal, and a cursor that never stands inside a character.

What people see as one character may be many code points: an emoji with joiners, a letter with its accents, a flag.
Widths are those that Textual draws with.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from rich.cells import cell_len, get_character_cell_size

from tui.wrapping import break_offsets

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ESCAPES = re.compile("\x1b(?:\\[[0-9;:?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")
_UNSAFE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LOST = re.compile("[\ud800-\udfff]")
JOINERS = "\u200d\ufe0f"
"""Characters that make one of their neighbours."""
_NEVER_JOINED = "\x00-\x7f\u3000-\u9fff\uff00-\uffef"
_UNJOINED = re.compile(f"(?m)^[{JOINERS}]+|(?<=\u200d)\u200d+|\u200d(?=[{_NEVER_JOINED}])")
_PLAIN = re.compile(f"[{_NEVER_JOINED}]")
_KEPT_KINDS = ("Zs", "Cf", "Co", "Cn")
_FLAGS = range(0x1F1E6, 0x1F200)


def clean(text: str) -> str:
    """``text`` with plain line ends and without what steers a terminal: colour codes, control and direction marks."""
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _UNJOINED.sub("", _LOST.sub("\ufffd", _UNSAFE.sub("", text)))


def is_typed(character: str | None) -> bool:
    """Whether a key's character is text: Python does not call the wide space of a Chinese keyboard printable."""
    if character is None or len(character) != 1:
        return False
    return character.isprintable() or (
        unicodedata.category(character) in _KEPT_KINDS and bool(clean(f"a{character}")[1:])
    )


def left_of(line: str, column: int) -> int:
    """Where the character before ``column`` begins."""
    return snap(line, max(column - 1, 0))


def right_of(line: str, column: int) -> int:
    """Where the character after ``column`` ends."""
    column = min(column + 1, len(line))
    while _is_inside(line, column):
        column += 1
    return column


def snap(line: str, column: int) -> int:
    """The place at or before ``column`` where a cursor may stand."""
    while _is_inside(line, column):
        column -= 1
    return column


def column_at(line: str, x: int, tab: int) -> int:
    """Which character of ``line`` is ``x`` cells from its beginning."""
    column = used = 0
    while column < len(line):
        end = right_of(line, column)
        used += _cells(line[column:end], used, tab)
        if used > x:
            break
        column = end
    return column


@lru_cache(maxsize=2048)
def cuts(line: str, width: int, tab: int) -> tuple[int, ...]:
    """Where new rows begin when a line is shown in ``width`` cells, with one more for the cursor at its end."""
    if "\t" not in line and cell_len(line) <= width:
        return ()
    words = {snap(line, offset) for offset in break_offsets(line.replace("\t", "\u3000"), width)}
    edges = [0, *sorted(words - {0}), len(line)]
    found: list[int] = []
    for start, end in pairwise(edges):
        found += [start] if start else []
        found += [start + offset for offset in _chop(line[start:end], width, tab, is_last=end == len(line))]
    return tuple(found)


def tab_widths(line: str, rows: tuple[int, ...], tab: int) -> list[int]:
    """How many cells each tab of a line takes, counted from the beginning of its row."""
    if "\t" not in line:
        return []
    widths = []
    for start, end in zip((0, *rows), (*rows, len(line)), strict=True):
        used = 0
        for part in re.split("(\t)", line[start:end]):
            cells = _cells(part, used, tab)
            widths += [cells] if part == "\t" else []
            used += cells
    return widths


def _chop(row: str, width: int, tab: int, *, is_last: bool) -> list[int]:
    if "\t" not in row and cell_len(row) <= width:
        return []
    used, found, column = 0, [], 0
    while column < len(row):
        end = right_of(row, column)
        cells = _cells(row[column:end], used, tab)
        hangs = row[column:] == " " and not is_last  # it stands where the cursor would
        if used and used + cells > width and not hangs:
            found.append(column)
            used, cells = 0, _cells(row[column:end], 0, tab)
        used += cells
        column = end
    return found


def _cells(text: str, used: int, tab: int) -> int:
    return tab - used % tab if text == "\t" else cell_len(text)


def _is_inside(line: str, column: int) -> bool:
    """Whether ``column`` lies in the middle of what is seen as one character."""
    if not 0 < column < len(line):
        return False
    before, after = line[column - 1], line[column]
    if "\t" in (before, after):
        return False
    if _is_bare(after) or (before == "\u200d" and not _PLAIN.match(after)):
        return True
    if ord(before) in _FLAGS and ord(after) in _FLAGS:
        return _count_flags(line, column) % 2 == 1
    return _is_bare(before) and all(map(_is_bare, line[:column]))


def _is_bare(character: str) -> bool:
    return get_character_cell_size(character) == 0


def _count_flags(line: str, column: int) -> int:
    start = column
    while start and ord(line[start - 1]) in _FLAGS:
        start -= 1
    return column - start
