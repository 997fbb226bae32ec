"""The first question: which model to begin with. Nothing is fetched by asking it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, LoadOptions, Quantization
from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.hosting.memory import find_memory
from tui.language import tr
from tui.local_models import best_level, hub_model
from tui.screens.checkpoint_path import checkpoint_at
from tui.screens.dialog import HEIGHTS, Buttons, Panel
from tui.widgets.path_input import PathInput

_DEMO, _FOLDER, _HUB = "demo", "folder", "hub"
_ROOMY = 22
"""Lines of a terminal in which cards have edges."""


class FirstStart(ModalScreen[LoadOptions | None]):
    """Returns what to begin with; Escape is the demo model, which is here already."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    FirstStart {
        align: center middle;
        & #first-hello { text-style: bold; color: $primary; height: auto; }
        & #first-cards { margin-top: 1; & > .option-list--option { padding: 0 2; } }
        & #first-folder { margin-top: 1; display: none; }
        & Buttons { display: none; }
    }
    FirstStart.-folder #first-folder, FirstStart.-folder Buttons { display: block; }
    FirstStart.-folder #first-cards { display: none; }
    FirstStart.-short #first-cards { margin-top: 0; }
    FirstStart.-short .muted { display: none; }
    FirstStart.-short #first-folder { margin-top: 0; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "demo", "Demo model", id="first.demo", tooltip="Begin with the demo model"),
    ]

    def __init__(self, options: LoadOptions | None = None, *, keeps_level: bool = False) -> None:
        """Ask nothing that is known.

        Args:
            options: what holds beside the choice.
            keeps_level: whether their level was asked for; else it is the finest that fits.
        """
        super().__init__()
        self._options, self._keeps_level = options or LoadOptions(), keeps_level

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Welcome")
            panel.border_subtitle = _keys()
            yield Static(tr("Which model should answer?"), id="first-hello", markup=False)
            yield Static(tr("You can change this at any time with Ctrl+T."), classes="muted", markup=False)
            cards = _cards(keeps_level=self._keeps_level, is_roomy=self.app.size.height >= _ROOMY)
            yield OptionList(*cards, id="first-cards", markup=False)
            yield PathInput(only_folders=True, id="first-folder")
            with Buttons():
                yield Button(tr("Back"), id="back")
                yield Button(tr("Load"), id="load", variant="primary")

    def on_mount(self) -> None:
        cards = self.query_one(OptionList)
        cards.highlighted = 0
        cards.focus()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        if event.option_id == _DEMO:
            self.action_demo()
        elif event.option_id == _HUB:
            self._take(DEFAULT_HUB_ID, hub_model(DEFAULT_HUB_ID).needs)
        else:
            self._show_folder(True)

    @on(PathInput.Submitted)
    @on(Button.Pressed, "#load")
    async def _take_folder(self) -> None:
        if (found := await checkpoint_at(self.query_one(PathInput))) is None:
            return
        self._take(found.model, found.needs)

    def _take(self, model: str, needs: Mapping[Quantization, int]) -> None:
        level = self._options.quantization
        if not self._keeps_level or level not in needs:
            level = best_level(needs, find_memory().available_bytes)
        self.dismiss(replace(self._options, model=model, quantization=level))

    @on(Button.Pressed, "#back")
    def _go_back(self) -> None:
        self._show_folder(False)

    def _show_folder(self, is_shown: bool) -> None:
        self.set_class(is_shown, "-folder")
        question = tr("Which folder holds the checkpoint?") if is_shown else tr("Which model should answer?")
        self.query_one("#first-hello", Static).update(question)
        self.query_one(Panel).border_subtitle = tr("Esc goes back") if is_shown else _keys()
        (self.query_one(PathInput) if is_shown else self.query_one(OptionList)).focus()

    def action_demo(self) -> None:
        """From the folder's line back to the cards; from there the demo model."""
        if self.has_class("-folder"):
            self._go_back()
        else:
            level = self._options.quantization if self._keeps_level else "fp16"
            self.dismiss(replace(self._options, model=DEMO_MODEL, quantization=level))


def _cards(*, keeps_level: bool, is_roomy: bool) -> list[Option]:
    cards = [
        (_DEMO, tr("The demo model"), tr("Small, answers at once, for trying out. It is here already.")),
        (_FOLDER, tr("A folder on this machine"), tr("A ChatGLM-6B checkpoint that you have: fp16, int8 or int4.")),
        (_HUB, tr("Download the 6B model"), _about_download(keeps_level=keeps_level)),
    ]
    edge = "\n" if is_roomy else ""
    return [
        Option(Content.assemble(edge, (title, "bold"), "\n", (about, "auto 70%"), edge), id=id)
        for id, title, about in cards
    ]


def _about_download(*, keeps_level: bool) -> str:
    """What is fetched, and which level memory allows if none was asked for."""
    hub, free_bytes = hub_model(DEFAULT_HUB_ID), find_memory().available_bytes
    weights = tr("{id}: {size} to download, after you confirm.", id=hub.model, size=size_text(hub.size_bytes))
    if keeps_level or free_bytes is None:
        return weights
    return f"{weights}\n{tr('With the memory free now, it runs at {level}.', level=best_level(hub.needs, free_bytes))}"


def _keys() -> str:
    return tr("Enter chooses · Esc takes the demo model")
