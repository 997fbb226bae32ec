"""A table as styled lines that fit a width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui.wrapping import wrap

_BETWEEN = " │ "
_MIN_COLUMN = 4


def table_lines(rows: Sequence[Sequence[Text]], aligns: Sequence[str], width: int, rule: Style) -> list[Text]:
    """Lay out ``rows``, the first of which is the heading; cells that are too wide are wrapped."""
    widths = _fit([max(cell_len(cell.plain) for cell in column) for column in zip(*rows, strict=True)], width)
    lines = []
    for row_idx, row in enumerate(rows):
        wrapped = [wrap(cell, column) for cell, column in zip(row, widths, strict=True)]
        for pieces in zip_longest(*wrapped, fillvalue=Text()):
            lines.append(_row(pieces, widths, aligns, rule, bold=row_idx == 0))
        if row_idx == 0:
            lines.append(Text("─┼─".join("─" * column for column in widths), rule))
    return lines


def _row(pieces: Sequence[Text], widths: Sequence[int], aligns: Sequence[str], rule: Style, *, bold: bool) -> Text:
    line = Text()
    for idx, (piece, column, align) in enumerate(zip(pieces, widths, aligns, strict=True)):
        if idx:
            line.append(_BETWEEN, rule)
        room = max(column - cell_len(piece.plain), 0)
        before = {"right": room, "center": room // 2}.get(align, 0)
        line.append(" " * before)
        start = len(line)
        line.append_text(piece)
        if bold:
            line.stylize(Style(bold=True), start)
        line.append(" " * (room - before))
    return line


def _fit(natural: list[int], width: int) -> list[int]:
    """Shrink the widest columns, one cell at a time, until all fit."""
    widths = [max(column, 1) for column in natural]
    room = width - len(_BETWEEN) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _MIN_COLUMN:
        widths[widths.index(max(widths))] -= 1
    return widths
