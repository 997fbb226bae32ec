"""Every plugin with its state: what is installed, what ``plugins.toml`` says, what is wrong, and switching it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from chatglm_slim_llm.errors import ChatGLMSlimError
from tui.language import tr
from tui.local_models import short_path
from tui.plugin_list import OURS, PluginList, about, conflict, read, whose
from tui.reasons import told
from tui.screens.confirm import Confirm
from tui.screens.dialog import HEIGHTS, Buttons, MarkList, Panel, Said
from tui.widgets.prose import Prose
from tui.wrapping import visible

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins import PluginSpec

Switch = Callable[["PluginSpec", bool], Path]
_GROUPS = {
    "models": "Models",
    "tools": "Tools",
    "commands": "Commands",
    "loaders": "Kinds of files",
    "retrievers": "Retrievers",
    "embedders": "Embedders",
}
_STATES = {"on": "on", "off": "off", "new": "new", "untrusted": "not trusted", "broken": "broken"}
_MARKS = {"on": "● ", "off": "○ ", "new": "+ ", "untrusted": "! ", "broken": "✗ "}
_SINCE = {
    "models": "It can be chosen with Ctrl+T.",
    "tools": "F4 lets the model of a chat use it, from the next answer on.",
    "commands": "It can be typed from now on.",
    "loaders": "Files are read with it from now on.",
    "retrievers": "It is used from the next search on.",
    "embedders": "A new knowledge base can find by it.",
}
"""What is there to do, or from when on it holds, once a plugin of the group is on."""
_UNTIL = "What is under way goes on with it; after that it is not used any more."


def switch(spec: PluginSpec, enabled: bool) -> Path:
    """Have ``plugins.toml`` switch a plugin; returns the file that was written."""
    from chatglm_slim_llm.plugins.editing import set_enabled

    return set_enabled(spec, enabled)


class PluginsScreen(ModalScreen[bool]):
    """Returns whether something was switched.

    Args:
        plugins: reads the plugins; takes a while.
        switch: switches one; takes a while, too.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    PluginsScreen {
        align: center middle;
        & Panel { width: 92; height: 96%; overflow: hidden; padding: 1 1 0 2; }
        & #plugins { height: 1fr; max-height: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
        & #plugin-about { margin-top: 1; max-height: 7; }
        & Buttons { margin-right: 1; }
    }
    PluginsScreen.-short Panel { height: 100%; padding: 0; }
    PluginsScreen.-short #plugin-about { max-height: 2; margin-top: 0; }
    PluginsScreen.-short Buttons { display: none; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="plugins.close", tooltip="Back to the chat"),
        Binding("space", "switch", "On or off", id="plugins.switch", tooltip="Switch the plugin on or off"),
    ]

    def __init__(self, plugins: Callable[[], PluginList] = read, *, switch: Switch = switch) -> None:
        super().__init__()
        self._read, self._switch = plugins, switch
        self._rows: list[PluginSpec | None] = []
        self._problems: list[str] = []
        self._has_switched = False

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Plugins")
            panel.border_subtitle = tr("Space switches on or off · Esc closes")
            yield MarkList(Option(Content("…"), disabled=True), id="plugins", markup=False)
            yield Prose(id="plugin-about", classes="muted")
            yield Said()
            with Buttons():
                yield Button(tr("Close"), id="close", variant="primary")

    async def on_mount(self) -> None:
        self.query_one("#plugins").focus()
        await self._look()

    # --- the list

    async def _look(self, key: str = "") -> None:
        plugins = await asyncio.to_thread(self._read)
        self._rows, self._problems = [], [told(problem) for problem in plugins.problems]
        for group in _GROUPS:
            if specs := plugins.of(group):
                self._rows += [None, *specs]
        options = self.query_one("#plugins", OptionList)
        options.clear_options()
        shown = [spec for spec in self._rows if spec is not None]
        width = min(max((cell_len(visible(spec.name)) for spec in shown), default=0), 24)
        for row, spec in enumerate(self._rows):
            options.add_option(self._heading(row) if spec is None else Option(self._row(spec, width)))
        if not self._rows:
            options.add_option(Option(Content(tr("No plugins are known; --no-plugins may be in use.")), disabled=True))
        keys = [spec and (spec.key, spec.distribution) for spec in self._rows]
        places = [place for place, spec in enumerate(self._rows) if spec is not None]
        options.highlighted = next((at for at in places if keys[at] and keys[at][0] == key), next(iter(places), None))  # type: ignore[index]  # it is checked
        self._show_about()

    def _heading(self, row: int) -> Option:
        spec = self._rows[row + 1]
        assert spec is not None
        return Option(Content.styled(tr(_GROUPS[spec.group]), "bold $primary"), disabled=True)

    def _row(self, spec: PluginSpec, width: int) -> Content:
        state = tr(_STATES[spec.state])
        style = {"on": "$accent", "broken": "$text-error"}.get(spec.state, "$text-muted")
        is_plain = self.app.has_class("-accessible")
        mark = f"{state}: " if is_plain else f"  {_MARKS[spec.state]}"
        name = Content(visible(spec.name)).truncate(width, ellipsis=True)
        gap = " " * (width - name.cell_length + 2)
        said = about(spec) or ("" if spec.distribution == OURS else whose(spec))
        said = said if spec.state == "on" or is_plain else f"{state} · {said}"
        return Content.assemble((mark, style), name, gap, (said, "auto 70%"))

    @property
    def _marked(self) -> PluginSpec | None:
        place = self.query_one("#plugins", OptionList).highlighted
        return self._rows[place] if place is not None and place < len(self._rows) else None

    @on(OptionList.OptionHighlighted)
    def _show_about(self) -> None:
        marked = self._marked
        self.query_one("#plugin-about", Prose).update(
            "\n".join([*(_details(marked) if marked else []), *self._problems])
        )

    # --- switching

    @on(OptionList.OptionSelected)
    async def action_switch(self) -> None:
        """Switch the marked one; whose code was never used is asked about first."""
        if (marked := self._marked) is None:
            return
        if marked.state != "new":
            await self._turn(marked, marked.state != "on" and marked.state != "broken")
            return

        async def enable(answer: bool | None) -> None:
            if answer:
                await self._turn(marked, True)

        question = tr(
            "Switch on {name} of the package {package}? It may do whatever you may do on this machine.",
            name=visible(marked.name),
            package=visible(marked.distribution),
        )
        self.app.push_screen(Confirm(question, yes=tr("Switch on"), no=tr("Leave it")), enable)

    async def _turn(self, spec: PluginSpec, enabled: bool) -> None:
        try:
            file = await asyncio.to_thread(self._switch, spec, enabled)
        except (ChatGLMSlimError, OSError) as error:
            self.query_one(Said).say(told(str(error)), is_problem=True)
            return
        self._has_switched = True
        await self._look(spec.key)
        since = tr(_SINCE[spec.group]) if enabled else tr(_UNTIL)
        said = tr("Written to {path}.", path=visible(short_path(file)))
        self.query_one(Said).say(tr("{one} {other}", one=said, other=since))

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        self.dismiss(self._has_switched)


def _details(spec: PluginSpec) -> list[str]:
    """All that is known of a plugin, the reason why it is not on first."""
    lines = [told(spec.reason)] if spec.reason else []
    if spec.group == "commands" and spec.state == "on":
        lines += filter(None, [conflict(spec)])
    lines += [about(spec)] if spec.description else []
    place = tr("ours") if spec.distribution == OURS else whose(spec)
    lines.append(f"{place} · {visible(spec.target)}")
    if spec.options:
        names = ", ".join(f"{visible(name)} = {visible(str(value))}" for name, value in spec.options.items())
        lines.append(tr("Options: {names}", names=names))
    if spec.file is not None and (spec.distribution != OURS or spec.options or spec.state != "on"):
        lines.append(tr("Set in {path}", path=visible(short_path(spec.file))))
    return lines
