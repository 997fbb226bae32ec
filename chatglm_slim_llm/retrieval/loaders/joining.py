"""Lines that a layout broke become paragraphs again, in Chinese and in languages with spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff“”‘’…—"
_WIDE_CHARACTER = re.compile(f"[{_WIDE}]")
_BREAK_IN_CHINESE = re.compile(f"(?<=[{_WIDE}])[ \\t]*\n\\s*(?=[{_WIDE}])")
_SPACES = re.compile(r"\s+")
_SOFT_HYPHEN = re.compile("\u00ad\n?")
_PDFIUM_HYPHEN = re.compile("[\ufffe\x02]\n?")  # stands for a hyphen at the end of a line, and for the line's end
_HYPHEN = re.compile("(?<=[^\\W\\d_])[-\u2010]\n(?=[a-zß-öø-ÿ])")
_ITEM = re.compile(r"(?:[•‣◦▪●○■□–*·-]|\(?\w{1,3}[.)）、]|[（(][\w一-鿿]{1,3}[)）])\s*\S")
_SENTENCE_END = re.compile(r"[.!?。！？；;:：][\"'”’」』)）]*$")
_FULL = 0.75
_NEARLY_FULL = 0.9


def flow(text: str) -> str:
    """Running text on one line: a line break between Chinese characters is nothing, elsewhere a space."""
    return _SPACES.sub(" ", _BREAK_IN_CHINESE.sub("", text)).strip()


def unbroken(text: str) -> str:
    """The text of a page with the lines of each paragraph joined; short lines such as those of a table stay apart."""
    lines = [line.strip() for line in _PDFIUM_HYPHEN.sub("\u00ad\n", text).split("\n")]
    widths = sorted(_width(line) for line in lines if line)
    full = widths[len(widths) * 9 // 10] if widths else 0
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line:
            paragraphs.append([])
        elif paragraphs[-1] and not _goes_on(paragraphs[-1][-1], line, full):
            paragraphs.append([line])
        else:
            paragraphs[-1].append(line)
    return "".join(_spaced(paragraphs)).strip()


def _goes_on(line: str, following: str, full: int) -> bool:
    width = _width(line)
    if line.endswith("\u00ad"):
        return True
    if _ITEM.match(following) or width < _FULL * full:
        return False
    return width >= _NEARLY_FULL * full or _SENTENCE_END.search(line) is None


def _spaced(paragraphs: Iterable[list[str]]) -> Iterable[str]:
    """A blank line around each paragraph of several lines, and where there was one; single lines follow each other."""
    for lines in paragraphs:
        several = len(lines) != 1
        if several:
            yield "\n"
        if lines:
            text = _HYPHEN.sub("", _SOFT_HYPHEN.sub("", "\n".join(lines)))
            yield flow(text) + "\n"
        if several and lines:
            yield "\n"


def _width(line: str) -> int:
    return len(line) + len(_WIDE_CHARACTER.findall(line))
