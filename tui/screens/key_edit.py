"""Other keys for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui import keys
from tui.language import tr


class KeyEdit(ModalScreen[str | None]):
    """Asks for the keys of an action; returns them, empty for the default ones, ``None`` where nothing is to change."""

    DEFAULT_CSS = """
    KeyEdit {
        align: center middle;
        & > VerticalScroll { width: 60; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; }
        & > VerticalScroll { background: $surface; border: round $primary; border-title-color: $primary; }
        & Input { background: $boost; padding: 0 1; margin: 1 0 0 0; }
        & .key-edit--hint { color: $text-muted; }
        & .key-edit--problem { color: $text-warning; }
        & .buttons { height: auto; align-horizontal: right; margin-top: 1; }
        & Button { margin-left: 2; min-width: 8; }
    }
    KeyEdit.-short > VerticalScroll { border: none; padding: 0; }
    .-accessible KeyEdit > VerticalScroll { border: none; }
    """
    SCOPED_CSS = False
    VERTICAL_BREAKPOINTS = [(0, "-short"), (14, "-tall")]  # noqa: RUF012  (Textual declares no ClassVar)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="key_edit.close", tooltip="Close, the keys stay as they were"),
    ]

    def __init__(self, action: keys.Action, chosen: Mapping[str, str]) -> None:
        super().__init__()
        self._action, self._chosen = action, chosen

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False) as box:
            box.border_title = tr("Keys")
            yield Static(self._action.name, markup=False)
            yield Input(self._chosen.get(self._action.id, self._action.keys), compact=True)
            yield Static(tr("Such as ctrl+n, alt+enter or f5; several with commas"), classes="key-edit--hint")
            yield Static("", classes="key-edit--problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(tr("Default keys"), id="default", compact=True)
                yield Button(tr("Save"), id="save", variant="primary", compact=True)

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        self._tell(",".join(keys.each(event.value)))

    def _tell(self, text: str) -> bool:
        """Say why the action cannot have these keys; returns whether it can."""
        told = keys.problem(self._action, text) or "\n".join(
            keys.conflicts(keys.actions(), {**self._chosen, self._action.id: text}, of=self._action.id)
        )
        self.query_one(".key-edit--problem", Static).update(told)
        return not told

    @on(Input.Submitted)
    @on(Button.Pressed, "#save")
    def _save(self) -> None:
        text = ",".join(keys.each(self.query_one(Input).value))
        if self._tell(text):
            self.dismiss("" if text == self._usual else text)

    @on(Button.Pressed, "#default")
    def _reset(self) -> None:
        if self._tell(self._usual):
            self.dismiss("")
        else:
            self.query_one(Input).value = self._usual

    @property
    def _usual(self) -> str:
        return ",".join(keys.each(self._action.keys))
