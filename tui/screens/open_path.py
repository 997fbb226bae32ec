"""Asks for a file or a folder that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Button

from tui.background import in_background
from tui.language import tr
from tui.reasons import told
from tui.screens.dialog import HEIGHTS, Buttons, Panel
from tui.widgets.path_input import PathInput
from tui.widgets.prose import Prose

Kind = Literal["file", "folder", "any", "new"]


class OpenPath(ModalScreen[Path | None]):
    """Returns an absolute path; ``None`` for Escape.

    Args:
        title: what the path is for.
        yes: what the button says.
        kind: what must be there; ``new`` is a file that may be written, in a folder that is there.
        value: what is typed to begin with.
        about: a sentence above the line.
        more: another one, which takes a while to find out.
    """

    DEFAULT_CSS = """
    OpenPath { align: center middle; }
    OpenPath .muted { margin-bottom: 1; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="path.cancel", tooltip="Go back"),
    ]

    def __init__(
        self,
        title: str,
        *,
        yes: str,
        kind: Kind = "any",
        value: str = "",
        about: str = "",
        more: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self._more = more
        self._title, self._yes, self._kind, self._value, self._about = title, yes, kind, value, about

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = self._title
            if self._about:
                yield Prose(self._about, classes="muted")
            if self._more is not None:
                yield Prose("…", id="more", classes="muted")
            yield PathInput(self._value, only_folders=self._kind == "folder")
            with Buttons():
                yield Button(tr("Cancel"), id="cancel")
                yield Button(self._yes, id="yes", variant="primary")

    def on_mount(self) -> None:
        self.query_one(PathInput).focus()
        if self._more is not None:
            said = self.query_one("#more", Prose)
            in_background(self, self._more, said.update, said.update)

    @on(PathInput.Submitted)
    @on(Button.Pressed, "#yes")
    def _answer(self) -> None:
        line = self.query_one(PathInput)
        path = line.path
        if refusal := _refusal(path, self._kind) if line.value.strip() else tr("Type a path."):
            line.refuse(refusal)
        else:
            self.dismiss(path)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.dismiss(None)


def _refusal(path: Path, kind: Kind) -> str:
    """Why this path will not do; empty if it will."""
    try:
        if kind == "new":
            if path.is_dir():
                return tr("{path} is a folder; add the name of a file", path=path)
            return "" if path.parent.is_dir() else tr("there is no folder {path}", path=path.parent)
        if not path.exists():
            return tr("{path} does not exist", path=path)
        if kind == "file" and not path.is_file():
            return tr("{path} is not a file", path=path)
        if kind == "folder" and not path.is_dir():
            return tr("{path} is not a folder", path=path)
    except (OSError, ValueError) as error:  # a name that no file can have, or a folder that may not be read
        return told(error.strerror or str(error) if isinstance(error, OSError) else str(error))
    return ""
