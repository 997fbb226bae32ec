"""What decides how a block looks besides its words: the theme's styles, what is being searched for, what is cited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.style import Style
from rich.text import Text

PIECE_LINES = 40
"""How many lines of code, or rows of a table, are drawn at once."""


@dataclass(frozen=True)
class Palette:
    """The styles of one theme."""

    heading: Style
    code: Style
    code_block: Style
    link: Style
    muted: Style
    code_theme: str
    """A Pygments style for highlighted code."""
    error: Style = field(default_factory=Style)
    found: Style = field(default_factory=lambda: Style(reverse=True))
    found_now: Style = field(default_factory=lambda: Style(reverse=True, bold=True))
    is_plain: bool = False
    """No boxes, bars or symbols: words alone, for screen readers."""


@dataclass
class Look:
    """How one segment is to be drawn."""

    palette: Palette
    references: Mapping[str, Any] = field(default_factory=dict)
    """Link addresses that are given by name, as markdown-it keeps them."""
    cited: frozenset[int] = frozenset()
    """The numbers in square brackets that open a source."""
    pattern: re.Pattern[str] | None = None
    """What is being searched for."""
    now: int = -1
    """Which of the segment's hits is the one gone to last."""
    copy_label: str = "copy"
    seen: int = 0
    """How many hits were marked so far."""

    def mark(self, text: Text) -> Text:
        """Mark what is searched for, before the text is cut into lines."""
        if self.pattern is not None:
            for match in self.pattern.finditer(text.plain):
                style = self.palette.found_now if self.seen == self.now else self.palette.found
                text.stylize(style, *match.span())
                self.seen += 1
        return text


@dataclass(slots=True)
class Row:
    """One line of the screen."""

    text: Text
    joins: str | None = None
    """What stands between the row above and this one in the source, where they are one line there."""
    margin: int = 0
    """How many characters at its beginning were not said: indents and bars of rows that go on."""
    is_said: bool = True
    """Whether it belongs to what was said, and not to the frame around it."""
    painted: object = None
    """What the screen made of it last, and"""
    painted_for: object = None
    """for which place and style."""
