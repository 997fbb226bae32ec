"""Markdown source in, styled lines out, cheap enough to run again for every few tokens.

The lines are a function of source, width and palette alone, so a streamed answer ends up exactly as
the same text opened from history, however it was cut on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui.tables import table_lines
from tui.wrapping import chop, wrap

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

_MIN_WIDTH = 4  # deeper nesting than the screen is wide: go on at this width


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


class StreamedMarkdown:
    """The rendering of one growing message; blocks that can no longer change are rendered once."""

    def __init__(self) -> None:
        self._made_for: tuple[int, Palette] | None = None
        self._settled_source = ""
        self._settled: list[Text] = []

    def lines(self, source: str, width: int, palette: Palette, *, growing: bool = False) -> list[Text]:
        """Render ``source``; while it is ``growing`` its last block is not highlighted yet."""
        can_settle = "]:" not in source  # else a link far above may get its address from what comes
        if self._made_for != (width, palette) or not can_settle or not source.startswith(self._settled_source):
            self._made_for, self._settled_source, self._settled = (width, palette), "", []
        tail = source[len(self._settled_source) :]
        nodes = _parse(tail)
        if growing and can_settle:
            nodes, tail = self._settle(nodes, tail, width, palette)
        lines = list(self._settled)
        for node in nodes:
            is_open = growing and node is nodes[-1]
            _append_block(lines, _block(node, max(width, _MIN_WIDTH), palette, highlight=not is_open))
        return lines

    def _settle(
        self, nodes: list[SyntaxTreeNode], tail: str, width: int, palette: Palette
    ) -> tuple[list[SyntaxTreeNode], str]:
        """Keep the blocks before the last one whose kind is certain: nothing can join them any more."""
        source_lines = tail.split("\n")
        certain = [idx for idx, node in enumerate(nodes) if _is_certain(node, len(source_lines) - 1)]
        first_open = certain[-1] if certain else 0
        if not first_open:
            return nodes, tail
        for node in nodes[:first_open]:
            _append_block(self._settled, _block(node, max(width, _MIN_WIDTH), palette, highlight=True))
        cut = sum(len(line) + 1 for line in source_lines[: _first_line(nodes[first_open])])
        self._settled_source += tail[:cut]
        return nodes[first_open:], tail[cut:]


def _is_certain(node: SyntaxTreeNode, num_complete_lines: int) -> bool:
    """Whether what makes the block what it is has been read to its line's end: for a table, the line of dashes."""
    return _first_line(node) + (node.type == "table") < num_complete_lines


def _first_line(node: SyntaxTreeNode) -> int:
    return node.map[0] if node.map else 0


def _append_block(lines: list[Text], block: Iterable[Text]) -> None:
    if lines:
        lines.append(Text())
    lines.extend(block)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # 15 ms, and only needed once there is an answer

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _parse(source: str) -> list[SyntaxTreeNode]:
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(source)).children


def _block(node: SyntaxTreeNode, width: int, palette: Palette, *, highlight: bool) -> list[Text]:
    match node.type:
        case "heading":
            return _paragraph(node, width, palette, palette.heading + Style(bold=True, underline=node.tag == "h1"))
        case "paragraph":
            return _paragraph(node, width, palette, Style())
        case "bullet_list" | "ordered_list":
            return _list(node, width, palette, highlight)
        case "blockquote":
            inner = _blocks(node.children, max(width - 2, _MIN_WIDTH), palette, highlight)
            return _indented(inner, Text("▎ ", palette.muted), Text("▎ ", palette.muted))
        case "fence" | "code_block":
            return _code(node, width, palette, highlight)
        case "table":
            return _table(node, width, palette)
        case "hr":
            return [Text("─" * width, palette.muted)]
    return [line for raw in node.content.rstrip("\n").split("\n") for line in wrap(Text(raw), width)]


def _blocks(
    nodes: Sequence[SyntaxTreeNode], width: int, palette: Palette, highlight: bool, *, tight: bool = False
) -> list[Text]:
    lines: list[Text] = []
    for node in nodes:
        block = _block(node, width, palette, highlight=highlight)
        if tight:
            lines.extend(block)
        else:
            _append_block(lines, block)
    return lines


def _paragraph(node: SyntaxTreeNode, width: int, palette: Palette, style: Style) -> list[Text]:
    return [line for text in _inline(node, palette, style) for line in wrap(text, width)]


def _list(node: SyntaxTreeNode, width: int, palette: Palette, highlight: bool) -> list[Text]:
    first_number = int(node.attrs.get("start", 1))
    tight = all(child.hidden for item in node.children for child in item.children if child.type == "paragraph")
    last_marker = f"{first_number + len(node.children) - 1}. "
    lines: list[Text] = []
    for number, item in enumerate(node.children, start=first_number):
        marker = "• " if node.type == "bullet_list" else f"{number}. ".rjust(len(last_marker))
        inner_width = max(width - len(marker), _MIN_WIDTH)
        inner = _blocks(item.children, inner_width, palette, highlight, tight=tight) or [Text()]
        if lines and not tight:
            lines.append(Text())
        lines += _indented(inner, Text(marker, palette.muted), Text(" " * len(marker)))
    return lines


def _indented(lines: Iterable[Text], first: Text, rest: Text) -> list[Text]:
    return [Text.assemble(rest if idx else first, line) for idx, line in enumerate(lines)]


def _code(node: SyntaxTreeNode, width: int, palette: Palette, highlight: bool) -> list[Text]:
    source = node.content.rstrip("\n")
    language = node.info.split()[0] if node.info.strip() else ""
    text = _highlighted(source, language, palette.code_theme) if highlight and language else Text(source)
    inner_width = max(width - 4, _MIN_WIDTH)
    lines = [piece for line in text.split("\n", allow_blank=True) for piece in chop(line, inner_width)]
    blank = " " * (inner_width + 4)
    padded = [Text.assemble("  ", line, " " * (inner_width - cell_len(line.plain) + 2)) for line in lines]
    for line in (boxed := [Text(blank), *padded, Text(blank)]):
        line.style = palette.code_block
    return boxed


def _highlighted(source: str, language: str, theme: str) -> Text:
    from rich.syntax import Syntax  # Pygments: only needed for code

    coloured = Syntax(source, language, theme=theme).highlight(source)
    text = Text(source)
    for span in coloured.spans:
        if isinstance(span.style, Style):  # the theme's colours on the block's own background
            text.stylize(_without_background(span.style), span.start, min(span.end, len(source)))
    return text if coloured.plain.rstrip("\n") == source else Text(source)


def _without_background(style: Style) -> Style:
    return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)


def _table(node: SyntaxTreeNode, width: int, palette: Palette) -> list[Text]:
    rows = [row for section in node.children for row in section.children]
    cells = [[Text(" ").join(_inline(cell, palette, Style())) for cell in row.children] for row in rows]
    aligns = [str(cell.attrs.get("style", "")).rpartition(":")[2] or "left" for cell in rows[0].children]
    return table_lines(cells, aligns, width, palette.muted)


def _inline(node: SyntaxTreeNode, palette: Palette, style: Style) -> list[Text]:
    """The node's text as one ``Text`` a line of the source."""
    texts = [Text()]
    for child in node.children:
        _append_inline(child, palette, style, texts)
    return texts


def _append_inline(node: SyntaxTreeNode, palette: Palette, style: Style, texts: list[Text]) -> None:
    if node.type in ("softbreak", "hardbreak") or node.content.lower() in ("<br>", "<br/>", "<br />"):
        texts.append(Text())
        return
    restyle = _INLINE_STYLES.get(node.type)
    style = restyle(node, palette, style) if restyle else style
    if node.type == "image" and not node.children:
        texts[-1].append(str(node.attrs.get("src", "")), style)
    elif node.children:
        for child in node.children:
            _append_inline(child, palette, style, texts)
    else:
        texts[-1].append(node.content, style)


def _link(node: SyntaxTreeNode, palette: Palette, style: Style) -> Style:
    address = str(node.attrs.get("href") or node.attrs.get("src") or "")
    is_web = address.startswith(("http://", "https://"))
    return style + palette.link + Style(underline=True, link=address if is_web else None)


_INLINE_STYLES: dict[str, Callable[[SyntaxTreeNode, Palette, Style], Style]] = {
    "strong": lambda _node, _palette, style: style + Style(bold=True),
    "em": lambda _node, _palette, style: style + Style(italic=True),
    "s": lambda _node, _palette, style: style + Style(strike=True),
    "code_inline": lambda _node, palette, style: style + palette.code,
    "link": _link,
    "image": _link,
}
