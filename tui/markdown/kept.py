"""Rows of what is complete in a block that still grows: they are drawn once, however often the block is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tui.markdown.look import Row

_MAX_PIECES = 3  # that are in view at once


@dataclass(eq=False)
class KeptRows:
    """The rows of a block's last pieces, by the line that each piece begins with."""

    _pieces: dict[int, tuple[object, list[list[Row]]]] = field(default_factory=dict)

    def rows(self, start: int, end: int, made_for: object, draw: Callable[[int], list[Row]]) -> list[Row]:
        """The rows of some lines; those that were drawn for the same are not drawn again."""
        before, lines = self._pieces.pop(start, (None, []))
        if before != made_for:
            lines = []
        lines = lines[: end - start]
        lines += [draw(line) for line in range(start + len(lines), end)]
        self._pieces[start] = made_for, lines
        while len(self._pieces) > _MAX_PIECES:
            del self._pieces[next(iter(self._pieces))]
        return [row for line in lines for row in line]

    def clear(self) -> None:
        """Forget them."""
        self._pieces.clear()
