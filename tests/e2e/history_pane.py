"""The history pane in an app of its own, over a real history file, seen as a person sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from textual import on
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.pilot import Pilot
from textual.widgets import TextArea
from waiting import wait_until

import tui
from chatglm_slim_llm.storage import ConversationStore, Draft, Shelf
from tui.language import use
from tui.messages import ConversationChosen, ConversationsChanged, ExportAsked
from tui.widgets.history import History, HistoryLeft
from tui.widgets.history_browser import HistoryBrowser
from tui.widgets.history_list import HistoryList


class PaneApp(App[None]):
    """The pane beside a text area, and what it tells the screen."""

    CSS_PATH = Path(tui.__file__).with_name("app.tcss")

    def __init__(self, store: ConversationStore) -> None:
        super().__init__()
        self.store = store
        self.asked: list[object] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield History(self.store)
            yield TextArea()

    @on(ConversationChosen)
    @on(ConversationsChanged)
    @on(ExportAsked)
    @on(HistoryLeft)
    def _hear(self, event: object) -> None:
        self.asked.append(event)


@dataclass
class Pane:
    """A running pane, seen as a person sees it."""

    app: PaneApp
    pilot: Pilot[None]
    store: ConversationStore

    @property
    def history(self) -> History:
        return self.app.screen_stack[0].query_one(History)

    @property
    def list(self) -> HistoryList:
        return self.history.query_one(HistoryList)

    @property
    def marked(self) -> str:
        """The first line of the row that keys act on: its ground is another one."""
        ground = self.list.get_component_rich_style("history--cursor").bgcolor
        for y in range(self.list.size.height):
            strip = self.list.render_line(y)
            if any(segment.style and segment.style.bgcolor == ground for segment in strip):
                return strip.text.strip("▎ ")
        return ""

    @property
    def shown(self) -> list[str]:
        """What is read in the list, from top to bottom."""
        return [text for line in self.lines_of(self.list) if (text := line.strip("▎ "))]

    @property
    def screen(self) -> str:
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def told(self) -> str:
        return "\n".join(f"{note.title}\n{note.message}" for note in self.app._notifications)

    def lines_of(self, widget: HistoryList) -> list[str]:
        return [widget.render_line(y).text for y in range(widget.size.height)]

    def titles(self, shelf: Shelf = "shown") -> list[str]:
        return [one.title for one in self.store.conversations(shelf)]

    def id_of(self, title: str) -> int:
        shelves: tuple[Shelf, ...] = ("shown", "archived", "trash")
        return next(one.id for shelf in shelves for one in self.store.conversations(shelf) if one.title == title)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def mark(self, title: str) -> None:
        """Go down to a conversation."""
        await self.press("home")
        for _ in range(50):
            if self.marked == title:
                return
            await self.press("down")
        raise AssertionError(f"{title!r} is not among {self.shown}")

    async def look_for(self, words: str, expected: str) -> None:
        """Type into the search box until what is expected is found."""
        self.history.focus_search()
        await self.pilot.press(*words)
        await self.until(lambda: self.history.query_one(HistoryBrowser)._words == words)
        assert expected in self.shown

    async def click(self, text: str, *, button: int = 1, x: int = 5) -> None:
        y = next(y for y, line in enumerate(self.lines_of(self.list)) if text in line)
        await self.pilot.click(HistoryList, offset=(x, y), button=button)
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        await wait_until(self.pilot, holds)


@asynccontextmanager
async def pane_over(
    store: ConversationStore, *, size: tuple[int, int] = (80, 30), current: str = ""
) -> AsyncIterator[Pane]:
    app = PaneApp(store)
    async with app.run_test(size=size, tooltips=True) as pilot:
        pane = Pane(app, pilot, store)
        pane.history.show(pane.id_of(current) if current else None)
        pane.history.focus()
        await pilot.pause()
        yield pane


@asynccontextmanager
async def listing(
    folder: Path, *titles: str, size: tuple[int, int] = (80, 30), current: str = ""
) -> AsyncIterator[Pane]:
    """A pane over conversations with these titles, the first one the newest."""
    with ConversationStore.open(folder / "history.db") as store:
        for title in reversed(titles):
            store.create(title, [Draft("user", f"about {title}")])
        async with pane_over(store, size=size, current=current) as pane:
            yield pane


@contextmanager
def in_chinese() -> Iterator[None]:
    use("zh")
    try:
        yield
    finally:
        use("en")
