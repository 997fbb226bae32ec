"""Where people type: Enter sends, Shift+Enter or Ctrl+J begins a new line, a paste stays one piece."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from tui.messages import PromptSubmitted


class Prompt(TextArea):
    """A text area that grows with its text up to the height the style sheet allows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="prompt.send", tooltip="Send what is typed", priority=True),
        Binding(
            "ctrl+j,shift+enter,alt+enter",
            "new_line",
            "New line",
            id="prompt.new_line",
            tooltip="Begin a new line (Shift+Enter too)",
        ),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id, show_line_numbers=False, placeholder="Ask anything · 请输入问题", highlight_cursor_line=False
        )

    def action_send(self) -> None:
        """Hand the text over; whoever takes it clears it."""
        if self.text.strip():
            self.post_message(PromptSubmitted(self.text.strip("\n")))

    def action_new_line(self) -> None:
        self.insert("\n")

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        await super()._on_paste(event)
        event.prevent_default()  # the base class's handler has just run
