"""A line to type a path into: Tab completes it, and what it may become is listed below."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from tui.language import tr
from tui.widgets.prose import Prose

_MOST = 5000


class PathInput(Vertical):
    """The path of a file or a folder that is there; ``~`` is the home folder."""

    DEFAULT_CSS = """
    PathInput { height: auto; }
    PathInput #path-hint { height: auto; max-height: 2; color: $text-muted; padding: 0 1; }
    PathInput #path-hint.-problem { color: $text-error; max-height: 4; }
    """

    @dataclass
    class Submitted(Message):
        """Enter was pressed; what is typed need not exist."""

        path_input: PathInput
        path: Path

        @property
        def control(self) -> PathInput:
            """The line itself, for selectors."""
            return self.path_input

    def __init__(self, value: str = "", *, only_folders: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._line = _Line(value, only_folders)
        self._hint = Prose(id="path-hint")

    def compose(self) -> ComposeResult:
        yield self._line
        yield self._hint

    @property
    def value(self) -> str:
        """What is typed."""
        return self._line.value

    @value.setter
    def value(self, text: str) -> None:
        self._line.value = text
        self._line.cursor_position = len(text)

    @property
    def path(self) -> Path:
        """What is typed, as a path."""
        return Path(os.path.abspath(os.path.expanduser(self.value.strip() or ".")))  # noqa: PTH100, PTH111  # ".." goes

    def refuse(self, sentence: str) -> None:
        """Say below why this path will not do."""
        self._hint.add_class("-problem")
        self._hint.update(sentence)
        self._line.focus()

    def focus(self, scroll_visible: bool = True) -> PathInput:
        self._line.focus(scroll_visible)
        return self

    @on(Input.Changed)
    async def _list(self, event: Input.Changed) -> None:
        event.stop()
        typed = event.value
        found = await asyncio.to_thread(completions, typed, only_folders=self._line.only_folders) if typed else []
        if typed == self.value:
            self._hint.remove_class("-problem")
            self._hint.update(_names(found, max(self._hint.content_size.width, 20)))

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self, self.path))


class _Line(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="path.complete", tooltip="Complete the path"),
    ]

    def __init__(self, value: str, only_folders: bool) -> None:
        super().__init__(
            value,
            compact=True,
            suggester=_Paths(only_folders),
            placeholder=tr("Path; Tab completes"),
            select_on_focus=False,
        )
        self.only_folders = only_folders

    async def action_complete(self) -> None:
        """Complete as far as there is one way on; where there is nothing to complete, go to the next widget."""
        found = await asyncio.to_thread(completions, self.value, only_folders=self.only_folders) if self.value else []
        longest = _common_start(found)
        if len(longest) >= len(self.value) and longest != self.value:
            self.value = longest
            self.cursor_position = len(longest)
        elif len(found) < 2 or found[0] == self.value:
            self.screen.focus_next()


class _Paths(Suggester):
    def __init__(self, only_folders: bool) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._only_folders = only_folders

    async def get_suggestion(self, value: str) -> str | None:
        found = await asyncio.to_thread(completions, value, only_folders=self._only_folders)
        return next((each for each in found if each.startswith(value)), None)


def completions(typed: str, *, only_folders: bool = False) -> list[str]:
    """Paths that begin with what is typed, as they would be typed; folders have a separator at the end."""
    if typed == "~":
        return [f"~{os.sep}"]
    head, name = os.path.split(typed)
    start = typed[: len(typed) - len(name)]
    try:
        with os.scandir(Path(head or ".").expanduser()) as entries:
            found = [
                start + entry.name + (os.sep if entry.is_dir() else "")
                for entry in islice(entries, _MOST)
                if entry.name.casefold().startswith(name.casefold())
                and (name or not entry.name.startswith("."))
                and entry.name.isprintable()
                and (entry.is_dir() or not only_folders)
            ]
    except (OSError, ValueError, RuntimeError):  # no such folder or user, or none that may be read
        return []
    exact = [path for path in found if path.startswith(typed)]
    return sorted(exact or found)


def _common_start(paths: list[str]) -> str:
    return os.path.commonprefix(paths) if paths else ""  # noqa: RUF071  # of characters, as a shell completes


def _names(paths: list[str], width: int) -> str:
    """The names in a row, as many as fit."""
    shown: list[str] = []
    used = 0
    for path in paths:
        name = os.path.basename(path.rstrip(os.sep)) + (os.sep if path.endswith(os.sep) else "")  # noqa: PTH119  # a string
        used += cell_len(name) + 2
        if shown and used > width - 12:
            return "  ".join([*shown, tr("… {count} more", count=len(paths) - len(shown))])
        shown.append(name)
    return "  ".join(shown)
