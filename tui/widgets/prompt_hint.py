"""The line below the prompt: what to know on the left, counts on the right."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class HintLine(Widget):
    """Always one row, so nothing moves when it has something to say; the hint goes first when room is short."""

    hint: reactive[str] = reactive("")
    passing: reactive[str] = reactive("")
    """Said in place of the hint until the text changes."""
    count: reactive[str] = reactive("")
    is_warning: reactive[bool] = reactive(False)

    def render(self) -> RenderResult:
        width = self.content_size.width
        right = Content.styled(self.count, "$text-warning" if self.is_warning else "")
        right = right.truncate(width, ellipsis=True)
        room = max(width - right.cell_length - 2 * bool(self.count), 0)
        left = Content.styled(self.passing or self.hint, "$foreground" if self.passing else "")
        left = left.truncate(room, ellipsis=True)
        return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 0), right)
