"""A table as styled lines that fit a width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui.markdown.inline import inline
from tui.markdown.kept import KeptRows
from tui.markdown.look import PIECE_LINES, Look, Palette, Row
from tui.wrapping import wrap

_BETWEEN = " │ "
_MIN_COLUMN = 4
_UNSTYLED = Palette(Style(), Style(), Style(), Style(), Style(), code_theme="")


@dataclass(eq=False)
class Table:
    """The cells of a table, as source; rows may be added."""

    heading: list[str]
    aligns: list[str]
    rows: list[list[str] | str] = field(default_factory=list)
    """Each as cells, or as the line that holds them."""
    num_partial: int = 0
    """How many of the last rows are not complete."""
    kept: KeptRows = field(default_factory=KeptRows)
    _widths: list[int] = field(default_factory=list)
    _num_measured: int = 0
    _references: object = None

    def cells(self, row_idx: int) -> list[str]:
        """The cells of a row; as many as the heading has."""
        row = self.rows[row_idx]
        if isinstance(row, str):
            row = self.rows[row_idx] = split_row(row, len(self.heading))
        return row

    def drop_partial(self) -> None:
        """Forget the rows that were not complete."""
        del self.rows[len(self.rows) - self.num_partial :]
        self.num_partial = 0

    def natural_widths(self, look: Look) -> list[int]:
        """How wide each column would like to be."""
        if self._references is not look.references:
            self._references, self._num_measured, self._widths = look.references, 0, []
        plain = Look(_UNSTYLED, look.references)
        if not self._widths:
            self._widths = [_natural(cell, plain) for cell in self.heading]
        num_complete = len(self.rows) - self.num_partial
        self._widths = self._widened(self._widths, range(self._num_measured, num_complete), plain)
        self._num_measured = num_complete
        return self._widened(self._widths, range(num_complete, len(self.rows)), plain)

    def _widened(self, widths: list[int], rows: range, look: Look) -> list[int]:
        for row_idx in rows:
            pairs = zip(widths, self.cells(row_idx), strict=True)
            widths = [max(width, _natural(cell, look)) for width, cell in pairs]
        return widths

    def pieces(self, start: int = 0) -> Iterator[TableRows]:
        """The table in pieces to be drawn, from one of its rows on."""
        for row in range(start, max(len(self.rows), 1), PIECE_LINES):
            yield TableRows(self, row, min(row + PIECE_LINES, len(self.rows)))


def split_row(line: str, num_columns: int) -> list[str]:
    """The cells of a line, as markdown-it splits it."""
    from markdown_it.rules_block.table import escapedSplit

    columns = escapedSplit(line.strip())
    if columns and columns[0] == "":
        columns.pop(0)
    if columns and columns[-1] == "":
        columns.pop()
    columns += [""] * (num_columns - len(columns))
    return [column.strip() for column in columns[:num_columns]]


def _natural(cell: str, look: Look) -> int:
    return cell_len(" ".join(text.plain for text in inline(cell, look, Style())))


@dataclass(slots=True, eq=False)
class TableRows:
    """Some rows of a table; the first piece carries the heading."""

    table: Table
    start: int
    end: int

    @property
    def stamp(self) -> int:
        return len(self.table.rows)

    @property
    def line_offset(self) -> int:
        return self.start + 2 if self.start else 0

    def draw(self, width: int, look: Look) -> list[Row]:
        table = self.table
        if look.palette.is_plain:
            return self._plain(
                [self._texts(table.cells(idx), look) for idx in range(self.start, self.end)], width, look
            )
        widths = _fit(list(table.natural_widths(look)), width)
        lines: list[Row] = []
        if self.start == 0:
            lines += self._lines(self._texts(self.table.heading, look), widths, look, bold=True)
            rule = Text("─┼─".join("─" * column for column in widths), look.palette.muted)
            lines.append(Row(rule, is_said=False))

        def draw(row_idx: int) -> list[Row]:
            return self._lines(self._texts(table.cells(row_idx), look), widths, look)

        start = self.start
        if table.num_partial and look.pattern is None:
            start = max(min(self.end, len(table.rows) - table.num_partial), start)
            made_for = widths, look.palette, look.cited, id(look.references)
            lines += table.kept.rows(self.start, start, made_for, draw)
        return lines + [row for row_idx in range(start, self.end) for row in draw(row_idx)]

    def _texts(self, cells: Sequence[str], look: Look) -> list[Text]:
        return [Text(" ").join(inline(cell, look, Style())) for cell in cells]

    def _lines(self, cells: Sequence[Text], widths: Sequence[int], look: Look, *, bold: bool = False) -> list[Row]:
        wrapped = [wrap(cell, column) for cell, column in zip(cells, widths, strict=True)]
        pieces = zip_longest(*wrapped, fillvalue=Text())
        return [Row(_row(piece, widths, self.table.aligns, look.palette.muted, bold=bold)) for piece in pieces]

    def _plain(self, rows: Sequence[Sequence[Text]], width: int, look: Look) -> list[Row]:
        """A line for each cell, named by its heading."""
        lines: list[Row] = []
        for row in rows:
            if lines or self.start:
                lines.append(Row(Text()))
            for name, cell in zip(self._texts(self.table.heading, look), row, strict=True):
                lines += [Row(line) for line in wrap(Text.assemble(name, ": ", cell), width)]
        if not self.table.rows:
            lines = [Row(line) for line in wrap(Text(", ").join(self._texts(self.table.heading, look)), width)]
        return lines

    def guess(self, width: int) -> int:
        return self.end - self.start + 2 * (self.start == 0)


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
    """Shrink the widest columns until all fit."""
    widths = [max(column, 1) for column in natural]
    room = width - len(_BETWEEN) * (len(widths) - 1)
    while (excess := sum(widths) - room) > 0 and max(widths) > _MIN_COLUMN:
        widest = max(widths)
        second = max((column for column in widths if column < widest), default=_MIN_COLUMN)
        step = max(min(widest - max(second, _MIN_COLUMN), excess // widths.count(widest)), 1)
        widths[widths.index(widest)] -= min(step, excess)
    return widths
