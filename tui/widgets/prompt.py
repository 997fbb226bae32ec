"""Where people type: Enter sends, Shift+Enter or Ctrl+J begins a new line, a paste stays one piece."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from tui.messages import PromptSubmitted

_NEW_LINE_KEYS = ("ctrl+j", "shift+enter", "alt+enter")


class Prompt(TextArea):
    """A text area that grows with its text up to the height the style sheet allows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="prompt.send", tooltip="Send what is typed"),
        Binding(
            ",".join(_NEW_LINE_KEYS),
            "new_line",
            "New line",
            id="prompt.new_line",
            tooltip="Begin a new line (Shift+Enter too)",
        ),
        Binding("pageup", "screen.read(-1)", show=False, id="prompt.read_up", tooltip="Scroll the conversation up"),
        Binding("pagedown", "screen.read(1)", show=False, id="prompt.read_down", tooltip="Scroll it down"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id, show_line_numbers=False, placeholder="Ask anything · 请输入问题", highlight_cursor_line=False
        )

    async def _on_key(self, event: events.Key) -> None:
        # The app would run the bindings before characters typed just ahead of the key have arrived here.
        action = {"enter": self.action_send} | dict.fromkeys(_NEW_LINE_KEYS, self.action_new_line)
        if event.key in action:
            event.stop()
            event.prevent_default()
            action[event.key]()
        else:
            await super()._on_key(event)

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
