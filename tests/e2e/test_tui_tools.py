"""Tools in a chat: chosen in a dialog, seen as lines, and asked about without taking the keyboard."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dialogs import showing
from scripted_assistant import DONE, ScriptedAssistant
from test_tui_chat import Chat, chatting
from textual.widgets import OptionList

from chatglm_slim_llm.hosting.assistant import Piece, ToolUse
from chatglm_slim_llm.plugins import PluginSpec
from chatglm_slim_llm.storage import ChatSettings
from tui.language import use as use_language
from tui.plugin_list import PluginList
from tui.screens.help import Help
from tui.screens.tool_uses import ToolUsesScreen
from tui.screens.tools import ToolsScreen
from tui.settings import Settings
from tui.widgets.conversation import Conversation
from tui.widgets.status import StatusLine
from tui.widgets.tool_question import ToolQuestion

SOME_VIEWS = (((80, 24), "zh"), ((20, 5), "en"), pytest.param((120, 40), "en", marks=pytest.mark.slow))
PLUGINS = PluginList(
    [
        PluginSpec("tools", "weather", "acme:weather", "acme", description="Asks for a [bold]city"),
        PluginSpec("tools", "calculator", "ours:calculator", "chatglm-slim-llm", description="Works out formulas"),
        PluginSpec("tools", "shell", "acme:shell", "acme", state="off", reason="plugins.toml switches it off"),
    ]
)
COMMAND = {"command": "rm -r /x [bold]\npath: /safe", "timeout": 30}


def step(state: str, arguments: dict[str, object] | None = None, result: str = "", use_id: str = "u1") -> Piece:
    return Piece(tool=ToolUse(use_id, "shell", COMMAND if arguments is None else arguments, state, result))  # type: ignore[arg-type]


@asynccontextmanager
async def asked(
    folder: Path, *, size: tuple[int, int] = (100, 30), settings: Settings | None = None
) -> AsyncIterator[Chat]:
    """A chat whose answer waits for a person."""
    async with chatting(folder, size=size, settings=settings) as chat:
        await chat.send("clean up")
        chat.model.say(step("asked"))
        await chat.until(lambda: chat.find(ToolQuestion).is_open)
        await chat.pilot.pause()
        yield chat


def seen(chat: Chat) -> str:
    return "\n".join(chat.lines())


# --- choosing


async def test_tools_that_are_on_are_listed_with_what_they_do_and_none_is_chosen():
    async with showing(ToolsScreen((), plugins=lambda: PLUGINS)) as shown:
        assert "○ weather" in shown.text
        assert "Asks for a [bold]city (acme)" in shown.text
        assert "○ calculator   Works out formulas" in shown.text
        assert "shell" not in shown.text
        await shown.press("down", "space", "escape")
        assert shown.results == [("calculator",)]


async def test_what_is_chosen_and_cannot_be_used_any_more_says_why_and_can_only_be_left():
    chosen = ("shell", "gone", "weather")
    async with showing(ToolsScreen(chosen, plugins=lambda: PLUGINS), size=(120, 30)) as shown:
        assert "plugins.toml switches it off" in shown.text
        assert "it is not installed any more" in shown.text
        await shown.press("end", "space", "space", "escape")
        assert shown.results == [("weather", "shell")]


async def test_a_list_without_tools_says_where_they_come_from_and_changes_nothing():
    async with showing(ToolsScreen((), has_knowledge=True, plugins=PluginList)) as shown:
        assert "/plugins shows which there are" in shown.text
        assert "no tool is used" in shown.words
        await shown.press("space", "escape")
        assert shown.results == [None]


@pytest.mark.parametrize(("size", "language"), SOME_VIEWS)
async def test_the_dialogs_are_of_use_in_every_size_and_language(size, language):
    use_language(language)
    try:
        for classes in ("", "-accessible"):
            async with showing(ToolsScreen((), plugins=lambda: PLUGINS), size=size, classes=classes) as shown:
                await shown.press("space", "escape")
                assert shown.results == [("weather",)]
            uses = [ToolUse("1", "shell", COMMAND, "done", "gone"), ToolUse("2", "shell", {}, "refused")]
            async with showing(ToolUsesScreen(uses, 1), size=size, classes=classes) as shown:
                await shown.press("right")
                assert "command" in shown.text
                await shown.press("escape")
                assert shown.results == [None]
    finally:
        use_language("en")


@pytest.mark.long
async def test_the_choice_is_kept_with_the_chat_and_asked_with_and_in_sight(tmp_path):
    async with chatting(tmp_path, plugins=lambda: PLUGINS) as chat:
        await chat.pilot.press("f4")
        await chat.until(lambda: isinstance(chat.app.screen, ToolsScreen))
        await chat.until(lambda: chat.app.screen.query_one("#tools", OptionList).option_count == 2)
        await chat.pilot.press("space", "escape")
        await chat.until(lambda: chat.find(StatusLine).tools == "1 tool")
        await chat.send("weather?")
        chat.model.say("fine", DONE)
        await chat.until(lambda: chat.is_done)
        assert chat.model.asked[0].tools == ("weather",)
        (conversation,) = chat.store.conversations()
        assert chat.store.chat_settings(conversation.id).tools == ("weather",)
        assert "1 tool" in chat.lines()[0]
        await chat.pilot.press("ctrl+s", "ctrl+s")  # its settings do not take its tools away
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: chat.find(StatusLine).tools == "")
        assert chat.store.chat_settings(conversation.id).tools == ("weather",)


async def test_what_was_switched_off_and_a_knowledge_base_leave_no_tool_to_use(tmp_path):
    async with chatting(tmp_path, plugins=lambda: PLUGINS) as chat:
        talk = chat.app._chat.pane.talk
        chat.app._chat.pane.set(ChatSettings(tools=("weather", "shell")))
        await chat.until(lambda: talk.tools == ("weather",))
        chat.app._chat.pane.set(ChatSettings(tools=("weather", "shell"), knowledge_base="notes"))
        assert talk.tools == ()


# --- a tool asks


async def test_a_question_shows_everything_and_what_is_typed_answers_nothing(tmp_path):
    async with asked(tmp_path) as chat:
        for words in ("May the model use this tool?", "shell", "rm -r /x [bold]", "timeout: 30", "F4"):
            assert words in seen(chat)
        await chat.pilot.press("y", "a", "n", "enter")
        await chat.pilot.pause()
        assert chat.prompt == "yan", "it was typed, and is still there, for the answer is still being written"
        assert chat.model.permitted == []
        assert chat.find(ToolQuestion).is_open


@pytest.mark.long
async def test_keys_answer_once_somebody_has_gone_there(tmp_path):
    async with asked(tmp_path) as chat:
        answers = (("y", True), ("n", False), ("escape", False), ("a", True))
        for number, (key, allowed) in enumerate(answers, 2):
            await chat.pilot.press("f4", key)
            expected = [(f"u{number - 1}", allowed)]
            await chat.until(lambda expected=expected: chat.model.permitted[-1:] == expected)
            assert not chat.find(ToolQuestion).is_open
            await chat.type("+")
            chat.model.say(step("asked", use_id=f"u{number}"))
            await chat.until(lambda: chat.find(ToolQuestion).is_open or len(chat.model.permitted) == 5)
        assert chat.model.permitted[4] == ("u5", True), "what is allowed for a chat is not asked again there"
        assert chat.prompt == "++++", "the keyboard is back where it was each time"
        assert chat.app._chat.pane.talk.reply is not None, "Escape refuses, and stops nothing"
        chat.model.say(DONE)


async def test_a_second_press_of_the_key_does_not_answer_the_next_question(tmp_path):
    async with asked(tmp_path) as chat:
        chat.model.say(step("asked", use_id="u2"))
        reply = chat.app._chat.pane.talk.reply
        await chat.until(lambda: "u2" in reply.uses)
        await chat.pilot.press("f4", "y", "y")
        await chat.until(lambda: chat.prompt == "y")
        assert chat.model.permitted == [("u1", True)]
        chat.model.say(DONE)


@pytest.mark.slow
async def test_a_click_on_a_button_answers(tmp_path):
    async with asked(tmp_path) as chat:
        await chat.pilot.click("#tool-refuse")
        await chat.until(lambda: chat.model.permitted == [("u1", False)])
        chat.model.say(DONE)


async def test_escape_in_the_prompt_stops_the_answer_and_allows_nothing(tmp_path):
    async with asked(tmp_path) as chat:
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.is_done)
        assert chat.model.permitted == []
        assert not chat.find(ToolQuestion).is_open
        await chat.until(lambda: chat.find(Conversation).entries[-1].uses[0].state == "failed")
        (conversation,) = chat.store.conversations()
        [[kept]] = chat.store.tool_uses_of_path(conversation.id).values()
        assert (kept.name, kept.state) == ("shell", "failed")


@pytest.mark.long
async def test_a_question_below_another_dialog_is_told_of(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.send("clean up")
        await chat.pilot.press("f1")
        await chat.until(lambda: isinstance(chat.app.screen, Help))
        chat.model.say(step("asked"))
        await chat.until(lambda: "“shell” waits for an answer" in chat.told)
        await chat.pilot.press("y", "escape")
        assert chat.model.permitted == []
        chat.model.say(DONE)


async def test_a_question_of_another_chat_names_it(tmp_path):
    async with asked(tmp_path) as chat:
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: "shell · clean up" in seen(chat))
        await chat.pilot.press("f4", "n")
        await chat.until(lambda: chat.model.permitted == [("u1", False)])
        chat.model.say(DONE)


@pytest.mark.parametrize("size", [pytest.param((80, 24), marks=pytest.mark.slow), (20, 5)])
async def test_it_can_be_answered_in_the_plain_mode_and_in_any_terminal(tmp_path, size):
    settings = Settings().with_value("interface.accessible", True)
    async with asked(tmp_path, size=size, settings=settings) as chat:
        assert "shell" in seen(chat)
        assert not any("─" in line or "│" in line for line in chat.lines())
        await chat.pilot.press("f4")
        await chat.pilot.pause()
        assert "command" in seen(chat)
        await chat.pilot.press("y")
        await chat.until(lambda: chat.model.permitted == [("u1", True)])
        chat.model.say(DONE)


# --- what was done


@pytest.mark.long
async def test_uses_are_lines_above_the_reply_now_and_when_the_chat_is_opened_again(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.send("clean up")
        chat.model.say(step("running"))
        await chat.until(lambda: "… shell" in seen(chat))
        chat.model.say(step("done", result="3 files\ngone"), "It is **done**.", DONE)
        await chat.until(lambda: chat.is_done)
        line = next(line for line in chat.lines() if "✓ shell" in line)
        assert "→ 3 files gone" in line
        assert seen(chat).index("✓ shell") < seen(chat).index("It is done.")
    async with chatting(tmp_path) as chat:
        await chat.until(lambda: "→ 3 files gone" in seen(chat))
        await chat.pilot.press("ctrl+up", "t")
        await chat.until(lambda: isinstance(chat.app.screen, ToolUsesScreen))
        await chat.pilot.pause()
        assert "    path: /safe" in seen(chat)
        await chat.pilot.press("escape")
        line = next(number for number, line in enumerate(chat.lines()) if "✓ shell" in line)
        await chat.pilot.click(offset=(chat.lines()[line].index("shell"), line))
        await chat.until(lambda: isinstance(chat.app.screen, ToolUsesScreen))


async def test_what_an_answer_goes_on_without_is_told(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.send("hi")
        chat.model.say(Piece(notice="plugin tools.weather cannot be used: it is [broken]"), "hello", DONE)
        await chat.until(lambda: chat.is_done)
        assert "plugin tools.weather cannot be used: it is [broken]" in chat.told


async def test_the_screen_does_not_wait_for_the_plugins(tmp_path):
    may_go_on = threading.Event()

    def slow() -> PluginList:
        assert threading.current_thread() is not threading.main_thread()
        may_go_on.wait(20)
        return PluginList()

    async with chatting(tmp_path, ScriptedAssistant(), plugins=slow) as chat:
        await chat.send("hi")
        chat.model.say("hello", DONE)
        await chat.until(lambda: chat.is_done)
        may_go_on.set()
