"""A quote or a paragraph that grows by lines that can only go on in it: nothing before them is read again.

Nothing is settled here. A line that might be something else ends the short cut, and the parser reads the block from
its beginning; so does the end of the message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from tui.markdown.kept_words import KeptWords
from tui.markdown.segments import Segment, Words, words_of
from tui.wrapping import visible

if TYPE_CHECKING:
    from tui.markdown.document import Document

_BAR = "▎ "
_QUOTED = re.compile(r"(?: {0,3}>[^\n]*\n)*(?: {0,3}>[^\n]*)?\Z")
_MARK = re.compile(r"^ {0,3}> ?", re.MULTILINE)
_BEGINS_WORDS = r"(?:[^\W\d_]|[^\x00-\x7f\s]|\*{1,2}[^\s*]|`[^`\n]|\d+[^\W\d_]|[(\"'$\[!@&%/])"
_WORDS = re.compile(rf"(?: {{0,3}}{_BEGINS_WORDS}[^\n]*(?:\n|\Z))*\Z")


class Quick(Protocol):
    """Reads what is new in one block."""

    def read(self, source: str, start: int) -> list[Segment] | None:
        """All segments of the block, which begins at ``start``; ``None`` if it may be over, or something else."""
        ...


class QuickQuote:
    """A quote: what stands in it is a message of its own."""

    def __init__(self, inner: Document, line: int) -> None:
        self._inner, self._line = inner, line
        self._end: int | None = None  # where in the source complete lines end, and what stands in them
        self._words = ""
        self._seen: list[Segment] = []
        self._segments: list[Segment] = []

    def read(self, source: str, start: int) -> list[Segment] | None:
        at = start if self._end is None else self._end
        raw = source[at:]
        new = visible(raw)
        if "\t" in raw or not _QUOTED.match(new):
            return None
        complete, partial = new[: new.rfind("\n") + 1], new[new.rfind("\n") + 1 :]
        self._words += _MARK.sub("", complete)
        self._end = source.rfind("\n", at) + 1 or at
        self._inner.update(self._words + _MARK.sub("", partial), growing=True)
        return None if self._inner.references else self._with_bars()

    def _with_bars(self) -> list[Segment] | None:
        pairs = enumerate(zip(self._seen, self._inner.segments, strict=False))
        num_same = next((idx for idx, (old, new) in pairs if old is not new), None)
        if num_same is None:
            num_same = min(len(self._seen), len(self._inner.segments))
        del self._segments[num_same:]
        self._seen = list(self._inner.segments)
        for inner in self._seen[num_same:]:
            gap = None if inner.gap is None else _BAR + inner.gap
            line = self._line + inner.line
            self._segments.append(Segment(inner.body, line, _BAR + inner.first, _BAR + inner.rest, gap))
        return self._segments or None


class QuickWords:
    """A paragraph; all before its last line was read by the parser."""

    def __init__(self, line: int, end: int) -> None:
        self._line = line
        self._end = end  # all before it was read
        self._kept = KeptWords()
        self._segments: list[Segment] = []

    def read(self, source: str, start: int) -> list[Segment] | None:
        if not _WORDS.match(visible(source[self._end :])):
            return None
        self._end = source.rfind("\n", self._end) + 1 or self._end
        return self._show(source, start)

    def _show(self, source: str, start: int) -> list[Segment]:
        before, self._segments = self._segments, []
        for idx, words in enumerate(words_of(visible(source[start:]).strip())):
            old = before[idx] if idx < len(before) else None
            words.kept = self._kept
            is_same = old is not None and isinstance(old.body, Words) and _is_same(old.body, words)
            self._segments.append(old if old is not None and is_same else Segment(words, self._line))
        return self._segments


def _is_same(words: Words, others: Words) -> bool:
    return words.is_marked_up == others.is_marked_up and words.source == others.source
