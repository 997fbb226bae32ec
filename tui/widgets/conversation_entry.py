"""One message as it is shown: its text, and the rows around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import PurePath

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from chatglm_slim_llm.storage import Role, Source, ToolUse
from tui.language import tr
from tui.markdown import Document, Look, Row, Segment
from tui.markdown.segments import Words, words_of, wrapped
from tui.tool_uses import call_line, is_failed, mark, result_line, state_text
from tui.wrapping import visible


@dataclass
class Entry:
    """One message as it is shown."""

    message_id: int
    role: Role
    text: str
    note: str = ""
    """Why a reply ended early, or what went wrong."""
    is_error: bool = False
    growing: bool = False
    variant: tuple[int, int] | None = None
    """Which of how many answers this is, or how many wordings of a question."""
    attachments: tuple[str, ...] = ()
    """Names of the files that were sent with it."""
    sources: tuple[Source, ...] = ()
    """What a reply rests on; their numbers in the text can be clicked."""
    figures: str = ""
    """How the reply was made, in one line."""
    uses: tuple[ToolUse, ...] = ()
    """What was done with tools on the way to a reply."""
    command: str = ""
    """The line of the command that says this; empty for a message."""


@dataclass(slots=True, eq=False)
class Speaker:
    """Who speaks, in words, where nothing else may say so."""

    role: Role
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        names = {"user": tr("You:"), "assistant": tr("Assistant:"), "system": tr("System:")}
        return [Row(Text(names[self.role]), is_said=False)]

    def guess(self, width: int) -> int:
        return 1


@dataclass(slots=True, eq=False)
class Chips:
    """The names of the files sent with a message."""

    names: tuple[str, ...]
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        if look.palette.is_plain:
            text = tr("Attached: {names}", names=", ".join(map(visible, self.names)))
            return [Row(row.text, is_said=False) for row in wrapped(Text(text), width)]
        rows = [Text()]
        for name in self.names:
            chip = Text(f" {set_shortened(visible(name), max(width - 2, 1))} ", look.palette.code)
            if rows[-1] and cell_len(rows[-1].plain) + 1 + cell_len(chip.plain) > width:
                rows.append(Text())
            rows[-1].append_text(Text.assemble(" ", chip) if rows[-1] else chip)
        return [Row(row, is_said=False) for row in rows]

    def guess(self, width: int) -> int:
        return 1


@dataclass(slots=True, eq=False)
class ToolLines:
    """What was done with tools, a line each."""

    uses: tuple[ToolUse, ...]
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        return [Row(self._line(place, use, width, look), is_said=False) for place, use in enumerate(self.uses)]

    def guess(self, width: int) -> int:
        return len(self.uses)

    def _line(self, place: int, use: ToolUse, width: int, look: Look) -> Text:
        style = look.palette.error if is_failed(use) else look.palette.muted
        before = f"{tr('Tool')} ({state_text(use)}): " if look.palette.is_plain else f"{mark(use)} "
        arrow = ": " if look.palette.is_plain else " → "
        result = result_line(use)
        if look.palette.is_plain and result == state_text(use):  # it stands there already
            result = ""
        room = width - cell_len(before) - (min(cell_len(result), width // 2) + cell_len(arrow)) * bool(result)
        words = before + set_shortened(call_line(use), max(room, 1)) + (arrow + result if result else "")
        return Text(set_shortened(words, width), style + Style.from_meta({"tool": place}))


@dataclass(slots=True, eq=False)
class CommandLine:
    """The command that a note is the answer to."""

    text: str
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        return [Row(row.text, is_said=False) for row in wrapped(Text(visible(self.text), look.palette.muted), width)]

    def guess(self, width: int) -> int:
        return 1


@dataclass(slots=True, eq=False)
class Note:
    """Why a reply ended early, or what went wrong."""

    text: str
    is_error: bool = False
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        style = look.palette.error if self.is_error else look.palette.muted
        mark = "✗ " if self.is_error and not look.palette.is_plain else ""
        lines = [Text(mark + line, style) for line in visible(self.text).split("\n")]
        return [Row(row.text, is_said=False) for line in lines for row in wrapped(line, width)]

    def guess(self, width: int) -> int:
        return 1


@dataclass(slots=True, eq=False)
class SourceLines:
    """What a reply rests on, a line each."""

    sources: tuple[Source, ...]
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        rows = []
        for source in self.sources:
            style = look.palette.muted + Style.from_meta({"citation": source.number})
            rows.append(Row(Text(set_shortened(visible(source_line(source)), width), style), is_said=False))
        return rows

    def guess(self, width: int) -> int:
        return len(self.sources)


@dataclass(slots=True, eq=False)
class Foot:
    """Which variant it is, and how it was made."""

    variant: tuple[int, int] | None
    figures: str
    stamp: int = 0
    line_offset: int = 0

    def draw(self, width: int, look: Look) -> list[Row]:
        text = Text()
        if self.variant and look.palette.is_plain:
            text.append(tr("Version {number} of {count}", number=self.variant[0], count=self.variant[1]))
        elif self.variant:
            number, count = self.variant
            back, on = Style.from_meta({"variant": -1}), Style.from_meta({"variant": 1})
            muted, link = look.palette.muted, look.palette.link
            text.append("‹ ", (link if number > 1 else muted) + back)
            text.append(f"{number}/{count}", muted)
            text.append(" ›", (link if number < count else muted) + on)
        if self.figures:
            text.append("   " if text else "")
            text.append(visible(self.figures), look.palette.muted)
        return [Row(row.text, is_said=False) for row in wrapped(text, width)]

    def guess(self, width: int) -> int:
        return 1


def source_line(source: Source) -> str:
    """Where a passage is from: its number, file, place and heading."""
    parts = [f"[{source.number}] {PurePath(source.source).name or source.source}"]
    if source.page is not None:
        parts.append(tr("page {page}", page=source.page))
    elif source.first_line is not None:
        last = source.last_line if source.last_line is not None else source.first_line
        is_one = last == source.first_line
        parts.append(
            tr("line {line}", line=last) if is_one else tr("lines {first}-{last}", first=source.first_line, last=last)
        )
    if source.heading:
        parts.append(source.heading)
    return " · ".join(parts).replace("\n", " ")


def set_shortened(text: str, width: int) -> str:
    """One line that ends in an ellipsis where it does not fit."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


@dataclass(eq=False)
class EntryView:
    """The segments of one message, and where they lie."""

    entry: Entry
    document: Document | None = None
    segments: list[Segment] = field(default_factory=list)
    tops: list[int] = field(default_factory=lambda: [0])
    """Where each segment begins, in rows; the last one is where all end."""
    uses: tuple[tuple[ToolUse, ...], Segment] | None = None
    """The segment of the tool uses, which stays while the reply grows below it."""

    def read(self, *, is_plain: bool) -> None:
        """Make the segments from the entry as it is now."""
        self.segments = [*self._head(is_plain), *self._body(), *self._foot()]

    def _head(self, is_plain: bool) -> Iterator[Segment]:
        if self.entry.command:
            yield Segment(CommandLine(self.entry.command), -1)
        elif is_plain:
            yield Segment(Speaker(self.entry.role), -1)
        if self.entry.attachments:
            yield Segment(Chips(self.entry.attachments), -1)
        if uses := self.entry.uses:
            if self.uses is None or self.uses[0] is not uses:
                self.uses = uses, Segment(ToolLines(uses), -1)
            yield self.uses[1]

    def _body(self) -> list[Segment]:
        entry = self.entry
        if entry.role == "user" or entry.command:
            return list(_plain_segments(entry.text)) if entry.text or not entry.command else []
        if self.document is None:
            self.document = Document()
        self.document.update(entry.text, growing=entry.growing)
        if entry.growing and not self.document.segments:
            return [Segment(Note("…"), -1)]
        return self.document.segments

    def _foot(self) -> Iterator[Segment]:
        entry, end = self.entry, self.entry.text.count("\n") + 2
        if entry.note:
            yield Segment(Note(entry.note, entry.is_error), end)
        if entry.sources:
            yield Segment(SourceLines(entry.sources), end, gap="")
        if entry.variant or entry.figures:
            yield Segment(Foot(entry.variant, entry.figures), end, gap="" if entry.sources else None)

    def measure(self, width: int) -> None:
        """Find out where the segments lie; those never drawn are guessed."""
        for segment in self.segments:
            if segment.height_for != width:
                segment.height, segment.height_for = segment.guess(width), width
        self.tops = list(accumulate([segment.height for segment in self.segments], initial=0))

    @property
    def height(self) -> int:
        """All rows, with the empty one below."""
        return self.tops[-1] + 1


def _plain_segments(text: str) -> Iterator[Segment]:
    line = 0
    for body in words_of(visible(text), is_marked_up=False):
        yield Segment(body, line)
        line += body.source.count("\n") + 1


def source_of(segment: Segment) -> str:
    """The source that a segment of words shows; empty for others."""
    return segment.body.source if isinstance(segment.body, Words) else ""
