"""The last gate before the terminal: no text on the screen can steer it, wherever it came from.

Titles of imported chats, names of files, knowledge bases and models, and what errors quote are other people's text.
"""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TAKES_A_CELL = "\ud800"
"""Halves of pairs, from here on, have a width; what comes before has none."""


class Unsteered(LineFilter):
    """Takes control characters and turns of direction out of each line; no width changes by that."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The line without what steers; what widgets did not write as text stays."""
        if not _STEERING.search("".join(segment.text for segment in segments)):
            return segments
        return [
            segment if segment.control else Segment(_STEERING.sub(_shown, segment.text), segment.style)
            for segment in segments
        ]


def _shown(found: re.Match[str]) -> str:
    return "�" if found[0] >= _TAKES_A_CELL else ""
