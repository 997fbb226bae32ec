"""Asks before weights are downloaded, then shows how far that is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, ProgressBar, Static

from chatglm_slim_llm.hosting.amounts import Pace, size_text
from tui.amounts import time_text
from tui.language import tr
from tui.local_models import hub_cache, hub_model, short_path
from tui.screens.dialog import HEIGHTS, Buttons, Panel
from tui.widgets.prose import Prose

_HUB = "https://huggingface.co"


class Download(ModalScreen[None]):
    """The question, then a progress bar. Escape says no, or stops a download that is under way: what is there stays.

    Args:
        what: the hub id.
        answer: told True once, when someone wants it, and False when they do not, or no longer.
        is_fetching: someone has said yes already: only show how far it is.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Download {
        align: center middle;
        & #download-what { text-style: bold; }
        & #download-about { margin: 1 0; }
        & ProgressBar { width: 1fr; margin-top: 1; display: none; }
        & Bar { width: 1fr; }
        & #download-figures { height: auto; margin-bottom: 1; display: none; }
        & .-warning { color: $text-warning; }
    }
    Download.-fetching ProgressBar, Download.-fetching #download-figures { display: block; }
    Download.-fetching #download-about, Download.-fetching #yes { display: none; }
    Download #hide { display: none; }
    Download.-fetching #hide { display: block; }
    """
    AUTO_FOCUS = "#no"
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "download", "Download", id="download.yes", tooltip="Download the weights"),
        Binding("n,escape", "cancel", "Cancel", id="download.no", tooltip="Do not download, or stop"),
    ]

    def __init__(self, what: str, answer: Callable[[bool], None], *, is_fetching: bool = False) -> None:
        super().__init__(classes="-fetching" if is_fetching else "")
        self._what, self._answer = what, answer
        self._pace = Pace()

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Download")
            yield Static(self._what, id="download-what", markup=False)
            yield Static(_about(self._what), id="download-about", markup=False)
            yield ProgressBar(total=None, show_eta=False)
            yield Static(tr("Starting…"), id="download-figures", markup=False)
            yield Prose(_promise(self.is_fetching), id="download-promise", classes="muted")
            with Buttons():
                yield Button(self._no, id="no")
                yield Button(tr("In the background"), id="hide")
                yield Button(tr("Download"), id="yes", variant="primary")

    @property
    def is_fetching(self) -> bool:
        """Whether someone has said yes."""
        return self.has_class("-fetching")

    @property
    def _no(self) -> str:
        return tr("Stop") if self.is_fetching else tr("Cancel")

    def show_progress(self, what: str, done: int, total: int) -> None:
        """Move the bar; ``what`` is being done, bytes are counted."""
        self._show_fetching()
        speed = self._pace.per_s(what, done)
        self.query_one(ProgressBar).update(total=total or None, progress=done)
        self.query_one("#download-figures", Static).update(progress_text(what, done, total, speed))

    @on(Button.Pressed, "#yes")
    def action_download(self) -> None:
        if not self.is_fetching:
            self._show_fetching()
            self._answer(True)

    def _show_fetching(self) -> None:
        if not self.is_fetching:
            self.add_class("-fetching")
            self.query_one("#no", Button).label = self._no
            self.query_one("#download-promise", Prose).update(_promise(is_fetching=True))
            self.query_one("#hide").focus()

    @on(Button.Pressed, "#no")
    def action_cancel(self) -> None:
        self._answer(False)
        self.dismiss()

    @on(Button.Pressed, "#hide")
    def _hide(self) -> None:
        self.dismiss()


def progress_text(what: str, done: int, total: int, bytes_per_s: float) -> str:
    """Such as ``3.1 GB of 12.4 GB · 8.2 MB/s · 19 min left``, with the stage before it where it is another one."""
    parts = [tr("{done} of {total}", done=size_text(done), total=size_text(total))] if total else []
    if bytes_per_s > 0:
        parts.append(f"{size_text(bytes_per_s)}/s")
        if total > done:
            parts.append(tr("{time} left", time=time_text((total - done) / bytes_per_s)))
    stage = {"downloading": "", "checking": tr("Checking what has arrived")}.get(what)
    if stage is None:
        stage = tr("Downloaded and verified; the model is being loaded")
    return " · ".join(filter(None, [stage, *parts]))


def _about(what: str) -> Content:
    size_bytes = hub_model(what).size_bytes
    cache = hub_cache()
    free_bytes = _free_bytes(cache)
    host = os.environ.get("HF_ENDPOINT") or _HUB
    size = tr("about {size}", size=size_text(size_bytes)) if size_bytes else tr("shown as soon as the download starts")
    free = "" if free_bytes is None else f" ({tr('{size} free', size=size_text(free_bytes))})"
    rows = ((tr("From"), host), (tr("To"), f"{short_path(cache)}{free}"), (tr("Size"), size))
    width = max(cell_len(name) for name, _ in rows)
    lines = [Content.assemble((set_cell_size(name, width + 2), "$foreground 60%"), value) for name, value in rows]
    if free_bytes is not None and size_bytes > free_bytes:
        lines.append(Content.styled(tr("There is not enough room on this disk."), "$text-warning"))
    return Content("\n").join(lines)


def _promise(is_fetching: bool) -> str:
    resumed = tr("A download that was stopped goes on where it stopped.")
    asked = tr("Nothing is downloaded before you say so.")
    return resumed if is_fetching else tr("{one} {other}", one=asked, other=resumed)


def _free_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder that may not be there yet."""
    place = next((each for each in (folder, *folder.parents) if each.exists()), None)
    try:
        return shutil.disk_usage(place).free if place is not None else None
    except OSError:
        return None
