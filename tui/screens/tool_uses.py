"""What an answer did with tools, each use in full: what the tool was given, and what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui import clipboard
from tui.language import tr
from tui.screens.dialog import HEIGHTS, Panel, Said
from tui.tool_uses import in_full, state_text
from tui.widgets.prose import Prose
from tui.wrapping import visible


class ToolUsesScreen(ModalScreen[None]):
    """One of the uses; the arrows go to the others."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    ToolUsesScreen {
        align: center middle;
        & Panel { width: 84; height: 80%; overflow: hidden; padding: 1 1 0 2; }
        & #use-body { height: 1fr; margin-top: 1; scrollbar-size-vertical: 1; padding-right: 1; }
        & .title { color: $primary; text-style: bold; }
        & .given { margin-bottom: 1; }
        & Said { margin: 0; }
    }
    ToolUsesScreen.-short Panel { padding: 0; height: 100%; }
    ToolUsesScreen.-short #use-body { margin: 0; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", id="tool_uses.close", tooltip="Back to the conversation"),
        Binding("left", "step(-1)", "Previous", id="tool_uses.previous", tooltip="The use before this one"),
        Binding("right", "step(1)", "Next", id="tool_uses.next", tooltip="The next use"),
        Binding("c", "copy", "Copy", id="tool_uses.copy", tooltip="Copy what the tool gave"),
    ]

    def __init__(self, uses: Sequence[ToolUse], place: int = 0) -> None:
        super().__init__()
        self._uses, self._place = list(uses), min(place, len(uses) - 1)

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            others = [tr("← → other uses")] if len(self._uses) > 1 else []
            panel.border_subtitle = " · ".join([*others, tr("c copies"), tr("Esc closes")])
            yield Prose(id="use-state", classes="muted")
            yield Said()
            with VerticalScroll(id="use-body"):
                yield Static(tr("Given"), classes="title", markup=False)
                yield Prose(id="use-arguments", classes="given")
                yield Static(tr("Result"), classes="title", markup=False)
                yield Prose(id="use-result")

    def on_mount(self) -> None:
        self.query_one("#use-body").focus()
        self._show()

    def _show(self) -> None:
        use = self._uses[self._place]
        of = tr("{place} of {count}", place=self._place + 1, count=len(self._uses))
        self.query_one(Panel).border_title = tr("Tool use {of}", of=of)
        name = visible(" ".join(use.name.split()))
        self.query_one("#use-state", Prose).update(f"{name} · {state_text(use)}")
        self.query_one("#use-arguments", Prose).update(in_full(use.arguments))
        self.query_one("#use-result", Prose).update(visible(use.result) or tr("nothing"))
        self.query_one("#use-body", VerticalScroll).scroll_home(animate=False)
        self.query_one(Said).say("")

    # --- keys

    def action_step(self, by: int) -> None:
        self._place = (self._place + by) % len(self._uses)
        self._show()

    def action_copy(self) -> None:
        clipboard.copy(self.app, self._uses[self._place].result)
        self.query_one(Said).say(tr("Copied."))

    def action_close(self) -> None:
        self.dismiss(None)
