"""The line below the prompt: what to know on the left, counts on the right."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

_BEGINNING = 20
"""Cells of a hint that is needed which counts make room for."""


class HintLine(Widget):
    """Always one row, so nothing moves when it has something to say.

    What passes comes before counts, and so does the beginning of a hint that is needed; any other hint comes after.
    """

    hint: reactive[str] = reactive("")
    is_needed: reactive[bool] = reactive(False)
    """Whether the hint says how to get out of where one is."""
    passing: reactive[str] = reactive("")
    """Said in place of the hint until the text changes."""
    count: reactive[str] = reactive("")
    is_warning: reactive[bool] = reactive(False)

    def render(self) -> RenderResult:
        width = self.content_size.width
        right = Content.styled(self.count, "$text-warning" if self.is_warning else "").truncate(width, ellipsis=True)
        left = Content.styled(self.passing or self.hint, "$foreground" if self.passing else "")
        wanted = left.cell_length if self.passing else min(left.cell_length, _BEGINNING) * self.is_needed
        if wanted and wanted + 2 + right.cell_length > width:
            right = Content()
        left = left.truncate(max(width - right.cell_length - 2 * bool(right), 0), ellipsis=True)
        return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 0), right)
