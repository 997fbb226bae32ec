"""Asks which folder a conversation is to be kept in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from tui.language import tr
from tui.screens.dialog import HEIGHTS, Panel
from tui.wrapping import visible


class ChooseFolder(ModalScreen[str | None]):
    """Returns a folder, there already or new, the empty name for none, or ``None`` for no change."""

    VERTICAL_BREAKPOINTS = HEIGHTS
    DEFAULT_CSS = """
    ChooseFolder { align: center middle; }
    ChooseFolder Panel { width: 64; }
    ChooseFolder.-tall Input { margin: 1 0; }
    ChooseFolder OptionList { max-height: 10; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="folder.cancel", tooltip="Go back and change nothing"),
        Binding("up", "step(-1)", "Up", show=False, id="folder.up", tooltip="The folder above", priority=True),
        Binding("down", "step(1)", "Down", show=False, id="folder.down", tooltip="The folder below", priority=True),
    ]

    def __init__(self, question: str, *, folders: Sequence[str], current: str) -> None:
        super().__init__()
        self._question, self._folders, self._current = question, folders, current
        self._names: list[str] = []

    def compose(self) -> ComposeResult:
        with Panel():
            yield Static(self._question, markup=False)
            yield Input(placeholder=tr("Search, or type a new folder"), compact=True)
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False  # the box keeps the keys; the list only shows
        self._list("")

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._list(event.value.strip())

    def _list(self, typed: str) -> None:
        fitting = [name for name in self._folders if typed.casefold() in name.casefold() and name != self._current]
        fitting.sort(key=lambda name: name != typed)
        prompts = [Content(visible(name)) for name in fitting]
        if typed and typed not in self._folders:
            fitting.append(typed)
            prompts.append(Content.assemble((tr("New folder"), "dim"), " ", visible(typed)))
        if not typed and self._current:
            fitting.append("")
            prompts.append(Content.styled(tr("No folder"), "dim"))
        self._names = fitting
        options = self.query_one(OptionList)
        options.set_options(prompts)
        options.highlighted = 0 if fitting else None

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        (options.action_cursor_up if by < 0 else options.action_cursor_down)()

    @on(Input.Submitted)
    def _answer(self) -> None:
        if (highlighted := self.query_one(OptionList).highlighted) is not None:
            self.dismiss(self._names[highlighted])

    @on(OptionList.OptionSelected)
    def _answer_by_click(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])

    def action_cancel(self) -> None:
        self.dismiss(None)
