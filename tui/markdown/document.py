"""A message's source, cut into segments, also while it grows.

Blocks that can no longer change are cut off once; only the open one is read again. An open fence and an
open table are read line by line, and a long list item by item, so an answer costs what is new in it. The
segments are a function of the source alone, however it was cut on its way.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from tui.markdown.blocks import Flattener, first_line, language_of, parse, table_of
from tui.markdown.code import CodeBlock
from tui.markdown.look import PIECE_LINES, Look, Palette, Row
from tui.markdown.open_blocks import OpenFence, OpenTable
from tui.markdown.quick import Quick, QuickQuote, QuickWords
from tui.markdown.segments import Segment
from tui.markdown.tables import Table
from tui.memory import keep_new
from tui.wrapping import visible

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_WINDOW = 16_000  # characters that are read at once
_LONG = 100_000


@contextmanager
def _no_collecting() -> Iterator[None]:
    """All that is made of a long text is kept: looking for garbage in it would take as long as reading it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        keep_new()
        if was_enabled:
            gc.enable()


class Document:
    """The segments of one message."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.segments: list[Segment] = []
        self.references: Mapping[str, Any] = {}
        """Addresses that are given by name; another object whenever they change."""
        self._source = ""
        self._settled_references: dict[str, Any] = {}
        self._num_settled = 0
        self._cut = 0  # where in the source what is open begins
        self._line = 0  # and the number of that line
        self._list: tuple[str, str, int] | None = None  # the list that goes on: type, mark, next number
        self._open: OpenFence | OpenTable | None = None
        self._open_at = (0, 0)  # the open block's first segment, and its first line
        self._quick: Quick | None = None

    def update(self, source: str, *, growing: bool = False) -> None:
        """Read what is new in ``source``."""
        if not source.startswith(self._source):
            self._forget()
        self._source = source
        del self.segments[self._num_settled :]
        with _no_collecting() if len(source) - self._cut > _LONG else nullcontext():
            references = self._read(growing)
        if references != self.references:
            self.references = dict(references)

    def _read(self, growing: bool) -> Mapping[str, Any]:
        references: Mapping[str, Any] | None = None
        while references is None and (self._open or self._cut < len(self._source)):
            references = self._read_open(growing) if self._open else self._read_blocks(growing)
        return self._settled_references if references is None else references

    def rows(self, width: int, palette: Palette) -> list[Row]:
        """All rows at once."""
        return [row for segment in self.segments for row in segment.draw(width, Look(palette, self.references))]

    def code_blocks(self) -> list[CodeBlock]:
        """The blocks of code, in order."""
        blocks = (getattr(segment.body, "block", None) for segment in self.segments)
        return list({id(block): block for block in blocks if isinstance(block, CodeBlock)}.values())

    # --- blocks of any kind

    def _read_blocks(self, growing: bool) -> Mapping[str, Any] | None:
        """Settle blocks; where nothing more can be, add what is open and return the addresses known so far."""
        quick, self._quick = self._quick, None
        if growing and quick is not None and (segments := quick.read(self._source, self._cut)) is not None:
            self._quick = quick
            self.segments += self._with_gap(iter(segments), goes_on=False)
            return self._settled_references
        size = _WINDOW
        while True:
            end = self._source.find("\n", self._cut + size) + 1 or len(self._source)
            is_all = end == len(self._source)
            tail = visible(self._source[self._cut : end])
            lines = tail.split("\n")
            env: dict[str, Any] = {"references": dict(self._settled_references)}
            nodes = parse(tail, env)
            if is_all and not growing:
                self.segments += self._flatten(nodes, lines)
                self._settle(end, len(lines), env)
                return None
            if self._settle_certain(nodes, lines, env):
                return None
            if is_all:
                return self._show_open(nodes, lines, env)
            size *= 2

    def _show_open(self, nodes: list[SyntaxTreeNode], lines: list[str], env: dict[str, Any]) -> Mapping[str, Any]:
        quick = self._short_cut(nodes[0], lines) if len(nodes) == 1 and not self._fresh(env) else None
        segments = quick.read(self._source, self._cut) if quick else None
        if segments is not None:
            self._quick = quick
            self.segments += self._with_gap(iter(segments), goes_on=False)
        else:
            self.segments += self._flatten(nodes, lines)
        return self._settled_references | {label: _address(entry) for label, entry in self._fresh(env)}

    def _short_cut(self, node: SyntaxTreeNode, lines: list[str]) -> Quick | None:
        """A way to read on in the one block that is open, where there is one."""
        first, end = node.map or (1, 0)
        if first > 0:
            return None
        if node.type == "blockquote":
            return QuickQuote(Document(), self._line)
        may_be_address = lines[0].lstrip().startswith("[")
        if node.type == "paragraph" and end >= len(lines) - 1 and not may_be_address:
            return QuickWords(self._line, max(self._source.rfind("\n") + 1, self._cut))
        return None

    def _settle_certain(self, nodes: list[SyntaxTreeNode], lines: list[str], env: dict[str, Any]) -> bool:
        """Settle all blocks before the last one whose kind is certain: nothing can join them any more."""
        defined = {entry["map"][1] for _, entry in self._fresh(env)}  # a line after an address may belong to it

        def is_certain(node: SyntaxTreeNode) -> bool:
            line = first_line(node)
            may_be_heading = node.type == "table" or (node.type == "fence" and "|" in lines[line])  # of a table
            return line + may_be_heading < len(lines) - 1 and line not in defined

        count = max((idx for idx, node in enumerate(nodes) if is_certain(node)), default=-1)
        if count < 0:
            return False
        node = nodes[count]
        if node.type in ("bullet_list", "ordered_list"):
            items = enumerate(node.children)  # at the beginning of what is read, a line with a bar may head a table
            num_items = max(
                (i for i, item in items if is_certain(item) and "|" not in lines[first_line(item)]), default=0
            )
            if num_items:
                self._settle_items(nodes[:count], node, num_items, lines, env)
                return True
        if node.type in ("fence", "table"):
            self._open_block(nodes[:count], node, lines, env)
            return True
        if count:
            self.segments += self._flatten(nodes[:count], lines)
            self._settle_before(first_line(node), lines, env)
        return count > 0

    def _settle_items(
        self, before: list[SyntaxTreeNode], node: SyntaxTreeNode, count: int, lines: list[str], env: dict[str, Any]
    ) -> None:
        goes_on = not before and self._goes_on(node)
        number = self._list[2] if goes_on and self._list else int(node.attrs.get("start", 1))
        self.segments += self._flatten(before, lines)
        items = Flattener(lines, self._line).items(node, node.children[:count], "", "", number)
        self.segments += self._with_gap(items, goes_on)
        self._settle_before(first_line(node.children[count]), lines, env)
        self._list = (node.type, node.markup, number + count)

    def _flatten(self, nodes: Iterable[SyntaxTreeNode], lines: list[str]) -> list[Segment]:
        flattener = Flattener(lines, self._line)
        segments: list[Segment] = []
        for idx, node in enumerate(nodes):
            goes_on = idx == 0 and self._goes_on(node)
            number = self._list[2] if goes_on and self._list else None
            block = flattener.block(node, number=number)
            segments += self._with_gap(block, goes_on, is_first=not self.segments and not segments)
        return segments

    def _with_gap(self, segments: Iterator[Segment], goes_on: bool, *, is_first: bool | None = None) -> list[Segment]:
        """Two blocks have an empty row between them; two items of one list only if they have one in the source."""
        found = list(segments)
        is_first = not self.segments if is_first is None else is_first
        is_tight = goes_on and bool(self._line_before_cut().strip())
        if found:
            found[0].gap = None if is_first or is_tight else ""
        return found

    def _line_before_cut(self) -> str:
        return self._source[self._source.rfind("\n", 0, max(self._cut - 1, 0)) + 1 : self._cut]

    def _goes_on(self, node: SyntaxTreeNode) -> bool:
        return self._list is not None and self._list[:2] == (node.type, node.markup) and first_line(node) == 0

    def _settle_before(self, line: int, lines: list[str], env: dict[str, Any]) -> None:
        """All before ``line`` is done; it is looked for in the source, where tabs are not yet spaces."""
        cut = self._cut
        for _ in range(line):
            cut = self._source.index("\n", cut) + 1
        self._settle(cut, line, env)

    def _settle(self, cut: int, num_lines: int, env: dict[str, Any]) -> None:
        fresh = [(label, entry) for label, entry in self._fresh(env) if entry["map"][0] < num_lines]
        self._settled_references.update({label: _address(entry) for label, entry in fresh})
        self._cut, self._line = cut, self._line + num_lines
        self._num_settled, self._list = len(self.segments), None

    def _fresh(self, env: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        return [(label, entry) for label, entry in env["references"].items() if label not in self._settled_references]

    # --- an open fence or table

    def _open_block(
        self, before: list[SyntaxTreeNode], node: SyntaxTreeNode, lines: list[str], env: dict[str, Any]
    ) -> None:
        self.segments += self._flatten(before, lines)
        line = first_line(node)
        if node.type == "fence":
            indent = len(lines[line]) - len(lines[line].lstrip(" "))
            block = CodeBlock(language_of(node.info), is_closed=False)
            self._open = OpenFence(block, node.markup, indent)
        else:
            table = table_of(node)
            self._open = OpenTable(Table(table.heading, table.aligns))
        self._settle_before(line + 1 + (node.type == "table"), lines, env)
        self._open_at = len(self.segments), self._line - 1 - (node.type == "table")

    def _read_open(self, growing: bool) -> Mapping[str, Any] | None:
        """Read on in the open block; returns the addresses unless the block is over."""
        assert self._open is not None
        cut, is_over = self._open.read(self._source, self._cut, growing=growing)
        self._line += self._source.count("\n", self._cut, cut)
        self._cut = cut
        start, line = self._open_at
        num_whole = 0 if is_over else max(len(self.segments) - start - 1, 0)  # the last piece may have grown
        del self.segments[start + num_whole :]
        for piece in self._open.pieces(num_whole * PIECE_LINES):
            gap = "" if self.segments and piece.start == 0 else None
            self.segments.append(Segment(piece, line + piece.line_offset, gap=gap))
        self._num_settled = len(self.segments)
        if is_over:
            self._open = None
            return None
        if isinstance(self._open, OpenTable) and not self._open.table.num_partial and cut < len(self._source):
            tail = visible(self._source[cut:])  # may be the beginning of a block that ends the table
            self.segments += self._flatten(parse(tail, {}), tail.split("\n"))
        return self._settled_references


def _address(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"href": entry["href"], "title": entry["title"]}
