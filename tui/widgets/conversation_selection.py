"""What was said in the selected place, without what the screen has put around it."""

from __future__ import annotations

from textual.selection import Selection

from tui.widgets.conversation_layout import Layout
from tui.widgets.conversation_paint import MARGIN


def selected_words(layout: Layout, selection: Selection) -> str:
    """The words, with lines that were cut for the screen joined again."""
    first = selection.start.y if selection.start else 0
    last = min(selection.end.y if selection.end else layout.height, layout.height)
    said: list[str] = []
    for row in range(first, last + 1):
        span = selection.get_span(row)
        drawn = layout.row_at(row)[1] if layout.width else None
        if span is None or (drawn is not None and not drawn.is_said):
            continue
        if drawn is None:
            said.append("\n")
            continue
        start, end = max(span[0] - MARGIN, drawn.margin), span[1]
        words = drawn.text.plain[start : None if end == -1 else max(end - MARGIN, 0)]
        said += [drawn.joins if drawn.joins is not None and said else "\n", words.rstrip().replace("▎", ">")]
    return "".join(said[1:]).strip("\n")
