"""The parser's blocks as segments, with what stands before their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tui.markdown.code import CodeBlock
from tui.markdown.segments import Body, Rule, Segment, words_of
from tui.markdown.tables import Table

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

_TASKS = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # 15 ms, and only needed once there is an answer

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["block"])  # what is inside a line is read when it is drawn
    return parser


def parse(source: str, env: dict[str, Any]) -> list[SyntaxTreeNode]:
    """The blocks of ``source``; addresses given by name are added to ``env``."""
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(source, env)).children


def first_line(node: SyntaxTreeNode) -> int:
    """Where the block begins, in lines."""
    return node.map[0] if node.map else 0


class Flattener:
    """Turns the blocks of one piece of source into segments."""

    def __init__(self, lines: Sequence[str], first_line: int) -> None:
        self._lines = lines
        self._first_line = first_line

    def segments(self, nodes: Iterable[SyntaxTreeNode], first: str = "", rest: str = "") -> Iterator[Segment]:
        """All blocks, with an empty row between two."""
        for idx, node in enumerate(nodes):
            gap = rest if idx else None
            yield from _with_gap(self.block(node, rest if idx else first, rest), gap)

    def block(
        self, node: SyntaxTreeNode, first: str = "", rest: str = "", number: int | None = None
    ) -> Iterator[Segment]:
        """One block; a list goes on at ``number``."""
        match node.type:
            case "bullet_list" | "ordered_list":
                yield from self.items(node, node.children, first, rest, number)
            case "blockquote":
                yield from self.segments(node.children, first + "▎ ", rest + "▎ ")
                if not node.children:
                    yield from self._leaf(words_of(""), node, first + "▎ ", rest + "▎ ")
            case "fence" | "code_block":
                block = CodeBlock(language_of(node.info), node.content.removesuffix("\n").split("\n"))
                yield from self._leaf(block.pieces(), node, first, rest)
            case "table":
                yield from self._leaf(table_of(node).pieces(), node, first, rest)
            case "hr":
                yield from self._leaf([Rule()], node, first, rest)
            case "heading" | "paragraph":
                level = int(node.tag[1]) if node.type == "heading" else 0
                yield from self._leaf(words_of(_content(node), level), node, first, rest)
            case _:
                yield from self._leaf(words_of(node.content.rstrip("\n"), is_marked_up=False), node, first, rest)

    def items(
        self, node: SyntaxTreeNode, items: Sequence[SyntaxTreeNode], first: str, rest: str, number: int | None = None
    ) -> Iterator[Segment]:
        """The items of a list; there is an empty row between two where there is one in the source."""
        if number is None:
            number = int(node.attrs.get("start", 1))
        for idx, item in enumerate(items):
            marker = "• " if node.type == "bullet_list" else f"{number + idx}{node.markup} "
            before, indent = (rest if idx else first) + marker, rest + " " * len(marker)
            gap = rest if idx and self.is_blank_before(item) else None
            yield from _with_gap(self._item(item, before, indent), gap)

    def _item(self, item: SyntaxTreeNode, first: str, rest: str) -> Iterator[Segment]:
        if not item.children:
            yield Segment(next(words_of("")), self._first_line + first_line(item), first, rest)
        for idx, node in enumerate(item.children):
            gap = rest if idx and self.is_blank_before(node) else None
            yield from _with_gap(self.block(node, rest if idx else first, rest), gap)

    def is_blank_before(self, node: SyntaxTreeNode) -> bool:
        """Whether the line before a block is empty, but for the marks of quotes."""
        line = first_line(node)
        return line > 0 and not self._lines[line - 1].strip(" >")

    def _leaf(self, bodies: Iterable[Body], node: SyntaxTreeNode, first: str, rest: str) -> Iterator[Segment]:
        line = self._first_line + first_line(node)
        for idx, body in enumerate(bodies):
            yield Segment(body, line + body.line_offset, rest if idx else first, rest)


def _with_gap(segments: Iterator[Segment], gap: str | None) -> Iterator[Segment]:
    for idx, segment in enumerate(segments):
        if idx == 0:
            segment.gap = gap
        yield segment


def language_of(info: str) -> str:
    """The first word after a fence."""
    return info.split()[0] if info.strip() else ""


def table_of(node: SyntaxTreeNode) -> Table:
    """A table with all its rows."""
    rows = [[_content(cell) for cell in row.children] for section in node.children for row in section.children]
    head = node.children[0].children[0]
    aligns = [str(cell.attrs.get("style", "")).rpartition(":")[2] or "left" for cell in head.children]
    return Table(rows[0], aligns, list(rows[1:]))


def _content(node: SyntaxTreeNode) -> str:
    content = node.children[0].content if node.children else ""
    return _TASKS[content[:4]] + content[4:] if _is_task(node, content) else content


def _is_task(node: SyntaxTreeNode, content: str) -> bool:
    return content[:4] in _TASKS and node.parent is not None and node.parent.type == "list_item"
