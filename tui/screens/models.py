"""Which model answers: its checkpoint, its level and where it runs, with the memory that takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar, cast

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions, Quantization
from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.hosting.assistant import ModelFacts
from chatglm_slim_llm.hosting.memory import find_memory
from tui.language import tr
from tui.local_models import LocalModel, devices, find_models, hub_model
from tui.plugin_models import PluginModel, find_plugin_models, is_of_plugin
from tui.reasons import told
from tui.screens.checkpoint_path import checkpoint_at
from tui.screens.dialog import HEIGHTS, Buttons, MarkList, Panel, Said
from tui.widgets.choice import Choice
from tui.widgets.path_input import PathInput
from tui.widgets.prose import Prose

_FOLDER, _HUB = "folder", "hub"
_NAME_WIDTH = 44


class ModelPicker(ModalScreen[LoadOptions | None]):
    """Returns what is to be loaded; ``None`` leaves everything as it is.

    Args:
        options: what was loaded last.
        facts: the model that is loaded now, if one is.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    ModelPicker {
        align: center middle;
        & #models { max-height: 8; min-height: 2; margin-bottom: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & #hub { width: 1fr; }
        & #below { height: auto; margin-bottom: 1; display: none; }
        & #memory { width: 1fr; }
        & #plugin-about { margin-bottom: 1; display: none; }
        & .-warning { color: $text-warning; }
    }
    ModelPicker.-short #models { max-height: 4; margin-bottom: 0; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="models.cancel", tooltip="Keep the model that is loaded"),
    ]

    def __init__(self, options: LoadOptions, facts: ModelFacts | None) -> None:
        super().__init__()
        self._options, self._facts = options, facts
        self._models: list[LocalModel | PluginModel] = []
        self._free_bytes = find_memory().available_bytes

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Model")
            yield MarkList(id="models", markup=False)
            with Horizontal(id="below"):
                yield Static(id="below-label", classes="label", markup=False)
                yield PathInput(only_folders=True, id="folder")
                yield Input(DEFAULT_HUB_ID, compact=True, id="hub")
            yield Prose(id="plugin-about", classes="muted")
            with Horizontal(classes="row"):
                yield Static(tr("Level"), classes="label", markup=False)
                yield Choice([(self._options.quantization, self._options.quantization)], "", id="level")
            with Horizontal(classes="row"):
                yield Static(tr("Device"), classes="label", markup=False)
                names = devices(self._options.device)
                yield Choice(
                    [(name, tr(_DEVICES.get(name, name))) for name in names], self._options.device, id="device"
                )
            with Horizontal(classes="row"):
                yield Static(tr("Memory"), classes="label", markup=False)
                yield Prose(id="memory", classes="muted")
            yield Said(id="said")
            with Buttons():
                yield Button(tr("Cancel"), id="cancel")
                yield Button(tr("Load"), id="load", variant="primary")

    async def on_mount(self) -> None:
        self._models = await asyncio.to_thread(_found, self._options.model)
        self._list(next((place for place, each in enumerate(self._models) if each.model == self._options.model), 0))
        self.query_one("#models").focus()

    def _list(self, highlighted: int) -> None:
        models = self.query_one("#models", OptionList)
        models.clear_options()
        width = min(max((cell_len(each.name) for each in self._models), default=0), _NAME_WIDTH)
        current, is_plain = self._options.model, self.app.has_class("-accessible")
        for each in self._models:
            row = _row(each, width, each.model == current, is_plain)
            models.add_option(Option(row, disabled=isinstance(each, PluginModel) and bool(each.reason)))
        models.add_option(Option(Content(f"  {tr('A folder…')}"), id=_FOLDER))
        models.add_option(Option(Content(f"  {tr('Download from the Hugging Face Hub…')}"), id=_HUB))
        models.highlighted = highlighted

    # --- what is marked in the list decides what else is shown

    @on(OptionList.OptionHighlighted)
    def _show_marked(self, event: OptionList.OptionHighlighted) -> None:
        kind = event.option_id
        self.query_one("#below").display = kind is not None
        self.query_one("#folder").display = kind == _FOLDER
        self.query_one("#hub").display = kind == _HUB
        self.query_one("#below-label", Static).update(tr("Folder") if kind == _FOLDER else tr("Hub ID"))
        self.query_one("#said", Said).say("")
        marked = self._marked
        of_plugin = marked if isinstance(marked, PluginModel) else None
        about = self.query_one("#plugin-about", Prose)
        about.display = of_plugin is not None
        about.update(of_plugin.about if of_plugin else "")
        for row in self.query(".row"):  # a plugin's model has none of these
            row.display = of_plugin is None
        self._offer_levels()

    @on(OptionList.OptionSelected)
    async def _take_marked(self, event: OptionList.OptionSelected) -> None:
        if event.option_id == _FOLDER:
            self.query_one(PathInput).focus()
        elif event.option_id == _HUB:
            self.query_one("#hub").focus()
        else:
            await self.action_load()

    @on(Input.Changed, "#hub")
    def _forgive(self) -> None:
        self.query_one("#said", Said).say("")
        self._offer_levels()

    def _offer_levels(self) -> None:
        if not (needs := self._needs):
            return
        level = self.query_one("#level", Choice)
        chosen = level.value or self._options.quantization
        level.offer([(each, _level_label(each, needed)) for each, needed in needs.items()], chosen)
        self._show_memory()

    @property
    def _needs(self) -> dict[Quantization, int]:
        kind = self._kind
        if kind is None and (marked := self._marked) is not None:
            return dict(marked.needs) if isinstance(marked, LocalModel) else {}
        return dict(hub_model(self._hub_id if kind == _HUB else "").needs)

    @property
    def _kind(self) -> str | None:
        option = self.query_one("#models", OptionList).highlighted_option
        return option.id if option else None

    @property
    def _marked(self) -> LocalModel | PluginModel | None:
        place = self.query_one("#models", OptionList).highlighted
        return self._models[place] if place is not None and place < len(self._models) else None

    @property
    def _hub_id(self) -> str:
        return self.query_one("#hub", Input).value.strip()

    @on(Choice.Changed, "#level")
    def _show_memory(self) -> None:
        """What is held now, what is free, and whether the chosen level fits."""
        held = self._facts.memory_bytes if self._facts else 0
        needed = self._needs.get(cast(Quantization, self.query_one("#level", Choice).value), 0)
        free = tr("unknown") if self._free_bytes is None else size_text(self._free_bytes)
        parts = [tr("about {size} needed", size=size_text(needed))] if needed else []
        parts += [tr("{size} held now", size=size_text(held))] if held else []
        text = " · ".join([*parts, tr("{size} free", size=free)])
        is_too_big = self._free_bytes is not None and needed > self._free_bytes + held
        if is_too_big:
            text += f"\n{tr('More than is free: choose a smaller level or model, or close other programs.')}"
        line = self.query_one("#memory", Prose)
        line.set_class(is_too_big, "-warning")
        line.update(text)

    # --- the end

    @on(PathInput.Submitted)
    @on(Input.Submitted, "#hub")
    @on(Button.Pressed, "#load")
    async def action_load(self) -> None:
        """Check what is marked, and return it."""
        kind = self._kind
        if kind == _FOLDER:
            await self._take_folder()
        elif kind == _HUB:
            self._take_hub_id()
        elif (marked := self._marked) is None:
            pass
        elif isinstance(marked, PluginModel) and marked.reason:  # the one in use, which was switched off since
            self.query_one("#said", Said).say(told(marked.reason), is_problem=True)
        else:
            self._return(marked.model)

    async def _take_folder(self) -> None:
        """A folder that holds a checkpoint joins the list, so that its levels can be chosen from."""
        line = self.query_one(PathInput)
        if (found := await checkpoint_at(line)) is None:
            return
        line.value = ""
        self._models = [each for each in self._models if each.model != found.model] + [found]
        self._list(len(self._models) - 1)
        self.query_one("#level").focus()

    def _take_hub_id(self) -> None:
        from chatglm_slim_llm.checkpoint.pull import is_hub_id

        if is_hub_id(self._hub_id):
            self._return(self._hub_id)
        else:
            text = tr("{id} is no hub id; give owner/name, such as {example}", id=self._hub_id, example=DEFAULT_HUB_ID)
            self.query_one("#said", Said).say(text, is_problem=True)

    def _return(self, model: str) -> None:
        if is_of_plugin(model):
            self.dismiss(replace(self._options, model=model))
            return
        level = cast(Quantization, self.query_one("#level", Choice).value)
        device = self.query_one("#device", Choice).value
        self.dismiss(replace(self._options, model=model, quantization=level, device=device))

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)


_DEVICES = {"auto": "auto", "cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}


def _found(current: str) -> list[LocalModel | PluginModel]:
    return [*find_models(current), *find_plugin_models()]


def _row(model: LocalModel | PluginModel, width: int, is_current: bool, is_plain: bool) -> Content:
    name = Content(model.name).truncate(width, ellipsis=True)
    if cell_len(model.name) > width:  # the end of a path tells more than its beginning
        name = Content("…" + set_cell_size(model.name[::-1], width - 1)[::-1])
    gap = " " * (width - name.cell_length)
    if isinstance(model, PluginModel):
        about = f"{gap}   {told(model.reason) or model.about}"
    else:
        about = f"{gap}   {size_text(model.size_bytes):>8}   {tr(model.place)}"
    if is_current and is_plain:
        about += f" ({tr('current')})"
    return Content.assemble(("● " if is_current else "  ", "$accent"), name, (about, "auto 70%"))


def _level_label(level: str, needed: int) -> str:
    return f"{level} · {size_text(needed)}" if needed else level
