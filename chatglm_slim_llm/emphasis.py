"""Stars beside Chinese punctuation: ``**第一步：**打开`` is bold, as whoever wrote it meant.

CommonMark lets stars that follow a punctuation mark close only before a blank or another mark, and Chinese has no
blanks. Two things are otherwise here: marks that only Chinese, Japanese and Korean have count as their letters do, and
beside other marks such a letter on the far side counts as a blank does. Where none of these letters stand, nothing
changes. Underscores keep CommonMark's rule.

Source: the amendment of github.com/tats-u/markdown-cjk-friendly.
"""

from __future__ import annotations

from unicodedata import category, east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType


def read_chinese_emphasis(parser: MarkdownIt) -> MarkdownIt:
    """The same parser, which knows the rule from now on."""
    inline = _Inline()
    inline.ruler, inline.ruler2 = parser.inline.ruler, parser.inline.ruler2
    parser.inline = inline
    return parser


class _Inline(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803  (the names are the parser's)
        plain = super().scanDelims(start, canSplitWord)
        end = start + plain.length
        before = self.src[start - 1] if start else " "
        after = self.src[end] if end < self.posMax else " "
        if not canSplitWord or not (_is_chinese(before) or _is_chinese(after)):
            return plain
        opens = not _is_blank(after) and (not _is_mark(after) or _is_mark(before) or _is_apart(before))
        closes = not _is_blank(before) and (not _is_mark(before) or _is_mark(after) or _is_apart(after))
        return Scanned(opens, closes, plain.length)


def _is_apart(character: str) -> bool:
    return _is_blank(character) or _is_chinese(character)


def _is_blank(character: str) -> bool:
    return isWhiteSpace(ord(character))


def _is_mark(character: str) -> bool:
    return not _is_chinese(character) and (isMdAsciiPunct(ord(character)) or isPunctChar(character))


def _is_chinese(character: str) -> bool:
    """A letter or a mark of Chinese, Japanese or Korean; emoji are as wide, and are none."""
    if character < "\u1100":
        return False
    width = east_asian_width(character)
    return width in "FH" or (width == "W" and category(character)[0] != "S")
