"""Where every message lies, and which pieces of them are drawn.

Heights of what was never seen are guessed, and become exact as it comes into view. Only the messages
near the view keep their segments, only the segments near it their rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from tui.markdown import Row, Segment
from tui.widgets.conversation_entry import Entry, EntryView

_MAX_VIEWS = 100
_MAX_ROWS = 4_000


@dataclass(frozen=True)
class Place:
    """A row, told by what it belongs to; it stays where it is when heights change."""

    entry: int
    segment: int
    offset: int
    from_end: int | None = None
    """Rows to the segment's end, where that is what is to stay: it was reached from below and never drawn."""


Read = Callable[[EntryView], None]
Draw = Callable[[int, EntryView, int], list[Row]]


class Layout:
    """The geometry of a conversation."""

    def __init__(self, read: Read, draw: Draw) -> None:
        self.entries: list[Entry] = []
        self.tops: list[int] = [0]
        self.width = 0
        self._read, self._draw = read, draw
        self._sizes: list[tuple[int, int]] = []
        self._heights: list[int] = []
        self._views: OrderedDict[int, EntryView] = OrderedDict()
        self._drawn: OrderedDict[Segment, int] = OrderedDict()
        self._num_rows = 0
        self._filled: set[Segment] = set()  # drawn as they are now

    # --- entries

    def set_entries(self, entries: Iterable[Entry]) -> None:
        """Begin anew."""
        self.entries = list(entries)
        self._sizes = list(map(_size, self.entries))
        self.forget()

    def append(self, entries: Iterable[Entry]) -> None:
        """Add at the end."""
        start = len(self.entries)
        self.entries.extend(entries)
        self._sizes += map(_size, self.entries[start:])
        self._heights += self._guesses(start)
        self._stack(start)

    def forget(self) -> None:
        """Nothing that was read or drawn is right any more."""
        self._views.clear()
        self._forget_rows()
        self.resize(self.width)

    def resize(self, width: int) -> None:
        """All heights are guesses again."""
        self.width = width
        self._heights = self._guesses(0)
        for idx, view in self._views.items():
            view.measure(width)
            self._heights[idx] = view.height
        self._stack(0)

    def _forget_rows(self) -> None:
        for segment in self._drawn:
            segment.drawn = None
        self._drawn.clear()
        self._num_rows = 0

    def changed(self, idx: int) -> None:
        """An entry has other words than before."""
        self._sizes[idx] = _size(self.entries[idx])
        if view := self._views.get(idx):
            self._read(view)
            self._remeasure(idx, view)
        else:
            [self._heights[idx]] = self._guesses(idx, idx + 1)
        self._stack(idx)

    def _guesses(self, start: int, end: int | None = None) -> list[int]:
        """About how many rows some messages take; cheap enough for tens of thousands of them."""
        width = max(self.width, 1)
        return [2 + num_lines + num_cells // width for num_lines, num_cells in self._sizes[start:end]]

    def _stack(self, start: int) -> None:
        del self.tops[start + 1 :]
        self.tops.extend(list(accumulate(self._heights[start:], initial=self.tops[start]))[1:])

    @property
    def height(self) -> int:
        """All rows."""
        return self.tops[-1]

    # --- views

    def view(self, idx: int) -> EntryView:
        """The segments of an entry."""
        if (view := self._views.get(idx)) is None:
            view = self._views[idx] = EntryView(self.entries[idx])
            self._read(view)
            self._remeasure(idx, view)
            self._stack(idx)
            while len(self._views) > _MAX_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(idx)
        return view

    def peek(self, idx: int) -> EntryView | None:
        """The segments of an entry if they are at hand."""
        return self._views.get(idx)

    def _remeasure(self, idx: int, view: EntryView) -> None:
        view.measure(self.width)
        self._heights[idx] = view.height

    def rows(self, idx: int, segment_idx: int) -> list[Row]:
        """The rows of a segment, drawn if they are not; heights change only in ``fill``."""
        view = self.view(idx)
        segment = view.segments[segment_idx]
        rows = self._draw(idx, view, segment_idx)
        if segment.drawn is not rows:
            self._num_rows += len(rows) - self._drawn.pop(segment, 0)
            segment.drawn = rows
            self._drawn[segment] = len(rows)
            while self._num_rows > _MAX_ROWS and len(self._drawn) > 1:
                oldest, count = self._drawn.popitem(last=False)
                oldest.drawn, self._num_rows = None, self._num_rows - count
        else:
            self._drawn.move_to_end(segment)
        return rows

    # --- places

    def place(self, row: int) -> Place:
        """What lies at a row."""
        idx = min(max(bisect_right(self.tops, row) - 1, 0), len(self.entries) - 1)
        view = self.view(idx)
        within = row - self.tops[idx]
        segment_idx = min(max(bisect_right(view.tops, within) - 1, 0), len(view.segments) - 1)
        offset = within - view.tops[segment_idx]
        segment = view.segments[segment_idx]
        from_end = segment.height - offset if segment.drawn is None and 0 < offset < segment.height else None
        return Place(idx, segment_idx, offset, from_end)

    def row(self, place: Place) -> int:
        """Where a place lies now."""
        view = self.view(place.entry)
        segment_idx = min(place.segment, len(view.segments) - 1)
        height = view.segments[segment_idx].height
        offset = place.offset if place.from_end is None else max(height - place.from_end, 0)
        return max(self.tops[place.entry] + view.tops[segment_idx] + min(offset, height), 0)

    def fill(self, place: Place, num_rows: int) -> None:
        """Draw as many rows from a place on as are in view, and those above that an offset below zero asks for."""
        self._filled.clear()
        above, below = -place.offset, num_rows + place.offset
        self._draw_some(self._down(place), below + 1)
        if above > 0:
            self._draw_some(self._up(place), above)

    def fill_end(self, num_rows: int) -> None:
        """Draw the last rows."""
        self._filled.clear()
        if self.entries:
            last = len(self.entries) - 1
            self._draw_some(self._up(Place(last, len(self.view(last).segments), 0)), num_rows)

    def _draw_some(self, segments: Iterator[tuple[int, int]], num_rows: int) -> None:
        changed: set[int] = set()
        for idx, segment_idx in segments:
            if num_rows <= 0:
                break
            segment = self.view(idx).segments[segment_idx]
            height = len(self.rows(idx, segment_idx))
            self._filled.add(segment)
            if height != segment.height:
                segment.height = height
                changed.add(idx)
            num_rows -= height
        for idx in changed:
            self._remeasure(idx, self.view(idx))
        if changed:
            self._stack(min(changed))

    def _down(self, place: Place) -> Iterator[tuple[int, int]]:
        segment_idx = min(place.segment, len(self.view(place.entry).segments) - 1)
        for idx in range(place.entry, len(self.entries)):
            for at in range(segment_idx, len(self.view(idx).segments)):
                yield idx, at
            segment_idx = 0

    def _up(self, place: Place) -> Iterator[tuple[int, int]]:
        for idx in range(place.entry, -1, -1):
            start = place.segment if idx == place.entry else len(self.view(idx).segments)
            for at in range(start - 1, -1, -1):
                yield idx, at

    def window(self, top: int, num_rows: int) -> list[tuple[int, Row | None]]:
        """What ``row_at`` gives for each row of a view that was filled."""
        found: list[tuple[int, Row | None]] = []
        idx = max(bisect_right(self.tops, top) - 1, 0)
        skip = top - self.tops[min(idx, len(self.tops) - 1)]
        while len(found) < num_rows and idx < len(self.entries):
            view = self.view(idx)
            segment_idx = max(bisect_right(view.tops, skip) - 1, 0)
            while segment_idx < len(view.segments) and len(found) < num_rows:
                start = skip - view.tops[segment_idx]
                segment = view.segments[segment_idx]
                drawn = segment.drawn if segment in self._filled else None
                found += [(idx, row) for row in (drawn or self.rows(idx, segment_idx))[start:]]
                segment_idx += 1
                skip = view.tops[segment_idx]
            found.append((idx, None))
            idx, skip = idx + 1, 0
        return (found + [(-1, None)] * (num_rows - len(found)))[:num_rows]

    def row_at(self, row: int) -> tuple[int, Row | None]:
        """The entry at a row, and what is drawn there; ``None`` for the empty row below a message."""
        idx = bisect_right(self.tops, row) - 1
        if not 0 <= idx < len(self.entries):
            return -1, None
        view, within = self.view(idx), row - self.tops[idx]
        segment_idx = bisect_right(view.tops, within) - 1
        if not 0 <= segment_idx < len(view.segments):
            return idx, None
        rows = self.rows(idx, segment_idx)
        offset = within - view.tops[segment_idx]
        return idx, rows[offset] if offset < len(rows) else None


def _size(entry: Entry) -> tuple[int, int]:
    """How many lines a message has, and about how many cells."""
    text = entry.text
    return text.count("\n"), len(text) if text.isascii() else len(text) * 3 // 2
