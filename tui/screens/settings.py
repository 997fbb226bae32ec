"""The settings of the program, made out of their typed fields: what is changed holds at once and is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static, Tab, Tabs
from textual.widgets.option_list import Option

from tui import keys
from tui.language import tr
from tui.local_models import short_path
from tui.reasons import told
from tui.screens.key_edit import KeyEdit
from tui.settings import ENVIRONMENT, LoadedSettings, hints
from tui.settings.docs import TITLES
from tui.widgets.setting_row import SettingRow


@dataclass
class SettingChanged(Message):
    """A setting is to have another value, which can be used; ``None`` is its default. The app saves and applies it."""

    key: str
    value: object


class SettingsScreen(ModalScreen[LoadedSettings]):
    """A tab for each group of settings, the last one for the keys; returns the settings as they are in the end."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        & > Vertical {
            width: 84; max-width: 100%; height: 96%; padding: 0 1;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        & VerticalScroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
        & .settings--problem { color: $text-warning; margin-bottom: 1; }
        & OptionList { height: 1fr; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1; }
        & OptionList > .option-list--option-disabled { color: $primary; text-style: bold; }
        & OptionList:focus { border: none; background-tint: $foreground 0%; }
    }
    SettingsScreen.-short > Vertical { border: none; height: 100%; padding: 0; }
    SettingsScreen.-short Tabs { height: 1; }
    SettingsScreen.-short Tabs Underline { display: none; }
    .-accessible SettingsScreen > Vertical { border: none; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-roomy")]  # noqa: RUF012  (Textual declares no ClassVar)
    VERTICAL_BREAKPOINTS = [(0, "-short"), (14, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2", "close", "Close", id="settings.close", tooltip="Close the settings"),
        Binding("ctrl+r", "reset", "Default", id="settings.reset", tooltip="Give this setting its default again"),
        Binding("up", "app.focus_previous", "Previous", id="settings.up", tooltip="The setting above", show=False),
        Binding("down", "app.focus_next", "Next", id="settings.down", tooltip="The setting below", show=False),
        Binding("ctrl+pageup", "group(-1)", "Previous", id="settings.previous", tooltip="Previous group", show=False),
        Binding("ctrl+pagedown", "group(1)", "Next", id="settings.next", tooltip="Next group", show=False),
    ]

    def __init__(self, loaded: LoadedSettings, path: Path, *, group: str = "interface") -> None:
        super().__init__()
        self._loaded, self._path, self._group = loaded, path, group
        self._back_to = ""
        """The setting that is to have the keyboard once the screen is drawn anew."""

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(tr("Settings in {path}", path=short_path(self._path)))
            box.border_subtitle = tr("Ctrl+R default · Esc closes")
            yield Tabs(*(Tab(tr(title), id=group) for group, title in TITLES.items()), active=self._group)
            yield VerticalScroll(can_focus=False)
            yield OptionList(compact=True)

    @on(Tabs.TabActivated)
    async def _show(self, event: Tabs.TabActivated) -> None:
        self._group = event.tab.id or self._group
        page, listed = self.query_one(VerticalScroll), self.query_one(OptionList)
        is_keys = self._group == "keys"
        page.display, listed.display = not is_keys, is_keys
        await page.remove_children()
        if is_keys:
            self._list_keys()
        else:
            problems = [Static(told(each), classes="settings--problem", markup=False) for each in self._loaded.problems]
            rows = [key for key in hints() if key.startswith(f"{self._group}.")]
            await page.mount(*problems, *(SettingRow(key, self._loaded, self._choices(key)) for key in rows))
            page.scroll_home(animate=False)
        for row in self.query(SettingRow):
            if row.key == self._back_to:
                row.take_keyboard()
        self._back_to = ""

    def _choices(self, key: str) -> Sequence[str]:
        """What a text can be chosen from, where that is known."""
        if key == "interface.theme":
            names = sorted(self.app.available_themes)
            return sorted(names, key=lambda name: not name.startswith("chatglm-"))
        if key == "interface.code_theme":
            from pygments.styles import get_all_styles

            return ["auto", *sorted(get_all_styles())]
        return ()

    # --- one setting

    @on(SettingRow.Set)
    def _set(self, event: SettingRow.Set) -> None:
        self._change(event.key, event.value)

    def action_reset(self) -> None:
        """The default again, of the setting that has the keyboard."""
        if self._group == "keys":
            if (chosen := self.query_one(OptionList).highlighted_option) and chosen.id:
                self._change(f"keys.{chosen.id}", None)
            return
        row = (
            next((node for node in self.focused.ancestors if isinstance(node, SettingRow)), None)
            if self.focused
            else None
        )
        if row is not None:
            self._change(row.key, None)

    def _change(self, key: str, value: object) -> None:
        won = self._loaded.origin(key) in ("environment", "argument")
        self._loaded = self._loaded.with_value(key, value)
        for row in self.query(SettingRow):
            row.update(self._loaded)
        if won:
            name = ENVIRONMENT.get(key, key)
            self.notify(tr("It holds until you quit; then {name} wins over the file again.", name=name), markup=False)
        self.app.post_message(SettingChanged(key, value))  # this screen may be gone a moment later
        if key == "interface.language":
            self._back_to = key
            self.app.call_later(self._speak)  # when the app has turned to it

    def show_as_is(self, loaded: LoadedSettings) -> None:
        """What was changed here could not be saved: this is how the settings are instead."""
        self._loaded = loaded
        for row in self.query(SettingRow):
            row.update(loaded)

    async def _speak(self) -> None:
        """Say everything in the language that was chosen."""
        if self.is_attached:
            await self.recompose()

    def action_close(self) -> None:
        """Leave; what stands in a field is taken first."""
        for row in self.query(SettingRow):
            if row.is_typed:
                self._change(row.key, row.typed)
        self.dismiss(self._loaded)

    def action_group(self, by: int) -> None:
        """Another tab, wherever the keyboard is."""
        tabs = self.query_one(Tabs)
        tabs.action_next_tab() if by > 0 else tabs.action_previous_tab()

    # --- the keys

    def _list_keys(self) -> None:
        listed = self.query_one(OptionList)
        at = listed.highlighted
        listed.clear_options()
        for area, actions in groupby(keys.actions(), key=lambda action: action.id.partition(".")[0]):
            title = Text(tr(area.replace("_", " ").capitalize()), "bold")
            listed.add_options([None] if listed.option_count else [])
            listed.add_option(Option(title, disabled=True))
            listed.add_options(Option(self._line(action), id=action.id) for action in actions)
        listed.highlighted = at if at is not None else 1

    def _line(self, action: keys.Action) -> Table:
        chosen = self._loaded.settings.keys.get(action.id)
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(width=22)
        line.add_column(ratio=1, no_wrap=True)
        shown = Text(keys.shown(chosen or action.keys), "bold" if chosen else "", overflow="ellipsis", no_wrap=True)
        line.add_row(shown, Text(action.name, overflow="ellipsis"))
        return line

    @on(OptionList.OptionSelected)
    def _edit(self, event: OptionList.OptionSelected) -> None:
        action = next(action for action in keys.actions() if action.id == event.option_id)

        def take(given: str | None) -> None:
            if given is not None:
                self._change(f"keys.{action.id}", given or None)
                self._list_keys()

        self.app.push_screen(KeyEdit(action, self._loaded.settings.keys), take)
