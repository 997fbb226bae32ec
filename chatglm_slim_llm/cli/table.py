"""Columns that line up on a terminal, whose characters are one or two cells wide."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

_GAP = "  "
_CUT = "…"
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def one_line(text: str) -> str:
    """Text of strangers on one line, without what would move the cursor or hide."""
    return _UNSEEN.sub("", " ".join(text.split()))


def room() -> int | None:
    """How many cells a line may have; ``None`` where nobody looks, and a line is as long as it is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, width: int | None) -> str:
    """The text, ended with a mark where it has no room."""
    if width is None or cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + _CUT if width > 0 else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows below a head; the last column takes what is left of the line.

    Args:
        head: names of the columns; nothing is shown for a column whose cells are all empty.
        rows: one line each.
        right: columns that end at the same place, such as numbers.
    """
    shown = [place for place in range(len(head)) if any(row[place] for row in rows)]
    lines = [[head[place] for place in shown], *([row[place] for place in shown] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    left = None if (width := room()) is None else width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    return "\n".join(
        _GAP.join(
            [
                *(_padded(cell, width, is_right=shown[place] in right)
                  for place, (cell, width) in enumerate(zip(line[:-1], widths, strict=False))),
                cut(line[-1], left),
            ]
        ).rstrip()
        for line in lines
    )  # fmt: skip


def _padded(cell: str, width: int, *, is_right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if is_right else cell + space


def has_colours() -> bool:
    """Whether marks may be shown by the terminal's own means."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
