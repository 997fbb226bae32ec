"""The rows of a paragraph that grows: what no later word can change is read, and cut into rows, once.

A paragraph may stop for good after a line, or after a blank or a mark between two words, if nothing is left open
before it: no star, bracket or address that could go on. What comes then is read by itself, and goes on in the row
that was not full.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.style import Style
from rich.text import Text

from tui.markdown.inline import inline, inline_alone
from tui.markdown.look import Look, Row
from tui.wrapping import break_offsets

_CUT = re.compile(r"[ ，。；：！？、](?=[^\W_])")  # no address goes on after these, and a row may end there
_BLANKS = re.compile(" *")
_OFTEN = 200  # characters; more that cannot be settled are read again only now and then


@dataclass(eq=False)
class KeptWords:
    """What is drawn of one paragraph."""

    _made_for: object = None
    _end: int = 0  # in the source: what is before it was read
    _rows: list[Row] = field(default_factory=list)
    _open: Text = field(default_factory=Text)  # the row that goes on
    _joins: str | None = None
    _again_at: int = 0
    _prefixed_for: object = None
    _prefixed: list[Row] = field(default_factory=list)

    def draw(self, source: str, width: int, look: Look) -> list[Row]:
        """The rows of the whole paragraph; those that stay are the same objects as before."""
        made_for = width, look.palette, look.cited, id(look.references)
        if made_for != self._made_for:
            self._made_for, self._prefixed_for = made_for, None
            self._end, self._rows, self._open, self._joins, self._again_at = 0, [], Text(), None, 0
        while (end := source.find("\n", self._end)) >= 0:
            if not self._take(source[self._end : end].rstrip(" "), width, look):
                break
            self._rows.append(self._finished())
            blanks = _BLANKS.match(source, end + 1)
            self._end = blanks.end() if blanks else end + 1
        self._take_part(source, len(source) if end < 0 else end, width, look)
        return self._rows + self._rest(source[self._end :], width, look)

    def prefixed(self, drawn: list[Row], made_for: object, prefix: Callable[[int, Row], Row]) -> list[Row]:
        """What was drawn with something before each row; done once for the rows that stay."""
        count = len(self._rows)
        if not count or len(drawn) < count or drawn[count - 1] is not self._rows[-1]:  # drawn in another way
            return [prefix(idx, row) for idx, row in enumerate(drawn)]
        if made_for != self._prefixed_for:
            self._prefixed_for, self._prefixed = made_for, []
        start = len(self._prefixed)
        self._prefixed += [prefix(idx, row) for idx, row in enumerate(self._rows[start:], start)]
        return self._prefixed + [prefix(idx, row) for idx, row in enumerate(drawn[count:], count)]

    def _take_part(self, source: str, end: int, width: int, look: Look) -> None:
        """Read on in a line that is not complete, up to the last place where it may stop."""
        size = end - self._end
        cut = max((match.end() for match in _CUT.finditer(source, self._end, end)), default=0) if size else 0
        if cut <= self._end or size < self._again_at:
            return
        if self._take(source[self._end : cut], width, look):
            self._end, self._again_at = cut, 0
        else:
            self._again_at = size * 3 // 2 if size > _OFTEN else 0

    def _take(self, part: str, width: int, look: Look) -> bool:
        texts = inline_alone(part, look, Style())
        for idx, text in enumerate(texts or ()):
            if idx:
                self._rows.append(self._finished())
            rows, self._open, self._joins = _cut(self._open + text, self._joins, width)
            self._rows += rows
        return texts is not None

    def _finished(self) -> Row:
        row = _row(self._open, self._joins)
        self._open, self._joins = Text(), None
        return row

    def _rest(self, source: str, width: int, look: Look) -> list[Row]:
        rows: list[Row] = []
        before, joins = self._open, self._joins
        for text in inline(source, look, Style()):
            full, last, joins = _cut(before + text, joins, width)
            rows += [*full, _row(last, joins)]
            before, joins = Text(), None
        return rows


def _cut(text: Text, joins: str | None, width: int) -> tuple[list[Row], Text, str | None]:
    """A line as the rows that are full, and the one that goes on with what stands before it."""
    *full, last = text.divide(break_offsets(text.plain, width, is_rest=joins is not None))
    rows = []
    for line in full:
        plain = line.plain
        rows.append(_row(line, joins))
        joins = plain[len(line) :]
    return rows, last, joins


def _row(text: Text, joins: str | None) -> Row:
    text.rstrip()
    return Row(text, joins)
