"""The tools that the model may use in a chat: each is off until it is switched on here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from tui.language import tr
from tui.plugin_list import PluginList, about, read
from tui.screens.dialog import HEIGHTS, Buttons, Panel
from tui.widgets.prose import Prose
from tui.wrapping import visible


@dataclass(frozen=True)
class _Tool:
    """A row of the list."""

    name: str
    about: str
    problem: str = ""
    """Why it cannot be used; empty if it can."""


class ToolsScreen(ModalScreen[tuple[str, ...] | None]):
    """Returns the names of those that are on, ``None`` where that did not change.

    Args:
        chosen: those that are on now.
        has_knowledge: the chat answers from a knowledge base, without tools.
        plugins: reads the plugins; takes a while.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    ToolsScreen {
        align: center middle;
        & Panel { width: 78; }
        & #tools { max-height: 10; min-height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & #tool-about { margin-top: 1; max-height: 4; }
    }
    ToolsScreen.-short #tool-about { display: none; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="tools.close", tooltip="Keep what is chosen, and go back"),
        Binding("space", "switch", "On or off", id="tools.switch", tooltip="Let the model use this tool, or no longer"),
    ]

    def __init__(
        self, chosen: Sequence[str], *, has_knowledge: bool = False, plugins: Callable[[], PluginList] = read
    ) -> None:
        super().__init__()
        self._before = tuple(chosen)
        self._chosen = set(chosen)
        self._has_knowledge, self._plugins = has_knowledge, plugins
        self._tools: list[_Tool] = []

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Tools of this chat")
            panel.border_subtitle = tr("Space switches on or off · Esc closes")
            yield OptionList(Option(Content("…"), disabled=True), id="tools", markup=False)
            yield Prose(id="tool-about", classes="muted")
            with Buttons():
                yield Button(tr("Close"), id="close", variant="primary")

    async def on_mount(self) -> None:
        self.query_one("#tools").focus()
        self._tools = _tools(await asyncio.to_thread(self._plugins), self._before)
        self._list(0)

    def _list(self, highlighted: int) -> None:
        tools = self.query_one("#tools", OptionList)
        tools.clear_options()
        width = min(max((cell_len(visible(each.name)) for each in self._tools), default=0), 24)
        tools.add_options(Option(self._row(each, width)) for each in self._tools)
        if not self._tools:
            tools.add_option(
                Option(Content(tr("No tool plugin is on; /plugins shows which there are.")), disabled=True)
            )
        tools.highlighted = highlighted if self._tools else None
        self._show_about()

    def _row(self, tool: _Tool, width: int) -> Content:
        is_on = tool.name in self._chosen
        mark = "● " if is_on else "○ "
        if self.app.has_class("-accessible"):
            mark = f"{tr('on') if is_on else tr('off')}: "
        name = Content(visible(tool.name)).truncate(width, ellipsis=True)
        words = tool.problem or tool.about
        style = "$text-muted" if tool.problem else "auto 70%"
        return Content.assemble(
            (mark, "$accent" if is_on else "auto 60%"),
            name.stylize("$text-muted") if tool.problem else name,
            " " * (width - name.cell_length + 3),
            (words, style),
        )

    @property
    def _marked(self) -> _Tool | None:
        place = self.query_one("#tools", OptionList).highlighted
        return self._tools[place] if place is not None and place < len(self._tools) else None

    @on(OptionList.OptionHighlighted)
    def _show_about(self) -> None:
        marked = self._marked
        sentences = [marked.problem or marked.about] if marked else []
        if self._has_knowledge:
            sentences.append(tr("While this chat answers from a knowledge base, no tool is used."))
        else:
            sentences.append(tr("Before a tool does anything but read, you are asked."))
        self.query_one("#tool-about", Prose).update("\n".join(filter(None, sentences)))

    @on(OptionList.OptionSelected)
    def action_switch(self) -> None:
        """Switch the marked one; one that cannot be used can only be switched off."""
        if (marked := self._marked) is None:
            return
        if marked.name in self._chosen:
            self._chosen.discard(marked.name)
        elif not marked.problem:
            self._chosen.add(marked.name)
        self._list(self._tools.index(marked))

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        names = tuple(tool.name for tool in self._tools if tool.name in self._chosen)
        self.dismiss(names if self._tools and set(names) != set(self._before) else None)


def _tools(plugins: PluginList, chosen: Sequence[str]) -> list[_Tool]:
    """Those that are on, and those that the chat has chosen and can no longer have."""
    usable = {spec.name: _Tool(spec.name, about(spec)) for spec in plugins.on("tools")}
    reasons = {spec.name: spec.reason for spec in reversed(plugins.of("tools")) if spec.state != "on"}
    gone = tr("it is not installed any more")
    lost = [_Tool(name, "", reasons.get(name) or gone) for name in chosen if name not in usable]
    return [*usable.values(), *lost]
