"""Blocks of code, coloured as far as they can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.style import Style
from rich.text import Span, Text

from tui.markdown.kept import KeptRows
from tui.markdown.look import PIECE_LINES, Look, Row
from tui.wrapping import chop

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_TokenType = tuple[Any, ...]
_COLOURED_WHOLE = 200  # lines; longer blocks are coloured piece by piece
_CONTEXT = 80  # lines before a piece that are read with it
_LIVE_CONTEXT = 6  # lines before a line that has just come in
_MIN_WIDTH = 4


@dataclass(eq=False)
class CodeBlock:
    """The lines of a block; while it grows they are coloured one by one, and all together once it is closed."""

    language: str = ""
    lines: list[str] = field(default_factory=list)
    is_closed: bool = True
    num_partial: int = 0
    """How many of the last lines are not complete."""
    kept: KeptRows = field(default_factory=KeptRows)
    _coloured: dict[str, list[Text]] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """What is copied."""
        return "\n".join(self.lines)

    def pieces(self, start: int = 0) -> Iterator[CodeLines]:
        """The block in pieces to be drawn, from one of its lines on."""
        for line in range(start, max(len(self.lines), 1), PIECE_LINES):
            yield CodeLines(self, line, min(line + PIECE_LINES, len(self.lines)))

    def texts(self, start: int, end: int, theme: str) -> list[Text]:
        """Some of the lines with their colours."""
        if not self.language:
            return [Text(line) for line in self.lines[start:end]]
        if not self.is_closed:
            return self._live(start, end, theme)
        if len(self.lines) > _COLOURED_WHOLE:
            first = max(start - _CONTEXT, 0)
            return _coloured(self.lines[first:end], self.language, theme)[start - first :]
        if theme not in self._coloured:
            self._coloured = {theme: _coloured(self.lines, self.language, theme)}
        return [text.copy() for text in self._coloured[theme][start:end]]

    def close(self) -> None:
        """No more lines will come."""
        self.is_closed, self.lines = True, self.lines or [""]
        self._coloured.clear()
        self.kept.clear()

    def drop_partial(self) -> None:
        """Forget the lines that were not complete."""
        del self.lines[len(self.lines) - self.num_partial :]
        self.num_partial = 0

    def _live(self, start: int, end: int, theme: str) -> list[Text]:
        """Lines of a block that grows: each complete one is coloured once, with the few before it."""
        known = self._coloured.setdefault(theme, [])
        num_complete = len(self.lines) - self.num_partial
        for idx in range(len(known), min(end, num_complete)):
            known.append(_coloured(self.lines[max(idx - _LIVE_CONTEXT, 0) : idx + 1], self.language, theme)[-1])
        texts = [text.copy() for text in known[start : min(end, num_complete)]]
        return texts + [Text(line) for line in self.lines[start + len(texts) : end]]


@dataclass(slots=True, eq=False)
class CodeLines:
    """Some lines of a block; the first piece carries its head, the last one its foot."""

    block: CodeBlock
    start: int
    end: int

    @property
    def stamp(self) -> int:
        return len(self.block.lines) * 2 + self.block.is_closed if self._is_last else -1 - self.block.is_closed

    @property
    def line_offset(self) -> int:
        return self.start + 1 if self.start else 0  # the fence has a line of its own

    @property
    def _is_last(self) -> bool:
        return self.end >= len(self.block.lines)

    def draw(self, width: int, look: Look) -> list[Row]:
        block, theme = self.block, look.palette.code_theme
        if look.palette.is_plain:
            return self._plain([look.mark(text) for text in block.texts(self.start, self.end, theme)], width, look)
        inner_width = max(width - 4, _MIN_WIDTH)
        rows = [self._head(width, look)] if self.start == 0 else []
        start = self.start
        if not block.is_closed and look.pattern is None:
            start = max(min(self.end, len(block.lines) - block.num_partial), start)
            made_for = inner_width, look.palette
            rows += block.kept.rows(
                self.start,
                start,
                made_for,
                lambda line: _block_rows(block.texts(line, line + 1, theme), inner_width, look),
            )
        texts = [look.mark(text) for text in block.texts(start, self.end, theme)]
        rows += _block_rows(texts or ([] if start > self.start else [Text()]), inner_width, look)
        if self._is_last:
            rows.append(Row(Text(" " * (inner_width + 4), look.palette.code_block), is_said=False))
        return rows

    def _head(self, width: int, look: Look) -> Row:
        """The language, and a word to click on, at the right."""
        width = max(width - 4, _MIN_WIDTH) + 4
        name = self.block.language[: max(width - 16, 0)]
        label = Text.assemble((name, look.palette.muted), "  " if name else "")
        if width >= 16:
            label.append(look.copy_label, look.palette.muted + Style.from_meta({"code": True}))
        blanks = " " * max(width - cell_len(label.plain) - 2, 0)
        return Row(Text.assemble(blanks, label, "  ", style=look.palette.code_block), is_said=False)

    def _plain(self, texts: list[Text], width: int, look: Look) -> list[Row]:
        rows = [Row(piece, "" if idx else None) for text in texts for idx, piece in enumerate(chop(text, width))]
        if self.start == 0 and self.block.language:
            rows.insert(0, Row(Text(f"{self.block.language}:", look.palette.muted), is_said=False))
        return rows

    def guess(self, width: int) -> int:
        return self.end - self.start + (self.start == 0) + self._is_last


def _block_rows(texts: list[Text], width: int, look: Look) -> list[Row]:
    """Lines as rows on the block's background."""
    rows = []
    for text in texts:
        for idx, line in enumerate(chop(text, width)):
            blanks = " " * (width - cell_len(line.plain) + 2)
            padded = Text.assemble("  ", line, blanks, style=look.palette.code_block)
            rows.append(Row(padded, "" if idx else None, margin=2))
    return rows


def _coloured(lines: list[str], language: str, theme: str) -> list[Text]:
    lexer = _lexer(language)
    if lexer is None:
        return [Text(line) for line in lines]
    style_of = _styles(theme)
    words: list[str] = []
    spans: list[Span] = []
    texts: list[Text] = []
    end = 0
    for kind, value in lexer.get_tokens("\n".join(lines)):
        for idx, part in enumerate(value.split("\n")):
            if idx:
                texts.append(Text("".join(words), spans=spans))
                words, spans, end = [], [], 0
            if part:
                words.append(part)
                spans.append(Span(end, end := end + len(part), style_of(kind)))
    return texts if [text.plain for text in texts] == lines else [Text(line) for line in lines]


@cache
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name  # only needed for code
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=True)
    except ClassNotFound:
        return None


@cache
def _styles(theme: str) -> Callable[[_TokenType], Style]:
    from rich.syntax import Syntax

    wanted = Syntax.get_theme(theme)

    @cache
    def style_of(kind: _TokenType) -> Style:
        """The theme's colours, on the block's own background."""
        style = wanted.get_style_for_token(kind)
        return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)

    return style_of
