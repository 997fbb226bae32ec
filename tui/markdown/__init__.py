"""Markdown source in, styled rows out, cheap enough to run again for every few tokens.

``document.py`` cuts a message into segments and follows it while it grows, ``open_blocks.py`` and ``quick.py`` do so
for what is open, and ``kept.py`` and ``kept_words.py`` keep what is drawn of it; ``blocks.py`` knows the parser's
blocks, ``inline.py`` what is inside a line; ``segments.py``, ``code.py`` and ``tables.py`` draw.
"""

from __future__ import annotations

from tui.markdown.code import CodeBlock
from tui.markdown.document import Document
from tui.markdown.look import Look, Palette, Row
from tui.markdown.segments import Segment

__all__ = ["CodeBlock", "Document", "Look", "Palette", "Row", "Segment"]
