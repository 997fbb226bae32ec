"""The pieces that a message is drawn in: a paragraph, some lines of code, some rows of a table.

A segment is made from source alone and draws itself when it comes into view, so a long message costs
what is seen of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rich.style import Style
from rich.text import Text

from tui.markdown.inline import MAX_MARKED_UP, inline
from tui.markdown.kept_words import KeptWords
from tui.markdown.look import Look, Row
from tui.wrapping import wrap_joined

MIN_WIDTH = 4  # deeper nesting than the screen is wide: go on at this width
_PIECE = 4_000  # characters of a giant paragraph that are drawn at once


class Body(Protocol):
    """What a segment holds."""

    @property
    def stamp(self) -> int:
        """Changes when what was drawn before is no longer right."""
        ...

    @property
    def line_offset(self) -> int:
        """How many lines below its block's first line it begins."""
        ...

    def draw(self, width: int, look: Look) -> list[Row]:
        """The rows, none wider than ``width``."""
        ...

    def guess(self, width: int) -> int:
        """About how many rows it will have; cheap."""
        ...


@dataclass(slots=True, eq=False)
class Segment:
    """A body with its place in the message."""

    body: Body
    line: int = 0
    """The first line of the source that it shows."""
    first: str = ""
    """What stands before its first row: indents, bullets, bars."""
    rest: str = ""
    gap: str | None = None
    """What stands in the empty row before it; ``None`` for no such row."""
    height: int = 0
    drawn: list[Row] | None = None
    drawn_for: object = None
    height_for: int = 0

    def guess(self, width: int) -> int:
        """About how many rows it will have."""
        return (self.gap is not None) + self.body.guess(max(width - len(self.first), MIN_WIDTH))

    def draw(self, width: int, look: Look) -> list[Row]:
        """All rows, with the empty one before them."""
        plain = look.palette.is_plain
        room = max(width - MIN_WIDTH, 0)
        first, rest = _prefix(self.first, room, plain), _prefix(self.rest, room, plain)
        rows = [] if self.gap is None else [Row(Text(_prefix(self.gap, room, plain).rstrip(), look.palette.muted))]
        drawn = self.body.draw(max(width - len(first), MIN_WIDTH), look)
        if not first and not rest:
            return rows + drawn

        def prefixed(idx: int, row: Row) -> Row:
            prefix = rest if idx else first
            margin = row.margin + (len(prefix) if row.joins is not None else 0)
            return Row(Text.assemble((prefix, look.palette.muted), row.text), row.joins, margin, row.is_said)

        kept = self.body.kept if isinstance(self.body, Words) else None
        if kept is None:
            return rows + [prefixed(idx, row) for idx, row in enumerate(drawn)]
        return rows + kept.prefixed(drawn, (first, rest, look.palette), prefixed)


def _prefix(prefix: str, room: int, plain: bool) -> str:
    if plain:
        prefix = prefix.replace("▎", ">").replace("•", "-")
    return prefix[:room]


@dataclass(slots=True, eq=False)
class Words:
    """A paragraph or a heading."""

    source: str
    level: int = 0
    """1 to 6 for headings."""
    is_marked_up: bool = True
    stamp: int = 0
    line_offset: int = 0
    kept: KeptWords | None = None
    """What is drawn of a paragraph that grows."""

    def draw(self, width: int, look: Look) -> list[Row]:
        if self.kept is not None and self.is_marked_up and look.pattern is None:
            return self.kept.draw(self.source, width, look)
        style = Style()
        if self.level:
            style = look.palette.heading + Style(bold=True, underline=self.level == 1)
        if self.is_marked_up:
            texts = inline(self.source, look, style)
        else:
            texts = [look.mark(Text(line, style)) for line in self.source.split("\n")]
        return [row for text in texts for row in wrapped(text, width)]

    def guess(self, width: int) -> int:
        return guessed_rows(self.source, width)


def wrapped(text: Text, width: int) -> list[Row]:
    """One line of the source as rows."""
    return [Row(piece, joins) for piece, joins in wrap_joined(text, width)]


def guessed_rows(text: str, width: int) -> int:
    """How many rows a text takes, roughly and quickly."""
    cells = len(text) if text.isascii() else len(text) * 5 // 3
    return text.count("\n") + 1 + cells // (width + 1)


def words_of(source: str, level: int = 0, *, is_marked_up: bool = True) -> Iterator[Words]:
    """A paragraph, cut where it is too long to be drawn at once."""
    if len(source) <= MAX_MARKED_UP:
        yield Words(source, level, is_marked_up)
        return
    start = 0
    while start < len(source):
        end = start + _PIECE
        if end < len(source):
            newline, blank = source.rfind("\n", start, end) + 1, source.rfind(" ", start, end) + 1
            end = max(newline, blank if blank > start + _PIECE // 2 else 0) or _whole_grapheme(source, end)
        yield Words(source[start:end].removesuffix("\n"), level, is_marked_up=False)
        start = end


def _whole_grapheme(source: str, end: int) -> int:
    """The next place where nothing that is one picture is cut in two."""
    while end < len(source) and (source[end] in "\u200d\ufe0f" or source[end - 1] == "\u200d" or _is_mark(source[end])):
        end += 1
    return end


def _is_mark(character: str) -> bool:
    from unicodedata import category

    return category(character).startswith("M") or "\U0001f3fb" <= character <= "\U0001f3ff"


@dataclass(slots=True, eq=False)
class Rule:
    """A horizontal line."""

    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        return [Row(Text(("-" * 3) if look.palette.is_plain else "─" * width, look.palette.muted))]

    def guess(self, width: int) -> int:
        return 1
