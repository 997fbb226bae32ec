"""A fence or a table that is still being written: its lines are read once each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui.markdown.blocks import parse
from tui.markdown.code import CodeBlock, CodeLines
from tui.markdown.tables import Table, TableRows
from tui.wrapping import visible

_SURE_ROWS = re.compile(r"(?: {0,3}\|[^\n]*\n)+")  # nothing but a row begins like this


@dataclass
class OpenFence:
    """A block of code whose end was not seen yet."""

    block: CodeBlock
    mark: str
    indent: int

    def read(self, source: str, start: int, *, growing: bool) -> tuple[int, bool]:
        """Take lines from ``start`` on; returns where the rest begins, and whether the block is over."""
        self.block.drop_partial()
        match = self._closing().search(source, start)
        is_over = match is not None and (not growing or match.group().endswith("\n"))
        end = match.start() if match else source.rfind("\n", start) + 1 or start
        self.block.lines += self._lines(source[start:end])
        if match is None:  # a line that is not complete is shown, and read again
            partial = self._lines(source[end:]) if visible(source[end:]).strip(" ") else []
            self.block.num_partial = len(partial) if growing else 0
            self.block.lines += partial
        if is_over or not growing:
            self.block.close()
            return (match.end() if match else len(source)), True
        return end, False

    def pieces(self, start: int) -> Iterator[CodeLines]:
        return self.block.pieces(start)

    def _closing(self) -> re.Pattern[str]:
        mark = re.escape(self.mark)
        return re.compile(rf"^ {{0,3}}{mark}{re.escape(self.mark[0])}*[ \t]*\r?(?:\n|\Z)", re.MULTILINE)

    def _lines(self, raw: str) -> list[str]:
        if not raw:
            return []
        lines = visible(raw).removesuffix("\n").split("\n")
        return [line[min(self.indent, len(line) - len(line.lstrip(" "))) :] for line in lines] if self.indent else lines


@dataclass
class OpenTable:
    """A table that may get more rows."""

    table: Table

    def read(self, source: str, start: int, *, growing: bool) -> tuple[int, bool]:
        """Take rows from ``start`` on; returns where the rest begins, and whether the table is over."""
        self.table.drop_partial()
        while start < len(source):
            if match := _SURE_ROWS.match(source, start):
                self._add(visible(match.group()).removesuffix("\n").split("\n"))
                start = match.end()
                continue
            end = source.find("\n", start) + 1 or len(source)
            line = visible(source[start:end])
            is_row, is_complete = _is_row(line), line.endswith("\n") or not growing
            if is_row:
                self._add([line.removesuffix("\n")])
            if not is_complete:
                self.table.num_partial = int(is_row)
                return start, False
            if not is_row:
                return start, True
            start = end
        return start, not growing

    def pieces(self, start: int) -> Iterator[TableRows]:
        return self.table.pieces(start)

    def _add(self, lines: Sequence[str]) -> None:
        self.table.rows += lines


def _is_row(line: str) -> bool:
    """Whether a line goes on in a table, as the parser sees it."""
    nodes = parse("|a|\n|-|\n" + line.removesuffix("\n") + "\n", {})
    return nodes[0].map is not None and nodes[0].map[1] == 3
