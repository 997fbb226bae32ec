"""Makes the pictures of terminal.md, and the parts of it that are made: the keys and the feature table.

    python -m docs.screens [--page] [NAME ...]

Runs the real program without a terminal, with the demo model and a history of its own in a folder that is removed
afterwards. ``--page`` leaves the pictures alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import OptionList

from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.hosting.local import LocalAssistant
from chatglm_slim_llm.storage import ChatSettings, ConversationStore, history_path
from docs import picture, sample_chats, sample_plugins, terminal_page
from tui import settings
from tui.app import ChatApp
from tui.language import tr
from tui.messages import ConversationChosen
from tui.screens.chat import ChatScreen
from tui.widgets.conversation import Conversation
from tui.widgets.history_search import HistorySearch
from tui.widgets.status import StatusLine

IMAGES = Path(__file__).parent / "images"
_LONGEST_S = 60.0
_SETTINGS = """\
# seen in the picture of the settings
[interface]
theme = "chatglm-dark"

[load]
model = "demo"

[sampling]
temperature = 0.0
"""

Act = Callable[[ChatApp, Pilot[None]], Awaitable[None]]


@dataclass(frozen=True)
class Shot:
    """One picture: how the program starts, and what is pressed before it is taken."""

    name: str
    act: Act
    size: tuple[int, int] = (110, 36)
    language: str = "en"
    theme: str | None = None
    accessible: bool | None = None
    model: str | None = None


async def _chat(app: ChatApp, _pilot: Pilot[None]) -> None:
    _open(app, sample_chats.SORTING)


def _open(app: ChatApp, title: str) -> None:
    chat = next(chat for chat in app.store.conversations() if chat.title == title)
    _chat_screen(app).post_message(ConversationChosen(chat.id))


async def _search(app: ChatApp, pilot: Pilot[None]) -> None:
    _chat_screen(app).query_one(HistorySearch).focus()
    await pilot.press(*"排序")
    await _until(pilot, lambda: bool(_chat_screen(app).query_one(HistorySearch).value))
    await pilot.pause(0.6)
    await pilot.press("enter")


async def _variants(app: ChatApp, pilot: Pilot[None]) -> None:
    _open(app, sample_chats.HAIKU)
    await pilot.pause(0.3)
    _chat_screen(app).query_one(Conversation).focus()
    await pilot.press("left_square_bracket")


async def _passage(app: ChatApp, pilot: Pilot[None]) -> None:
    _open(app, sample_chats.LEAVE)
    await pilot.pause(0.3)
    _chat_screen(app).query_one(Conversation).focus()
    await pilot.press("enter")
    await _until(pilot, lambda: app.screen is not _chat_screen(app))


async def _knowledge(app: ChatApp, pilot: Pilot[None]) -> None:
    _open(app, sample_chats.LEAVE)
    await pilot.pause(0.3)
    await pilot.press("ctrl+k")
    await pilot.pause(3.0)


async def _model(_app: ChatApp, pilot: Pilot[None]) -> None:
    await pilot.press("ctrl+t")
    await pilot.pause(1.5)


async def _settings(_app: ChatApp, pilot: Pilot[None]) -> None:
    await pilot.press("f2")
    await pilot.pause(0.5)


async def _help(app: ChatApp, pilot: Pilot[None]) -> None:
    _chat_screen(app).query_one(Conversation).focus()
    await pilot.press("f1")


async def _ask(app: ChatApp, pilot: Pilot[None]) -> None:
    """The one answer in the pictures that the model really gives."""
    await pilot.press("ctrl+n")
    _chat_screen(app).pane.prompt.text = "ChatGLM-6B 有多少层？"
    await pilot.press("enter")
    await _until(pilot, lambda: _is_answered(_chat_screen(app).query_one(Conversation)))


async def _tools(app: ChatApp, pilot: Pilot[None]) -> None:
    _open(app, sample_chats.SORTING)
    await pilot.pause(0.3)
    _chat_screen(app).pane.set(ChatSettings(tools=("calculator",)))
    await pilot.press("f4")
    await _until(pilot, lambda: app.screen is not _chat_screen(app))
    await pilot.pause(1.0)


async def _tool_asks(app: ChatApp, pilot: Pilot[None]) -> None:
    """A real model and a real tool, both of plugins; nothing is written, for nobody answers."""
    await pilot.press("ctrl+n")
    pane = _chat_screen(app).pane
    pane.set(ChatSettings(tools=("notes",)))
    pane.prompt.text = "Friday, 31 March: the leave of last year ends.\nTell Wang Fang."
    await pilot.press("enter")
    await _until(pilot, lambda: pane.tools.question.is_open)
    await pilot.press("f4")


async def _plugins(app: ChatApp, pilot: Pilot[None]) -> None:
    _chat_screen(app).action_plugins()
    await pilot.pause(1.0)
    options = app.screen.query_one(OptionList)
    options.highlighted = next(place for place, each in enumerate(options.options) if "org" in str(each.prompt))


def _is_answered(conversation: Conversation) -> bool:
    entries = conversation.entries
    return bool(entries) and bool(entries[-1].text) and not entries[-1].growing


SHOTS = (
    Shot("chat", _chat),
    Shot("search-zh", _search, language="zh", theme="chatglm-light"),
    Shot("variants", _variants, (110, 24)),
    Shot("passage", _passage, (110, 26)),
    Shot("knowledge", _knowledge, (110, 26)),
    Shot("model", _model, (110, 26)),
    Shot("tools", _tools, (110, 26)),
    Shot("plugins-zh", _plugins, (110, 32), language="zh", theme="chatglm-light"),
    Shot("tool-asks", _tool_asks, (110, 26), model="plugin:rehearsed"),
    Shot("settings", _settings, (110, 30)),
    Shot("help", _help, (110, 30)),
    Shot("narrow", _ask, (80, 24)),
    Shot("accessible", _chat, (100, 36), theme="chatglm-contrast", accessible=True),
)


async def take(shot: Shot, store: ConversationStore) -> str:
    """The picture, as a drawing."""
    arguments = {
        "interface.language": shot.language,
        "interface.theme": shot.theme,
        "interface.accessible": shot.accessible,
        "load.model": shot.model,
    }
    file = settings.settings_path()
    loaded = settings.load(file, arguments, {"CHATGLM_SLIM_DEVICE": "cpu"})
    app = ChatApp(loaded, store, assistants=lambda wanted: LocalAssistant(wanted.load), settings_file=file)
    async with app.run_test(size=shot.size) as pilot:
        await _until(pilot, lambda: _chat_screen(app).query_one(StatusLine).state == tr("ready"))
        await shot.act(app, pilot)
        app.clear_notifications()  # of a plugin that is broken on purpose
        await pilot.pause(0.8)
        return picture.svg(app)


def _chat_screen(app: ChatApp) -> ChatScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, ChatScreen))


async def _until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(int(_LONGEST_S / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    raise TimeoutError(f"the screen is not as expected after {_LONGEST_S:.0f} s")


@contextmanager
def history() -> Iterator[ConversationStore]:
    """What a person has who has used the program for a while, in a home folder of its own."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("XDG_", "CHATGLM_", "HF_"))}
    kept["HOME"] = os.environ["HOME"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HOME": f"{folder}/li", "HF_HUB_OFFLINE": "1"}
        try:
            handbook = _furnish(Path(folder, "li"))
            with ConversationStore.open(history_path()) as store:
                sample_chats.fill(store, datetime.now().astimezone(), handbook)
                yield store
        finally:
            del os.environ["HF_HUB_OFFLINE"]
            os.environ.pop("CHATGLM_SLIM_PLUGINS", None)
            os.environ |= kept


def _furnish(home: Path) -> Path:
    """Settings and knowledge bases; returns the folder of the files."""
    handbook = home / "handbook"
    handbook.mkdir(parents=True)
    for name, text in sample_chats.HANDBOOK.items():
        (handbook / name).write_text(text, encoding="utf-8")
    settings.settings_path().parent.mkdir(parents=True)
    settings.settings_path().write_text(_SETTINGS, encoding="utf-8")
    for name, text in sample_plugins.FILES.items():
        settings.settings_path().with_name(name).write_text(text, encoding="utf-8")
    os.environ["CHATGLM_SLIM_PLUGINS"] = str(settings.settings_path().with_name("plugins.toml"))
    library = Library()
    for name, paths in (("handbook", [handbook]), ("论文", [handbook / "报销.md"])):
        library.create(name)
        library.add(name, paths, lambda what, done, total: None)
    library.close()
    return handbook


def main() -> int:
    """Make the pictures that are asked for, all by default, and the made parts of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="only the keys and the table of the page")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(shot.name for shot in SHOTS)])
    arguments = parser.parse_args()
    terminal_page.write()
    if arguments.page:
        return 0
    try:
        picture.check_tools()
    except picture.MissingToolError as error:
        print(f"docs.screens: {error}", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with history() as store:
        for shot in SHOTS:
            if shot.name in (arguments.names or [shot.name]):
                data = picture.png(asyncio.run(take(shot, store)))
                (IMAGES / f"{shot.name}.png").write_bytes(data)
                print(f"{shot.name}.png: {len(data) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
