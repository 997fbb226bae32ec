"""Text of documents as it may stand in a prompt: one line, in which nothing is a control token or part of our frame.

A document is data, whoever wrote it. A space is put where it breaks a mark and keeps it readable: ``< n>``, ``[ 2]``,
``Question :``. ChatGLM's tokenizer folds text (NFKC) before it looks for its marks: a full-width ``＜n＞`` is a line
break to it, and a zero-width character comes out as a space or as three odd bytes. So marks are looked for in folded
text, and a plain space is what breaks them. What people are shown and what is stored stays as it was.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from itertools import accumulate

_NUMBERS = r"\^?\d{1,3}(?:\s*[-,;、–—~]\s*\d{1,3})*\s*"
_MARKS = re.compile(
    # ChatGLM's pieces, the marks of other models' chat templates, and our citations: broken behind the first character
    r"<(?=/?s>|n>|\|[^|<>\s]{1,40}\||(?:unk|pad|eos|bos|sop|eop|ENC|dBLOCK|unused_\d+|image_-?\d+|0x[0-9a-f]{2})>"
    r"|(?:start|end)_of_turn>|</?SYS>>)"
    rf"|\[(?={_NUMBERS}\]|/?INST\]|[gs]?MASK\]|Round \d+\])"
    rf"|【(?={_NUMBERS}】)"
    # the frame's words: broken before their colon
    r"|(?<!\w)(?:Question|Passages|Tools|Answer with JSON|问题|资料|工具|用 ?JSON ?回答|问|答)(?=:)",
    re.IGNORECASE,
)
_LINE_ENDS = re.compile(r"\s+")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def quoted(text: str) -> str:
    """One line of a document for a prompt."""
    line = _LINE_ENDS.sub(" ", text).strip()
    if not line.isascii() or not line.isprintable():
        line = "".join(char for char in line if not _is_invisible(char))
    breaks = _breaks(line)
    if not breaks:
        return line
    pieces = [line[start:end] for start, end in zip([0, *breaks], [*breaks, len(line)], strict=True)]
    return " ".join(pieces)


def _is_invisible(char: str) -> bool:
    # Joiners (U+200C, U+200D) hold emoji and some scripts' letters together, and no tokenizer drops them.
    return char not in "\u200c\u200d" and unicodedata.category(char) in _INVISIBLE


def _breaks(line: str) -> list[int]:
    """Where marks have to be broken, as offsets in the line as it is."""
    if line.isascii():
        return [match.end() for match in _MARKS.finditer(line)]
    folded = [unicodedata.normalize("NFKC", char) for char in line]
    ends = list(accumulate(map(len, folded)))  # of each character, in the folded text
    return [bisect_left(ends, match.end()) + 1 for match in _MARKS.finditer("".join(folded))]
