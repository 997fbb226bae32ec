"""The line at the top: which model, and what it is doing."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class StatusLine(Widget):
    """The model, its level and the tools it may use on the left, its state on the right; that goes first if need be."""

    model: reactive[str] = reactive("")
    tools: reactive[str] = reactive("")
    """How many tools the model may use in this chat; empty for none."""
    state: reactive[str] = reactive("")
    is_problem: reactive[bool] = reactive(False)

    def render(self) -> RenderResult:
        width = self.content_size.width
        tools = Content.styled(f" · {self.tools}" if self.tools else "", "$accent")
        left = Content.assemble((f"ChatGLM  {self.model}", "bold"), tools).truncate(width, ellipsis=True)
        right = Content.styled(self.state, "$text-error" if self.is_problem else "$text-muted")
        right = right.truncate(max(width - left.cell_length - 2, 0), ellipsis=True)
        return Content.assemble(left, " " * max(width - left.cell_length - right.cell_length, 0), right)
