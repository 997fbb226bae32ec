"""Finding words in a conversation, also in messages that were never drawn."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui.markdown import Segment
from tui.widgets.conversation_entry import Entry, source_of
from tui.wrapping import visible


@dataclass(frozen=True)
class Now:
    """The hit gone to last: its entry, its segment there, and which of the segment's hits it is."""

    entry: int
    segment: int
    number: int


class Finder:
    """All hits, by message and line."""

    def __init__(self, pattern: re.Pattern[str], entries: Sequence[Entry]) -> None:
        self.pattern = pattern
        self.now: Now | None = None
        self._lines: dict[int, list[int]] = {}
        self._at: tuple[int, int] | None = None  # an entry, and which of its hits
        for idx, entry in enumerate(entries):
            self.read(idx, entry)

    def read(self, idx: int, entry: Entry) -> None:
        """Find the hits of one entry again."""
        self._lines.pop(idx, None)
        if self.pattern.search(entry.text):
            text = visible(entry.text)
            starts, line, at = [match.start() for match in self.pattern.finditer(text)], 0, 0
            lines = []
            for start in starts:
                line, at = line + text.count("\n", at, start), start
                lines.append(line)
            if lines:
                self._lines[idx] = lines

    @property
    def count(self) -> int:
        """How many hits there are."""
        return sum(map(len, self._lines.values()))

    @property
    def position(self) -> int:
        """Which hit was gone to last, from 1; 0 for none."""
        if self._at is None:
            return 0
        entry, number = self._at
        return sum(len(lines) for idx, lines in self._lines.items() if idx < entry) + number + 1

    def step(self, by: int, entry: int, line: int) -> tuple[int, int] | None:
        """Go on by some hits, or to the first one at or after a line where none was gone to yet."""
        order = sorted(self._lines)
        if not order:
            self._at = None
            return None
        if self._at is None or self._at[0] not in self._lines:
            number = self._number_from(order, entry, line) + (by if by < 0 else 0)
        else:
            number = self.position - 1 + by
        number %= self.count
        for idx in order:
            if number < len(self._lines[idx]):
                self._at = idx, number
                break
            number -= len(self._lines[idx])
        return self._at

    def _number_from(self, order: Iterable[int], entry: int, line: int) -> int:
        before = sum(len(self._lines[idx]) for idx in order if idx < entry)
        return before + bisect_left(self._lines.get(entry, []), line)

    def settle(self, segments: Sequence[Segment]) -> Now:
        """In which segment of its message the hit is."""
        assert self._at is not None
        entry, number = self._at
        lines = self._lines[entry]
        line = lines[number]
        segment = max((idx for idx, candidate in enumerate(segments) if candidate.line <= line), default=0)
        while segment and segments[segment - 1].line == segments[segment].line:
            segment -= 1
        number -= bisect_left(lines, segments[segment].line)
        while segment + 1 < len(segments) and segments[segment + 1].line == segments[segment].line:
            here = len(self.pattern.findall(source_of(segments[segment])))
            if number < here:
                break
            number, segment = number - here, segment + 1
        self.now = Now(entry, segment, number)
        return self.now


def phrase(words: str) -> re.Pattern[str]:
    """The words as they stand, in capitals or not."""
    return re.compile(re.escape(words), re.IGNORECASE)


def any_word(words: str) -> re.Pattern[str]:
    """Any of the words, the longest first."""
    parts = sorted({part for part in words.split() if part}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, parts)), re.IGNORECASE)
