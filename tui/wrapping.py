"""Cutting styled text into lines, for Chinese and English alike.

Chinese may break between any two characters, but no line begins with a closing mark or ends with an
opening one. Words of Latin script stay whole unless they are longer than a line. What is one picture on
the screen, such as an emoji with its skin tone, is never cut in two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, split_graphemes
from rich.text import Text

_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    "\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\U0001f300-\U0001faff\U00020000-\U0003fffd"
)
_OPENING = "〈《「『【〔〖〘〚〝（［｛“‘"
_CLOSING = "、。〉》」』】〕〗〙〛〟！），．：；？］｝…—～·”％℃"
_JOINED = "(?:\u200d.|[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff])*"
_UNITS = re.compile(
    rf"[{_OPENING}]*(?:[^\s{_WIDE}{_OPENING}{_CLOSING}]+|(?![{_OPENING}{_CLOSING}])[{_WIDE}]{_JOINED})[{_CLOSING}]*\s*"
    r"|\s+|.",
    re.DOTALL,
)

_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_CONTROLS |= dict.fromkeys([*range(127, 160), 0xFEFF, *range(0xFFF9, 0xFFFC)], "�")
_DIRECTIONS: dict[int, str | None] = dict.fromkeys(
    [0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)
_SEPARATORS: dict[int, str | None] = {0x2028: "␤", 0x2029: "␤", 0xAD: None}
_UNSAFE: dict[int, str | None] = {**_CONTROLS, **_DIRECTIONS, **_SEPARATORS}
_UNSAFE_PATTERN = re.compile("[" + "".join(re.escape(chr(code)) for code in _UNSAFE) + "\ud800-\udfff\t]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_JOINERS_OF_WORDS = re.compile("(?<![\ufe0f\u2190-\u2bff\U0001f000-\U0001faff])\u200d")


def wrap(text: Text, width: int) -> list[Text]:
    """Cut one paragraph into lines of at most ``width`` cells."""
    return [line for line, _ in wrap_joined(text, width)]


def wrap_joined(text: Text, width: int) -> list[tuple[Text, str | None]]:
    """The lines, each with the blanks that stood between it and the one before; ``None`` for the first."""
    lines: list[tuple[Text, str | None]] = []
    joins: str | None = None
    for line in text.divide(break_offsets(text.plain, width)):
        plain = line.plain
        line.rstrip()
        lines.append((line, joins))
        joins = plain[len(line) :]
    return lines


def chop(text: Text, width: int) -> list[Text]:
    """Cut one line of code wherever it is full; its spaces all stay."""
    if len(text) * 2 <= width or cell_len(text.plain) <= width:
        return [text]
    return list(text.divide(_chop_offsets(text.plain, width)))


def break_offsets(plain: str, width: int, *, is_rest: bool = False) -> list[int]:
    """Where new lines begin when ``plain`` is cut to ``width`` cells; the rest of a longer text is cut as within it."""
    if len(plain) * 2 <= width or (not is_rest and cell_len(plain) <= width):
        return []
    offsets: list[int] = []
    used = 0
    for unit in _UNITS.finditer(plain):
        word_cells = cell_len(unit.group().rstrip())  # spaces at its end may hang over the edge
        if used and used + word_cells > width:
            offsets.append(unit.start())
            used = 0
        if word_cells > width:
            inner = list(_chop_offsets(unit.group(), width))
            offsets += [unit.start() + offset for offset in inner]
            used = cell_len(unit.group()[inner[-1] :] if inner else unit.group())
        else:
            used += cell_len(unit.group())
    return offsets


def visible(text: str) -> str:
    """Text that cannot steer the terminal: control characters are shown as pictures, direction marks dropped."""
    text = text.replace("\r\n", "\n")
    if _UNSAFE_PATTERN.search(text):
        text = _SURROGATES.sub("�", text.expandtabs(4).translate(_UNSAFE))
    if "\u200d" in text:  # between letters it changes no width on a terminal, but the widths that are counted here
        text = _JOINERS_OF_WORDS.sub("", text)
    return text


def _chop_offsets(plain: str, width: int) -> Iterator[int]:
    used = 0
    flags = 0
    for start, end, cells in split_graphemes(plain)[0]:
        flags = flags + 1 if "\U0001f1e6" <= plain[start] <= "\U0001f1ff" else 0
        ahead = cells
        if flags % 2 and end < len(plain) and "\U0001f1e6" <= plain[end] <= "\U0001f1ff":
            ahead += 1  # two letters make one flag
        if used and used + ahead > width and not (flags and flags % 2 == 0):
            yield start
            used = 0
        used += cells
