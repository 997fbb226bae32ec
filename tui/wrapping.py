"""Cutting styled text into lines, for Chinese and English alike.

Chinese may break between any two characters, but no line begins with a closing mark or ends with an
opening one. Words of Latin script stay whole unless they are longer than a line.
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
_JOINED = "(?:\u200d.|[\ufe0f\U0001f3fb-\U0001f3ff])*"
_UNITS = re.compile(
    rf"[{_OPENING}]*(?:[^\s{_WIDE}{_OPENING}{_CLOSING}]+|(?![{_OPENING}{_CLOSING}])[{_WIDE}]{_JOINED})[{_CLOSING}]*\s*"
    r"|\s+|.",
    re.DOTALL,
)

_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_CONTROLS |= dict.fromkeys(range(127, 160), "�")
_DIRECTIONS: dict[int, str | None] = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_UNSAFE: dict[int, str | None] = {**_CONTROLS, **_DIRECTIONS}


def wrap(text: Text, width: int) -> list[Text]:
    """Cut one paragraph into lines of at most ``width`` cells."""
    lines = list(text.divide(break_offsets(text.plain, width)))
    for line in lines:
        line.rstrip()
    return lines


def chop(text: Text, width: int) -> list[Text]:
    """Cut one line of code wherever it is full; its spaces all stay."""
    return list(text.divide(_chop_offsets(text.plain, width)))


def break_offsets(plain: str, width: int) -> list[int]:
    """Where new lines begin when ``plain`` is cut to ``width`` cells."""
    if cell_len(plain) <= width:
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
            used = cell_len(unit.group()[inner[-1] :])
        else:
            used += cell_len(unit.group())
    return offsets


def visible(text: str) -> str:
    """Text that cannot steer the terminal: control characters are shown as pictures, direction marks dropped."""
    return text.replace("\r\n", "\n").expandtabs(4).translate(_UNSAFE)


def _chop_offsets(plain: str, width: int) -> Iterator[int]:
    used = 0
    for start, _end, cells in split_graphemes(plain)[0]:
        if used and used + cells > width:
            yield start
            used = 0
        used += cells
