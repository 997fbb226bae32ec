"""What retrieval passes from room to room: sections of a file, chunks of a section, passages that were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PAGES = {"pptx": "slide", "xlsx": "sheet", "epub": "chapter"}
"""What a page is called in files that have none."""


@dataclass(frozen=True)
class Section:
    """A stretch of a file's text under one heading and on one page, as a loader gives it."""

    text: str
    heading: str = ""
    """The headings above it, outermost first, joined by " › "; empty without any."""
    page: int | None = None
    """Page, slide or sheet, counted from 1; ``None`` where the format has none."""
    first_line: int | None = None
    """Line of the file on which ``text`` begins, counted from 1; ``None`` where lines of the file mean nothing."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a section that is small enough to be found, read and quoted as one."""

    text: str
    heading: str = ""
    page: int | None = None
    first_line: int | None = None
    last_line: int | None = None
    """Last line of the file that ``text`` touches, counted from 1."""
    tokens: int = 0
    """Estimated length in tokens of ChatGLM."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What LangChain's documents carry; JSON can hold it."""


@dataclass(frozen=True)
class Passage:
    """A chunk that was found, or several neighbours joined."""

    id: str
    """Stays the same while the text and its file's place do."""
    text: str
    score: float
    """Higher is better; comparable within one search mode of one knowledge base."""
    source: str
    """The file's absolute path, or what the text was added under."""
    heading: str = ""
    page: int | None = None
    first_line: int | None = None
    last_line: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """Where in the source, for people: ``p. 3``, ``slide 3``, ``lines 10–14``, or nothing."""
        if self.page is not None:
            return f"{_PAGES.get(self.source.rpartition('.')[2].lower(), 'p.')} {self.page}"
        if self.first_line is None:
            return ""
        if self.last_line in (None, self.first_line):
            return f"line {self.first_line}"
        return f"lines {self.first_line}–{self.last_line}"


def whole_number(value: object) -> int | None:
    """A page or a line as metadata have it, which may hold anything; ``None`` if it is no whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
