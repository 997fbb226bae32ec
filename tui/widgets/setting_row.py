"""One setting: its name and where its value came from, a field to change it, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Select, Static, Switch

from chatglm_slim_llm.errors import ConfigError
from tui.language import tr
from tui.reasons import told
from tui.settings import ENVIRONMENT, LoadedSettings, Settings, hints
from tui.settings.docs import explanations, label
from tui.settings.text import parsed, shown

_NAMES = {
    "auto": "automatic",
    "en": "English",
    "zh": "中文",
    "child": "in its own process",
    "inside": "in this process",
}


class SettingRow(Horizontal):
    """Posts :class:`SettingRow.Set` with a value that has been checked."""

    DEFAULT_CSS = """
    SettingRow {
        height: auto; margin-bottom: 1;
        & .setting--side { width: 24; height: auto; padding-right: 2; }
        & .setting--main { width: 1fr; height: auto; }
        & .setting--name { text-style: bold; }
        & .setting--origin, & .setting--help { color: $text-muted; }
        & .setting--problem { color: $text-error; display: none; }
        & Input { background: $boost; padding: 0 1; width: 1fr; }
        & Input:focus { background: $block-cursor-blurred-background; }
        & .setting--line { height: auto; }
        & .setting--said { width: auto; padding: 0 1; }
        & Select { max-width: 40; }
        & SelectCurrent { background: $boost; }
        & Switch { border: none; padding: 0; height: 1; width: 8; }
        & Switch:focus { border: none; background-tint: $primary 30%; }
    }
    .-slim SettingRow { layout: vertical; }
    .-slim SettingRow .setting--side { width: 1fr; }
    """
    SCOPED_CSS = False

    @dataclass
    class Set(Message):
        """A value that can be used was given; ``None`` asks for the default."""

        key: str
        value: object

    def __init__(self, key: str, loaded: LoadedSettings, choices: Sequence[str] = ()) -> None:
        super().__init__()
        self.key = key
        self._loaded = loaded
        self._choices = choices
        self._said = Static("", classes="setting--said", markup=False)
        self._problem = Static("", classes="setting--problem", markup=False)
        self._origin = Static("", classes="setting--origin", markup=False)
        self._field = self._new_field()

    def compose(self) -> ComposeResult:
        with Vertical(classes="setting--side"):
            yield Static(tr(label(self.key)), classes="setting--name", markup=False)
            yield self._origin
        with Vertical(classes="setting--main"):
            with Horizontal(classes="setting--line"):
                yield self._field
                yield self._said
            yield self._problem
            yield Static(tr(explanations()[self.key]), classes="setting--help", markup=False)

    def on_mount(self) -> None:
        self.update(self._loaded)

    def update(self, loaded: LoadedSettings) -> None:
        """Show the value as it is now and where it came from."""
        self._loaded = loaded
        value = loaded.settings.value(self.key)
        self._tell("")
        self._origin.update(origin(loaded, self.key))
        self._said.update((tr("on") if value else tr("off")) if isinstance(value, bool) else "")
        wanted = shown(value) if isinstance(self._field, Input) else value
        if self._field.value != wanted:
            with self.prevent(Select.Changed, Switch.Changed, Input.Changed):
                self._field.value = wanted

    def take_keyboard(self) -> None:
        """Let the field have the keyboard."""
        self._field.focus()

    def _new_field(self) -> Input | Switch | Select[Any]:
        hint, value = hints()[self.key], self._loaded.settings.value(self.key)
        if hint is bool:
            return Switch(value, classes="setting--field", animate=False)
        if get_origin(hint) is Literal or self._choices:
            values = self._choices or get_args(hint)
            options = [(tr(_NAMES.get(choice, choice)), choice) for choice in dict.fromkeys([*values, value])]
            return Select(options, value=value, allow_blank=False, compact=True, classes="setting--field")
        return Input(shown(value), compact=True, classes="setting--field")

    @property
    def typed(self) -> object:
        """What stands in a field of text, as a value."""
        return parsed(self.key, self._field.value) if isinstance(self._field, Input) else self._field.value

    @property
    def is_typed(self) -> bool:
        """Whether a usable value stands in a field of text and was not taken yet."""
        now = self._loaded.settings.value(self.key)
        return isinstance(self._field, Input) and self.typed != now and self._usable(self.typed)

    @on(Input.Submitted)
    @on(events.DescendantBlur)
    def _take(self) -> None:
        if self.is_typed:
            self.post_message(self.Set(self.key, self.typed))

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        self._usable(parsed(self.key, event.value))

    @on(Select.Changed)
    @on(Switch.Changed)
    def _choose(self, event: Select.Changed | Switch.Changed) -> None:
        event.stop()
        self._set(event.value)

    def _set(self, value: object) -> None:
        if self._usable(value) and value != self._loaded.settings.value(self.key):
            self.post_message(self.Set(self.key, value))

    def _usable(self, value: Any) -> bool:
        try:
            if value is not None:
                Settings().with_value(self.key, value)
        except ConfigError as error:
            self._tell(told(str(error)))
            return False
        self._tell("")
        return True

    def _tell(self, problem: str) -> None:
        self._problem.update(problem)
        self._problem.display = bool(problem)


def origin(loaded: LoadedSettings, key: str) -> str:
    """Where a value came from, in the language in use."""
    place = loaded.origin(key)
    if place == "environment":
        return tr("{variable} wins over the file", variable=ENVIRONMENT[key])
    if place == "argument":
        return tr("the argument wins over the file")
    if place == "unsaved":
        return tr("not saved; it holds until you quit")
    return tr("from the file") if place == "file" else tr("default")
