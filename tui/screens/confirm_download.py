"""Asks before weights are downloaded, then shows how far that is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, ProgressBar, Static

from tui.worker import ModelWorker


class ConfirmDownload(ModalScreen[None]):
    """The question, then a progress bar; Escape says no, or stops the download (the next one resumes it)."""

    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "download", "Download", id="download.yes", tooltip="Download the weights"),
        Binding("n,escape", "cancel", "Cancel", id="download.no", tooltip="Do not download, or stop"),
    ]

    def __init__(self, model: str, worker: ModelWorker) -> None:
        super().__init__()
        self._model, self._worker = model, worker

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(
                f"The weights of {self._model} are not on this machine. Download them from the Hugging Face Hub?"
                " A 6B model is about 13 GB; an interrupted download resumes later.",
                id="download-text",
                markup=False,
            )
            bar = ProgressBar(total=None, show_eta=False, id="download-bar")
            bar.display = False
            yield bar
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button("Download", id="yes", variant="primary")

    def show_progress(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Move the bar."""
        self.query_one("#download-text", Static).update(f"{what}: {done_bytes / 1e9:.2f} of {total_bytes / 1e9:.2f} GB")
        self.query_one(ProgressBar).update(total=total_bytes or None, progress=done_bytes)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_download()
        else:
            self.action_cancel()

    def action_download(self) -> None:
        self.query_one("#yes").display = False
        self.query_one(ProgressBar).display = True
        self._worker.answer_download(True)

    def action_cancel(self) -> None:
        self._worker.answer_download(False)
        self.dismiss()
