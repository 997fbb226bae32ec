"""The real app over a folder of its own, for the tests of settings, help, palette, jump mode and themes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scripted_assistant import ScriptedAssistant
from textual.pilot import Pilot
from waiting import wait_until

from chatglm_slim_llm.storage import ConversationStore
from tui import language, settings
from tui.app import ChatApp
from tui.plugin_list import PluginList


@dataclass
class Running:
    """A running app, seen as a person sees it."""

    app: ChatApp
    pilot: Pilot[None]
    store: ConversationStore
    file: Path

    def lines(self) -> list[str]:
        """The whole terminal as text."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def seen(self) -> str:
        return "\n".join(self.lines())

    @property
    def told(self) -> str:
        """What pops up in the corner."""
        return "\n".join(note.message for note in self.app._notifications)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        await wait_until(self.pilot, holds)


@asynccontextmanager
async def running(
    folder: Path,
    text: str = "",
    *,
    size: tuple[int, int] = (100, 30),
    environ: dict[str, str] | None = None,
    titles: tuple[str, ...] = (),
    plugins: Callable[[], PluginList] = PluginList,
) -> AsyncIterator[Running]:
    """Run over settings with this text, and conversations with these first prompts."""
    file = folder / "settings.toml"
    if text:
        file.write_text(text, "utf-8")
    with ConversationStore.open(folder / "history.db") as store:
        for title in titles or ("hello",):  # a history that is not empty is no first start
            _question, answer = store.begin(None, None, title)
            store.update(answer.id, "an answer", finish_reason="stop")
        loaded = settings.load(file, environ=environ or {})
        app = ChatApp(loaded, store, assistants=lambda _: ScriptedAssistant(), settings_file=file, plugins=plugins)
        try:
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                yield Running(app, pilot, store, file)
        finally:
            language.use("en")
