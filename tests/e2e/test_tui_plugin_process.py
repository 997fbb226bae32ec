"""A model, a tool and a command of plugins in their real processes, used in the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import wait_until

from chatglm_slim_llm.storage import ChatSettings, ConversationStore
from tests.plugin_folder import SCRIPTED, PluginFolder
from tui import settings
from tui.app import ChatApp
from tui.widgets.conversation import Conversation
from tui.widgets.status import StatusLine
from tui.widgets.tool_question import ToolQuestion

NOTE = """
    from langchain_core.tools import tool
    from pathlib import Path

    @tool
    def write(path: str, text: str) -> str:
        "Write a file."
        Path(path).write_text(text)
        return f"{len(text)} characters"

    make = write
"""


@pytest.mark.long
async def test_a_tool_of_a_plugin_writes_only_what_was_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    plugins = PluginFolder(tmp_path / "plugins", monkeypatch)
    plugins.add("models", "scripted", SCRIPTED)
    plugins.add("tools", "write", NOTE)
    loaded = settings.load(tmp_path / "settings.toml", {"load.model": "plugin:scripted"}, {})
    with ConversationStore.open(tmp_path / "history.db") as store:
        app = ChatApp(loaded, store, settings_file=tmp_path / "settings.toml")
        async with app.run_test(size=(100, 30), notifications=True) as pilot:

            async def until(holds: Callable[[], object]) -> None:
                await wait_until(pilot, holds, limit_s=60)

            def seen() -> str:
                strips = app.screen._compositor.render_strips(app.size)
                return "\n".join("".join(segment.text for segment in strip) for strip in strips)

            pane = app._chat.pane
            pane.set(ChatSettings(tools=("write",)))
            rounds = [[["write", {"path": str(tmp_path / name), "text": "你好"}]] for name in ("yes", "no", "stop")]
            pane.prompt.text = json.dumps(rounds)
            await pilot.press("enter")
            question, entries = app._chat.query_one(ToolQuestion), app._chat.query_one(Conversation)
            for number, (name, key) in enumerate((("yes", "y"), ("no", "n")), 1):
                await until(lambda number=number: question.is_open and len(entries.entries[-1].uses) == number)
                assert not (tmp_path / name).exists()
                await pilot.press("f4", key)
            await until(lambda: question.is_open and len(entries.entries[-1].uses) == 3)
            app.notify("something else\n" * 6)
            await until(lambda: "something else" in seen())
            assert "Allow once (y)" in seen(), "what pops up does not cover it"
            assert app._chat.query_one(StatusLine).model == "plugin:scripted"
            await pilot.press("escape")
            await until(lambda: pane.talk.reply is None)
            states = [(use.name, use.state) for use in entries.entries[-1].uses]
            assert states == [("write", "done"), ("write", "refused"), ("write", "failed")]
            assert [path.name for path in (tmp_path / "yes", tmp_path / "no", tmp_path / "stop") if path.exists()] == [
                "yes"
            ]
            pane.prompt.text = "hi"
            await pilot.press("enter")
            await until(lambda: entries.entries[-1].text.endswith("['write']>"))
            await until(lambda: pane.talk.reply is None)
        [uses] = store.tool_uses_of_path(store.conversations()[0].id).values()
        assert [(use.state, use.arguments["text"]) for use in uses] == [(state, "你好") for _, state in states]
