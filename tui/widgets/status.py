"""The line at the top: which model, and what it is doing."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class StatusLine(Widget):
    """The model and its level on the left, its state on the right; the state goes first when room is short."""

    model: reactive[str] = reactive("")
    state: reactive[str] = reactive("")
    is_problem: reactive[bool] = reactive(False)

    def render(self) -> RenderResult:
        width = self.content_size.width
        left = Content.styled(f"ChatGLM  {self.model}", "bold").truncate(width, ellipsis=True)
        right = Content.styled(self.state, "$text-error" if self.is_problem else "$text-muted")
        right = right.truncate(max(width - left.cell_length - 2, 0), ellipsis=True)
        return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 0), right)
