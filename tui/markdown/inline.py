"""Words with emphasis, code, links and citations in them, as styled text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.style import Style
from rich.text import Text

from tui.markdown.look import Look, Palette

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.tree import SyntaxTreeNode

MAX_MARKED_UP = 10_000
"""A paragraph of more characters is shown as it was written: the parser's time grows with the square of some."""

_MATH = re.compile(
    r"\$\$[^$]+\$\$|\$(?![\s\d$])[^$\n]*[^\s$\\]\$(?!\d)|\\\((?:[^\\\n]|\\(?!\)))+\\\)|\\\[.+?\\\]", re.DOTALL
)
_SPECIAL = re.compile(r"[*_`\[\]<>&~$\\!\n]|https?://")
_ADDRESS = re.compile(r"https?://[^\s<>\"'“”‘’（）【】「」《》，。；：！？、]+")
_CITATION = re.compile(r"\[(\d{1,3})\]")
# What may open or close something, where it stands in words: no star between blanks, no _ in a word, no $ of a price.
_OPEN = re.compile(r"[`\[\]<~\\]|\*(?! )|(?<! )\*|_(?![^\W_])|(?<![^\W_])_|\$(?![\s\d])")
_FORMULA = re.compile(r"\\[(\[]")  # begins one; as words, it is shown without the backslash
_PARTS = re.compile(f"{_ADDRESS.pattern}|{_CITATION.pattern}")


def is_plain(source: str) -> bool:
    """Whether it is shown as it was written."""
    return len(source) > MAX_MARKED_UP or not _SPECIAL.search(source)


def inline(source: str, look: Look, style: Style) -> list[Text]:
    """The text, a ``Text`` for each of its lines."""
    if is_plain(source):
        return [look.mark(Text(line, style or "")) for line in source.split("\n")]
    from markdown_it.tree import SyntaxTreeNode

    env: dict[str, Any] = {"references": look.references}
    texts = [Text()]
    for node in SyntaxTreeNode(_parser().parseInline(source, env)).children:
        for child in node.children:
            _append(child, look, style, texts)
    return [look.mark(text) for text in texts]


def inline_alone(line: str, look: Look, style: Style) -> list[Text] | None:
    """One line of a longer text; ``None`` if what follows could change how it looks, as something is left open."""
    if not _SPECIAL.search(line):
        text = Text()
        text.append(line, style)
        return [text]
    from markdown_it.tree import SyntaxTreeNode

    texts = [Text()]
    num_formulas = len(_FORMULA.findall(line)) if "\\" in line else 0
    for node in SyntaxTreeNode(_parser().parseInline(line, {"references": look.references})).children:
        for child in node.walk():
            if child.type == "text" and _OPEN.search(_CITATION.sub("", child.content)):
                return None
            if num_formulas and child.type != "inline" and child.type != "text":
                num_formulas -= len(_FORMULA.findall(child.content))
        if num_formulas > 0:
            return None
        for child in node.children:
            _append(child, look, style, texts)
    return texts


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # 15 ms, and only needed once there is an answer

    from chatglm_slim_llm.emphasis import read_chinese_emphasis

    parser = read_chinese_emphasis(MarkdownIt("commonmark").enable("strikethrough"))
    parser.inline.ruler.before("escape", "math", _math)
    return parser


def _math(state: StateInline, silent: bool) -> bool:
    """Formulas stay as they are: the stars and underscores in them are no emphasis."""
    if state.src[state.pos] not in "$\\" or not (match := _MATH.match(state.src, state.pos, state.posMax)):
        return False
    if not silent:
        state.push("formula", "", 0).content = match.group()
    state.pos = match.end()
    return True


def _append(node: SyntaxTreeNode, look: Look, style: Style, texts: list[Text]) -> None:
    if node.type in ("softbreak", "hardbreak") or node.content.lower() in ("<br>", "<br/>", "<br />"):
        texts.append(Text())
        return
    restyle = _STYLES.get(node.type)
    style = restyle(node, look.palette, style) if restyle else style
    if node.type == "image" and not node.children:
        texts[-1].append(str(node.attrs.get("src", "")), style)
    elif node.children:
        for child in node.children:
            _append(child, look, style, texts)
    elif node.type == "text":
        _append_words(texts[-1], node.content, look, style)
    else:
        first, *rest = node.content.split("\n")
        texts[-1].append(first, style)
        texts.extend(Text(line, style) for line in rest)


def _append_words(text: Text, words: str, look: Look, style: Style) -> None:
    """Bare addresses are links, and the numbers of sources open them."""
    at = 0
    for match in _PARTS.finditer(words) if "[" in words or "://" in words else ():
        part = match.group().rstrip(".,;:!?)") if match[1] is None else match.group()
        if match[1] is not None:
            if int(match[1]) not in look.cited:
                continue
            part_style = look.palette.link + Style.from_meta({"citation": int(match[1])})
        elif "link" in style.meta:
            continue
        else:
            part_style = _to(part, look.palette)
        text.append(words[at : match.start()], style)
        text.append(part, style + part_style)
        at = match.start() + len(part)
    text.append(words[at:], style)


def _link(node: SyntaxTreeNode, palette: Palette, style: Style) -> Style:
    return style + _to(str(node.attrs.get("href") or node.attrs.get("src") or ""), palette)


def _to(address: str, palette: Palette) -> Style:
    style = palette.link + Style(underline=True)
    if address.lower().startswith(("http://", "https://", "mailto:")):
        style += Style.from_meta({"link": address})
    return style


_STYLES: dict[str, Callable[[SyntaxTreeNode, Palette, Style], Style]] = {
    "strong": lambda _node, _palette, style: style + Style(bold=True),
    "em": lambda _node, _palette, style: style + Style(italic=True),
    "s": lambda _node, _palette, style: style + Style(strike=True),
    "code_inline": lambda _node, palette, style: style + palette.code,
    "link": _link,
    "image": _link,
}
