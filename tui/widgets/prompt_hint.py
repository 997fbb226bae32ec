"""The line below the prompt: what to know on the left, counts on the right."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class HintLine(Widget):
    """Always one row, so nothing moves when it has something to say; what passes comes before counts, a hint after."""

    hint: reactive[str] = reactive("")
    passing: reactive[str] = reactive("")
    """Said in place of the hint until the text changes."""
    count: reactive[str] = reactive("")
    is_warning: reactive[bool] = reactive(False)

    def render(self) -> RenderResult:
        width = self.content_size.width
        right = Content.styled(self.count, "$text-warning" if self.is_warning else "").truncate(width, ellipsis=True)
        left = Content.styled(self.passing or self.hint, "$foreground" if self.passing else "")
        if self.passing and left.cell_length + 2 + right.cell_length > width:
            right = Content()
        left = left.truncate(max(width - right.cell_length - 2 * bool(right), 0), ellipsis=True)
        return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 0), right)
