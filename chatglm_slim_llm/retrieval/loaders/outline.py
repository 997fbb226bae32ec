"""Headings and paragraphs in reading order become sections, each under the path of its headings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from chatglm_slim_llm.retrieval.passages import Section

MAX_SECTION = 200_000
"""Characters after which a section is cut, so that a file without headings is not one string."""

_LONGEST_TITLE = 200


@dataclass(frozen=True)
class Block:
    """A heading or a stretch of text."""

    text: str
    level: int | None = None
    """0 for the title of the whole, 1 for the outermost headings and so on; ``None`` for text."""
    line: int | None = None
    """Line of the file on which it begins, where lines mean something."""
    tight: bool = False
    """Stands right below another such block, as the items of a list and the rows of a table do."""


def sections(blocks: Iterable[Block], *, page: int | None = None) -> Iterator[Section]:
    """Group blocks under their headings.

    A heading becomes part of the path and is no text of its own, unless nothing at all stands below it.
    """
    under = _Under(page)
    for block in _cut(blocks):
        if block.level is not None:
            yield from under.finish(next_level=block.level)
            under = _Under(page, [*(heading for heading in under.path if _level(heading) < block.level), block])
        else:
            if under.body and under.size + len(block.text) > MAX_SECTION:
                yield under.section()
                under = _Under(page, under.path, started=True)
            under.add(block)
    yield from under.finish(next_level=0)


def pieces(text: str, first_line: int = 1) -> Iterator[tuple[int, str]]:
    """The text in pieces of bounded size, each with its first line; cut between paragraphs or lines if it can be."""
    start = 0
    while start < len(text):
        end = _end_of_piece(text, start)
        yield first_line, text[start:end]
        first_line += text.count("\n", start, end)
        start = end


def _end_of_piece(text: str, start: int) -> int:
    limit = start + MAX_SECTION
    if limit >= len(text):
        return len(text)
    for separator in ("\n\n", "\n", " "):
        cut = text.rfind(separator, start + MAX_SECTION // 2, limit)
        if cut >= 0:
            return cut + len(separator)
    return limit


def _cut(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        if len(block.text) <= MAX_SECTION:
            yield block
            continue
        for line, piece in pieces(block.text, block.line or 1):
            yield replace(block, text=piece, line=block.line and line)


@dataclass
class _Under:
    """The text gathered so far under one heading."""

    page: int | None
    path: list[Block] = field(default_factory=list)
    started: bool = False
    body: list[Block] = field(default_factory=list)
    size: int = 0

    def add(self, block: Block) -> None:
        self.body.append(block)
        self.size += len(block.text)

    def finish(self, next_level: int) -> Iterator[Section]:
        if any(block.text.strip() for block in self.body):
            yield self.section()
        elif self.path and not self.started and next_level <= _level(self.path[-1]):
            self.body = [self.path[-1]]  # a heading that only ends would be lost
            yield self.section()

    def section(self) -> Section:
        text = self.body[0].text
        if len(self.body) > 1:
            gaps = ("\n" if a.tight and b.tight else "\n\n" for a, b in pairwise(self.body))
            text += "".join(gap + block.text for gap, block in zip(gaps, self.body[1:], strict=True))
        heading = " › ".join(_title(heading.text) for heading in self.path)
        return Section(text, heading=heading, page=self.page, first_line=self.body[0].line)


def _level(heading: Block) -> int:
    assert heading.level is not None
    return heading.level


def _title(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TITLE]
