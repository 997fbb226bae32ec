"""What one chat has of its own: its system prompt, its parameters, its knowledge base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Select, Static, TextArea

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.storage import ChatSettings
from tui.language import tr
from tui.parameters import PARAMETERS, Parameter, as_typed, parse, refusal
from tui.screens.dialog import HEIGHTS, Buttons, Panel
from tui.widgets.prose import Prose


class ChatSettingsScreen(ModalScreen[ChatSettings | None]):
    """Returns the settings to keep, ``None`` for Escape.

    Args:
        settings: what the chat has now.
        defaults: what holds where the chat has nothing of its own.
        knowledge_bases: the names to choose from.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    ChatSettingsScreen {
        align: center middle;
        & Panel { height: 96%; overflow: hidden; padding: 0 1 0 2; }
        & #form { height: 1fr; scrollbar-size-vertical: 1; padding: 1 1 0 0; }
        & .title { color: $primary; text-style: bold; margin-top: 1; }
        & .title.-first { margin-top: 0; }
        & TextArea { border: none; padding: 0 1; background: $boost; height: auto; min-height: 3; max-height: 8; }
        & TextArea:focus { border: none; background: $primary 25%; }
        & #stop { min-height: 1; max-height: 4; }
        & Select { height: 1; & > SelectCurrent { background: $boost; padding: 0 1; } }
        & Select:focus > SelectCurrent { background: $primary 25%; }
        & .parameter { height: auto; margin-bottom: 1; }
        & .name { width: 20; }
        & .field { height: auto; width: 1fr; }
        & .help { color: $text-muted; height: auto; }
        & .-lead { margin-bottom: 1; }
        & .refusal { color: $text-error; height: auto; display: none; }
        & Buttons { margin: 0 1 0 0; }
    }
    ChatSettingsScreen.-short Panel { height: 100%; padding: 0; }
    ChatSettingsScreen.-slim .parameter { layout: vertical; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (50, "-broad")]  # noqa: RUF012  (Textual declares no ClassVar)
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="chat_settings.cancel", tooltip="Go back and change nothing"),
        Binding("ctrl+s", "save", "Save", id="chat_settings.save", tooltip="Keep these settings", priority=True),
    ]

    def __init__(self, settings: ChatSettings, defaults: GenerationOptions, knowledge_bases: Sequence[str]) -> None:
        super().__init__()
        self._settings, self._defaults = settings, defaults
        known = [*knowledge_bases, *([settings.knowledge_base] if settings.knowledge_base else [])]
        self._knowledge_bases = list(dict.fromkeys(known))

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Settings of this chat")
            panel.border_subtitle = tr("Ctrl+S saves · Esc cancels")
            with VerticalScroll(id="form", can_focus=False):
                yield Static(tr("System prompt"), classes="title -first", markup=False)
                yield _Text(self._settings.system, id="system", placeholder=tr("Who the model is, how it answers…"))
                yield Static(tr("Knowledge base"), classes="title", markup=False)
                yield self._select()
                yield Static(tr("Parameters"), classes="title", markup=False)
                yield Prose(tr("What is left empty is as in the program's settings."), classes="help -lead")
                for parameter in PARAMETERS:
                    yield from self._row(parameter)
            with Buttons():
                yield Button(tr("Reset all"), id="reset")
                yield Button(tr("Cancel"), id="cancel")
                yield Button(tr("Save"), id="save", variant="primary")

    def _select(self) -> Select[str]:
        names = [(tr("None: answer without documents"), ""), *((name, name) for name in self._knowledge_bases)]
        return Select(
            [(Content(label), value) for label, value in names],
            value=self._settings.knowledge_base,
            allow_blank=False,
            compact=True,
            id="knowledge",
        )

    def _row(self, parameter: Parameter) -> ComposeResult:
        own = self._settings.parameters.get(parameter.name)
        typed = "" if own is None else as_typed(own)
        default = as_typed(getattr(self._defaults, parameter.name)) or tr("none")
        with Horizontal(classes="parameter"):
            yield Static(tr(parameter.label), classes="name", markup=False)
            with Vertical(classes="field"):
                if parameter.is_list:
                    yield _Text(typed, id=parameter.name, placeholder=default)
                else:
                    yield Input(typed, placeholder=default, compact=True, id=parameter.name)
                yield Prose(id=f"{parameter.name}-refusal", classes="refusal")
                yield Prose(tr(parameter.help), classes="help")

    def on_mount(self) -> None:
        self.query_one("#system").focus(scroll_visible=False)
        self.call_after_refresh(self.query_one("#form").scroll_home, animate=False)

    # --- what is typed, checked as it is typed

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _check(self) -> None:
        self._read()

    def _read(self) -> dict[str, float | int | str | list[str]] | None:
        """The parameters that differ from the defaults; ``None`` where one cannot be used, which is said beside it."""
        kept: dict[str, float | int | str | list[str]] = {}
        is_good = True
        for parameter in PARAMETERS:
            typed = self._typed(parameter)
            refused = ""
            try:
                value = parse(parameter, typed)
                if value is not None and as_typed(value) != as_typed(getattr(self._defaults, parameter.name)):
                    replace(self._defaults, **{parameter.name: tuple(value) if isinstance(value, list) else value})  # type: ignore[arg-type]  # it checks by itself
                    kept[parameter.name] = value
            except ConfigError as error:
                refused = refusal(error)
            is_good &= not refused
            self._refuse(parameter, refused)
        return kept if is_good else None

    def _typed(self, parameter: Parameter) -> str:
        if parameter.is_list:
            return self.query_one(f"#{parameter.name}", TextArea).text
        return self.query_one(f"#{parameter.name}", Input).value

    def _refuse(self, parameter: Parameter, refused: str) -> None:
        line = self.query_one(f"#{parameter.name}-refusal", Prose)
        line.display = bool(refused)
        line.update(refused)

    # --- the end

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        """Return what is typed; the first field that cannot be used gets the keyboard instead."""
        parameters = self._read()
        if parameters is None:
            wrong = next(each for each in PARAMETERS if self.query_one(f"#{each.name}-refusal").display)
            self.query_one(f"#{wrong.name}").focus()
            return
        system = self.query_one("#system", TextArea).text.strip()
        knowledge_base = str(self.query_one(Select).value)
        self.dismiss(replace(self._settings, system=system, parameters=parameters, knowledge_base=knowledge_base))

    @on(Button.Pressed, "#reset")
    def _reset(self) -> None:
        for line in self.query(Input):
            line.value = ""
        for area in self.query(TextArea):
            area.text = ""
        self.query_one(Select).value = ""

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)


class _Text(TextArea):
    """A few lines; Tab goes to the next field."""

    def __init__(self, text: str, *, id: str, placeholder: str) -> None:
        super().__init__(text, id=id, placeholder=placeholder, highlight_cursor_line=False, show_line_numbers=False)
