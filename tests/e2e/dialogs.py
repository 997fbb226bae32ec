"""One dialog above an empty screen, seen and used as a person would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Paste
from textual.pilot import Pilot
from textual.screen import Screen
from waiting import wait_until

import tui.app

VIEWS = (
    ((80, 24), "zh"),
    ((120, 40), "en"),
    ((20, 5), "zh"),
    pytest.param((80, 24), "en", marks=pytest.mark.slow),
    pytest.param((120, 40), "zh", marks=pytest.mark.slow),
    pytest.param((20, 5), "en", marks=pytest.mark.slow),
)
"""Size of the terminal, and language: each of them every time, and all that go together when there is time."""


class Host(App[None]):
    """The program's styles, and nothing else of it."""

    CSS_PATH = Path(tui.app.__file__).with_name("app.tcss")

    def copy_to_clipboard(self, text: str) -> None:
        self.copied = text


@dataclass
class Shown:
    """A dialog that is open, or was."""

    app: Host
    pilot: Pilot[None]
    screen: Any
    results: list[Any] = field(default_factory=list)
    """What it returned, once it is closed."""

    @property
    def text(self) -> str:
        """Everything on the terminal."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    @property
    def words(self) -> str:
        """The text without frames and line ends: as it reads."""
        return " ".join("".join(" " if "\u2500" <= char <= "\u259f" else char for char in self.text).split())

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)

    async def paste(self, text: str) -> None:
        self.app.post_message(Paste(text))
        await self.pilot.pause(0.05)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        await wait_until(self.pilot, holds)


@asynccontextmanager
async def showing(screen: Screen[Any], *, size: tuple[int, int] = (80, 24), classes: str = "") -> AsyncIterator[Shown]:
    app = Host()
    async with app.run_test(size=size) as pilot:
        if classes:
            app.add_class(classes)
        shown = Shown(app, pilot, screen)
        app.push_screen(screen, shown.results.append)
        await pilot.pause(0.05)
        yield shown


def write_checkpoint(folder: Path, **changes: object) -> Path:
    """The small files of a ChatGLM-6B, and weights that are nothing but size."""
    folder.mkdir(parents=True)
    config = {"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "vocab_size": 130528, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "ice_text.model").write_bytes(b"tokens")
    with (folder / "model.safetensors").open("wb") as weights:
        weights.truncate(13_400_000_000)
    return folder
