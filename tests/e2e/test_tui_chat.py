"""The terminal assistant by its keys, with a model that says what the test wants, when it wants it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from scripted_assistant import DONE, ScriptedAssistant
from textual.events import Paste
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection
from textual.widget import Widget
from waiting import wait_until

import tui.app
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import CheckpointFormatError, StorageError
from chatglm_slim_llm.hosting.assistant import Piece
from chatglm_slim_llm.storage import ConversationStore
from tui import worker
from tui.app import ChatApp
from tui.messages import ConversationChosen
from tui.plugin_list import PluginList
from tui.screens.chat import _LOOK_S
from tui.screens.download import Download
from tui.settings import LoadedSettings, Settings, load
from tui.widgets.conversation import Conversation
from tui.widgets.history import History
from tui.widgets.prompt import PromptBox
from tui.widgets.prompt_area import PromptArea
from tui.widgets.status import StatusLine
from tui.widgets.welcome import Welcome

WidgetT = TypeVar("WidgetT", bound=Widget)


@dataclass
class Chat:
    """A running app, seen as a person sees it."""

    app: ChatApp
    pilot: Pilot[None]
    store: ConversationStore
    model: ScriptedAssistant

    @property
    def said(self) -> list[tuple[str, str, str]]:
        """Role, text and note of each message on the screen."""
        return [(entry.role, entry.text, entry.note) for entry in self.find(Conversation).entries]

    @property
    def prompt(self) -> str:
        return self.find(PromptBox).text

    @property
    def status(self) -> str:
        return self.find(StatusLine).state

    @property
    def is_done(self) -> bool:
        """Whether the last reply is complete."""
        return self.status == "ready" and bool(self.said) and not self.find(Conversation).entries[-1].growing

    @property
    def told(self) -> str:
        """What pops up in the corner."""
        return "\n".join(f"{note.title}\n{note.message}" for note in self.app._notifications)

    @property
    def titles(self) -> list[str]:
        return [conversation.title for conversation in self.store.conversations()]

    def find(self, kind: type[WidgetT]) -> WidgetT:
        return self.app.screen_stack[1].query_one(kind)

    def lines(self) -> list[str]:
        """The whole terminal as text."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return ["".join(segment.text for segment in strip) for strip in strips]

    async def type(self, text: str) -> None:
        """Type or, if it is long, paste: the pilot takes a sixteenth of a second for each key."""
        if len(text) > 3:
            self.app.post_message(Paste(text))
            await self.pilot.pause()
        else:
            await self.pilot.press(*text)

    async def send(self, text: str) -> None:
        await self.type(text)
        await self.pilot.press("enter")

    async def until(self, holds: Callable[[], object]) -> None:
        await wait_until(self.pilot, holds)


@asynccontextmanager
async def chatting(
    folder: Path,
    model: ScriptedAssistant | None = None,
    *,
    options: LoadOptions | None = None,
    settings: Settings | None = None,
    then: ScriptedAssistant | None = None,
    is_first: bool = False,
    size: tuple[int, int] = (100, 30),
    plugins: Callable[[], PluginList] = PluginList,
    paints_notes: bool = False,
) -> AsyncIterator[Chat]:
    """Run the app.

    Args:
        folder: where its history and its settings are.
        model: what answers.
        options: what the command line names.
        settings: what is set; ``options`` are its default.
        then: what answers after another model was chosen.
        is_first: whether the program may be new to this person.
        size: of the terminal.
        plugins: reads what is installed.
        paints_notes: whether what pops up is on the screen, too.
    """
    model = model or ScriptedAssistant()
    models = iter([model, then or model])
    folder.mkdir(exist_ok=True)
    loaded = LoadedSettings(settings or Settings(load=options or LoadOptions()), {"load.model": "argument"})
    with ConversationStore.open(folder / "history.db") as store:
        app = ChatApp(
            load(folder / "settings.toml") if is_first else loaded,
            store,
            assistants=lambda _settings: next(models),
            settings_file=folder / "settings.toml",
            plugins=plugins,
        )
        async with app.run_test(size=size, notifications=paints_notes) as pilot:
            await pilot.pause()
            yield Chat(app, pilot, store, model)
        for thread in app._worker._threads:  # the app itself waits half a second, which is little on a busy machine
            thread.join(10)
            assert not thread.is_alive(), thread.name


def asked(model: ScriptedAssistant) -> list[list[tuple[str, str]]]:
    return [[(turn.role, turn.text) for turn in request.turns] for request in model.asked]


async def test_an_answer_streams_in_and_stays(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.send("hi")
        assert chat.prompt == ""
        assert chat.said == [("user", "hi", ""), ("assistant", "", "")]
        chat.model.say("Hel")
        await chat.until(lambda: chat.said[1][1] == "Hel")
        assert chat.status == "writing…"
        chat.model.say("lo!", DONE)
        await chat.until(lambda: chat.is_done)
        assert chat.find(Conversation).entries[1].figures == "5 tokens · 12.5 tokens/s · first after 0.2 s"
        assert chat.said == [("user", "hi", ""), ("assistant", "Hello!", "")]
    async with chatting(tmp_path) as chat:
        assert chat.said == [("user", "hi", ""), ("assistant", "Hello!", "")]
        assert any("Hello!" in line for line in chat.lines())


async def test_the_model_is_asked_with_the_rounds_before(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A", DONE, "B", DONE)
        await chat.send("a")
        await chat.until(lambda: chat.is_done)
        await chat.send("b")
        await chat.until(lambda: chat.said[-1][1] == "B")
    assert asked(chat.model) == [[("human", "a")], [("human", "a"), ("ai", "A"), ("human", "b")]]


async def test_an_empty_prompt_does_nothing(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.pilot.press("enter", "space", "enter")
        assert chat.find(Welcome).display
        assert chat.titles == []
    assert not (tmp_path / "history.db").exists()


async def test_escape_keeps_the_part_that_was_written(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("part")
        await chat.send("q")
        await chat.until(lambda: chat.said[1][1] == "part")
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.said[1] == ("assistant", "part", "■ stopped"))
        assert chat.model.closed.is_set()
        await chat.until(lambda: chat.status == "ready")
    async with chatting(tmp_path) as chat:
        assert chat.said[1] == ("assistant", "part", "■ stopped")


async def test_a_second_prompt_waits_and_keeps_its_text(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.send("one")
        await chat.send("two")
        assert chat.prompt == "two"
        assert "still being written" in chat.told
        assert len(chat.said) == 2
        chat.model.say("1", DONE)
        await chat.until(lambda: chat.is_done)
        await chat.pilot.press("enter")
        assert chat.said[2] == ("user", "two", "")


async def test_a_new_line_does_not_send(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.type("a")
        await chat.pilot.press("ctrl+j")
        await chat.type("b")
        await chat.pilot.press("shift+enter")
        await chat.type("你")
        assert chat.prompt == "a\nb\n你"
        await chat.pilot.press("enter")
        assert chat.said[0][1] == "a\nb\n你"


async def test_a_paste_stays_one_piece(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.app.post_message(Paste("first\r\nsecond\r\n\tthird"))
        await chat.pilot.pause()
        assert chat.prompt == "first\nsecond\n\tthird"
        assert chat.said == []


async def test_what_the_model_cannot_do_is_one_sentence_and_the_text_comes_back(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say(CheckpointFormatError("layer 3 is missing; pull again", path=tmp_path))
        await chat.send("q")
        await chat.until(lambda: chat.said[1][2])
        assert chat.said[1] == ("assistant", "", "layer 3 is missing; pull again")
        assert chat.prompt == "q"
        chat.model.say("fine", DONE)
        await chat.pilot.press("enter")
        await chat.until(lambda: chat.said[-1][1] == "fine")
    assert asked(chat.model) == [[("human", "q")], [("human", "q")]]


async def test_an_error_nobody_foresaw_keeps_what_was_written(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("half", RuntimeError("CUDA [oom]\nTraceback"))
        await chat.send("q")
        await chat.until(lambda: chat.said[1][2])
        assert chat.said[1] == ("assistant", "half", "The model failed with RuntimeError: CUDA [oom]")
        assert chat.prompt == ""


async def test_typing_is_possible_and_stop_works_while_the_model_loads(tmp_path):
    model = ScriptedAssistant()
    model.may_load.clear()
    async with chatting(tmp_path, model) as chat:
        await chat.send("q")
        await chat.until(lambda: chat.status == "downloading 40%")
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.said[1][2] == "■ stopped")
        await chat.type("more")
        assert chat.prompt == "more"
        model.may_load.set()
        await chat.until(lambda: chat.status == "ready")


async def test_the_model_loads_by_itself_once_the_keyboard_rests(tmp_path, monkeypatch):
    monkeypatch.setattr(tui.app, "_IDLE_BEFORE_LOADING_S", 3)
    async with chatting(tmp_path) as chat:
        assert chat.model.loads == 0
        await chat.until(lambda: chat.model.loads)
        await chat.until(lambda: chat.status == "ready")


async def test_a_model_that_does_not_load_is_tried_again_with_the_next_prompt(tmp_path):
    model = ScriptedAssistant()
    model.load_error = CheckpointFormatError("shard 2 is cut short; pull again", path=tmp_path)
    async with chatting(tmp_path, model) as chat:
        await chat.send("q")
        await chat.until(lambda: chat.said[1][2] == "shard 2 is cut short; pull again" and chat.status == "no model")
        assert chat.told == "", "it is said once"
        model.load_error = None
        model.say("ok", DONE)
        await chat.pilot.press("enter")
        await chat.until(lambda: chat.said[-1][1] == "ok")


async def test_a_prompt_that_cannot_be_saved_is_not_sent(tmp_path, monkeypatch):
    async with chatting(tmp_path) as chat:

        def full(*_args: object, **_options: object) -> None:
            raise StorageError("history.db cannot grow; make room")

        monkeypatch.setattr(chat.store, "begin", full)
        await chat.send("q")
        assert chat.prompt == "q"
        assert "cannot grow" in chat.told
        assert chat.model.asked == []


@pytest.mark.long
async def test_a_question_that_cannot_be_read_again_fails_and_does_not_keep_the_next_one_waiting(tmp_path, monkeypatch):
    def damaged(*_args: object) -> None:
        raise StorageError("history.db is damaged; move it away")

    async with chatting(tmp_path) as chat:
        with monkeypatch.context() as patch:
            patch.setattr(chat.store, "messages", damaged)
            await chat.send("q")
            await chat.until(lambda: chat.said[-1:] == [("assistant", "", "history.db is damaged; move it away")])
            await chat.pilot.pause(2.5 * _LOOK_S)  # the file is looked at meanwhile, and cannot be read
            assert chat.said[-1:] == [("assistant", "", "history.db is damaged; move it away")]
        chat.model.say("fine", DONE)
        await chat.send("again")
        await chat.until(lambda: chat.said[-1] == ("assistant", "fine", ""))
        assert "still being written" not in chat.told


async def test_what_lay_in_the_trash_long_enough_goes_for_good(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        old, new = store.create("old").id, store.create("new").id
        store.trash(old)
        store.trash(new)
    with closing(sqlite3.connect(tmp_path / "history.db")) as file:
        file.execute("update conversations set deleted_at = deleted_at - 31 * 86400 where id = ?", (old,))
        file.commit()
    async with chatting(tmp_path) as chat:
        await chat.until(lambda: chat.store.count("trash") == 1)
        assert [each.title for each in chat.store.conversations("trash")] == ["new"]


async def test_a_history_that_cannot_be_read_is_told_and_nothing_ends(tmp_path, monkeypatch):
    def damaged(*_args: object) -> None:
        raise StorageError("history.db is damaged; move it away")

    monkeypatch.setattr(ConversationStore, "conversations", damaged)
    async with chatting(tmp_path) as chat:
        assert "is damaged" in chat.told
        await chat.type("still here")
        assert chat.prompt == "still here"


@pytest.mark.long
async def test_a_reply_that_cannot_be_saved_is_shown_all_the_same(tmp_path, monkeypatch):
    async with chatting(tmp_path) as chat:

        def full(*_args: object, **_options: object) -> None:
            raise StorageError("history.db cannot grow; make room")

        with monkeypatch.context() as patch:
            patch.setattr(chat.store, "update", full)
            chat.model.say("shown", DONE)
            await chat.send("q")
            await chat.until(lambda: "cannot grow" in chat.told)
            await chat.until(lambda: chat.said[1] == ("assistant", "shown", ""))
            figures = chat.find(Conversation).entries[1].figures
            await chat.pilot.pause(2.5 * _LOOK_S)
            assert chat.said[1] == ("assistant", "shown", "")
            await chat.pilot.press("ctrl+n")
            assert chat.said == []
            chat.app.screen.post_message(ConversationChosen(chat.store.conversations()[0].id))
            await chat.until(lambda: chat.said == [("user", "q", ""), ("assistant", "shown", "")])
            assert chat.find(Conversation).entries[1].figures == figures
            assert chat.store.messages(1)[1].content == ""
        await chat.until(lambda: chat.store.messages(1)[1].content == "shown")  # there is room again
        assert chat.store.messages(1)[1].finish_reason == "stop"
        await chat.until(lambda: not chat.app._chat.pane.talk._unsaved)


async def test_a_reply_that_could_not_be_saved_is_tried_once_more_when_one_quits(tmp_path, monkeypatch):
    update = ConversationStore.update

    def full(self: ConversationStore, *args: Any, **options: Any) -> bool:
        if is_full:
            raise StorageError("history.db cannot grow; make room")
        return update(self, *args, **options)

    is_full = True
    monkeypatch.setattr(ConversationStore, "update", full)
    monkeypatch.setattr(worker, "_AGAIN_S", 600)
    async with chatting(tmp_path) as chat:
        chat.model.say("shown", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.is_done and "cannot grow" in chat.told)
        is_full = False
    with ConversationStore.open(tmp_path / "history.db") as store:
        assert [message.content for message in store.messages(1)] == ["q", "shown"]


async def test_a_new_conversation_leaves_the_old_one_in_the_history(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A", DONE, "B", DONE)
        await chat.send("first")
        await chat.until(lambda: chat.is_done)
        await chat.pilot.press("ctrl+n")
        assert chat.find(Welcome).display
        await chat.send("second")
        await chat.until(lambda: chat.said[-1][1] == "B")
        assert chat.titles == ["second", "first"]
        chat.find(History).focus()
        await chat.pilot.press("down", "enter")
        await chat.pilot.pause()
        assert [text for _, text, _ in chat.said] == ["first", "A"]
        assert isinstance(chat.app.focused, PromptArea)


async def test_a_reply_goes_on_while_another_conversation_is_looked_at(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("one ")
        await chat.send("q")
        await chat.until(lambda: chat.said[-1][1] == "one ")
        await chat.pilot.press("ctrl+n")
        chat.model.say("two ")
        await chat.pilot.pause(0.1)
        chat.find(History).focus()
        await chat.pilot.press("enter")
        await chat.until(lambda: chat.said[-1:] == [("assistant", "one two ", "")])
        chat.model.say("three", DONE)
        await chat.until(lambda: chat.said[-1][1] == "one two three")


async def test_a_deleted_conversation_leaves_the_screen_and_comes_back(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A", DONE)
        await chat.send("[b]q")
        await chat.until(lambda: chat.is_done)
        chat.find(History).focus()
        await chat.pilot.press("delete")
        await chat.until(lambda: chat.find(Welcome).display)
        assert chat.titles == []
        await chat.pilot.press("u")
        await chat.until(lambda: chat.titles == ["[b]q"])


async def test_the_letters_of_a_command_are_no_tokens(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.is_done)
        await chat.type("/exp")
        await chat.pilot.pause(0.8)
        assert "tokens ·" not in chat.lines()[-2]


async def test_ctrl_c_stops_the_answer_and_never_quits(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A")
        await chat.send("q")
        await chat.until(lambda: chat.said[-1][1] == "A")
        await chat.pilot.press("ctrl+c")
        await chat.until(lambda: chat.said[1][2] == "■ stopped" and chat.status == "ready")
        assert chat.told == ""
        await chat.pilot.press("ctrl+c")
        await chat.until(lambda: "Ctrl+Q" in chat.told)


async def test_deleting_the_conversation_being_answered_stops_the_reply(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("A")
        await chat.send("q")
        await chat.until(lambda: chat.said[-1][1] == "A")
        chat.find(History).focus()
        await chat.pilot.press("delete")
        await chat.until(chat.model.closed.is_set)
        await chat.until(lambda: chat.status == "ready")
        assert chat.titles == []


async def test_a_question_of_the_start_screen_is_sent(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.pilot.press("shift+tab", "enter")
        await chat.until(lambda: chat.said)
        assert chat.said[0][1] == "你好"
        assert isinstance(chat.app.focused, PromptArea)


async def test_the_demo_model_says_how_to_get_the_large_one(tmp_path):
    async with chatting(tmp_path) as chat:
        text = " ".join(chat.lines())
        assert "demo · fp16" in text
        assert "small demo model" in text
        assert "Ctrl+T chooses another" in text
    async with chatting(tmp_path, options=LoadOptions(model="owner/name", quantization="int4")) as chat:
        text = " ".join(chat.lines())
        assert "owner/name · int4" in text
        assert "demo" not in text


@pytest.mark.long
async def test_a_download_is_asked_for_shown_and_closed(tmp_path):
    model = ScriptedAssistant(available=False)
    model.may_load.clear()
    async with chatting(tmp_path, model, options=LoadOptions(model="owner/name")) as chat:
        await chat.send("q")
        await chat.until(lambda: isinstance(chat.app.screen, Download))
        assert model.loads == 0
        await chat.pilot.press("y")
        await chat.until(lambda: chat.status == "downloading 40%")
        await chat.until(lambda: any("40 B of 100 B" in line for line in chat.lines()))
        model.may_load.set()
        model.say("A", DONE)
        await chat.until(lambda: not isinstance(chat.app.screen, Download))
        await chat.until(lambda: chat.said[-1][1] == "A")


@pytest.mark.long
@pytest.mark.parametrize("keys", [["escape"], ["enter"], ["y", "escape"]])
async def test_a_refused_or_cancelled_download_gives_the_text_back_and_is_asked_again(tmp_path, keys):
    model = ScriptedAssistant(available=False)
    model.may_load.clear()
    async with chatting(tmp_path, model, options=LoadOptions(model="owner/name")) as chat:
        await chat.send("q")
        for attempt in (1, 2):
            await chat.until(lambda: isinstance(chat.app.screen, Download))
            for key in keys:
                await chat.pilot.press(key)
            await chat.until(lambda: "not on this machine" in chat.said[-1][2])
            assert not isinstance(chat.app.screen, Download)
            assert chat.prompt == "q"
            assert chat.store.messages(1)[-1].finish_reason == "error"
            if attempt == 1:
                await chat.pilot.press("enter")


async def test_ctrl_c_copies_a_selection_or_says_how_to_quit(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("**粗体** and more", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.is_done)
        await chat.pilot.press("ctrl+c")
        assert "Ctrl+Q" in chat.told
        conversation = chat.find(Conversation)
        chat.app.screen.selections = {conversation: Selection(Offset(0, 2), Offset(8, 2))}
        await chat.pilot.press("ctrl+c")
        assert chat.app.clipboard == "粗体 and"


async def test_help_begins_where_the_keyboard_is(tmp_path):
    async with chatting(tmp_path) as chat:
        await chat.pilot.press("f1")
        await chat.until(lambda: "Ctrl+J" in "\n".join(chat.lines()))
        await chat.pilot.press("escape")
        assert len(chat.app.screen_stack) == 2


@pytest.mark.long
@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (220, 60)])
async def test_nothing_breaks_at_any_size(tmp_path, size):
    async with chatting(tmp_path, size=size) as chat:
        chat.model.say("# 标题\n\n| a | b |\n|-|-|\n| 很长的内容很长的内容 | 2 |\n\n```py\nx = 1\n```\n", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.is_done)
        for other in ((20, 5), (150, 50), size):
            await chat.pilot.resize_terminal(*other)
            await chat.pilot.pause()
        await chat.pilot.press("ctrl+b")
        await chat.pilot.pause()
        await chat.pilot.press("f1")
        await chat.pilot.pause()
        assert len(chat.lines()) == size[1]


async def test_a_long_conversation_is_rendered_only_where_it_is_seen(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        conversation = store.create("long")
        for number in range(300):
            store.append(conversation.id, "user", f"question {number}")
            store.append(conversation.id, "assistant", f"answer **{number}**\n\n- a\n- b", finish_reason="stop")
    async with chatting(tmp_path) as chat:
        entries = chat.find(Conversation).entries
        assert len(entries) == 600
        assert any("answer 299" in line for line in chat.lines())
        chat.find(Conversation).focus()
        await chat.pilot.press("home")
        await chat.until(lambda: any("question 0" in line for line in chat.lines()))


async def test_reading_above_is_not_disturbed_by_what_is_written_below(tmp_path):
    async with chatting(tmp_path, size=(80, 20)) as chat:
        chat.model.say("\n\n".join(f"line {number}" for number in range(60)))
        await chat.send("q")
        await chat.until(lambda: any("line 59" in line for line in chat.lines()))
        chat.find(Conversation).scroll_home(animate=False)
        await chat.until(lambda: any("line 0" in line for line in chat.lines()))
        chat.model.say("\n\nmore", "\n\nand more", DONE)
        await chat.until(lambda: chat.is_done)
        assert chat.find(Conversation).scroll_offset.y == 0


async def test_the_page_keys_scroll_the_conversation_from_the_prompt(tmp_path):
    async with chatting(tmp_path, size=(80, 20)) as chat:
        chat.model.say("\n\n".join(f"line {number}" for number in range(60)), DONE)
        await chat.send("q")
        await chat.until(lambda: any("line 59" in line for line in chat.lines()))
        await chat.pilot.press("pageup")
        await chat.until(lambda: not any("line 59" in line for line in chat.lines()))
        await chat.pilot.press("pagedown")
        await chat.until(lambda: any("line 59" in line for line in chat.lines()))
        assert isinstance(chat.app.focused, PromptArea)


async def test_strange_text_is_shown_and_never_steers_the_terminal(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("[bold]x[/] \x1b[31mred\x07 👨‍👩‍👧 שלום \u202eabc\u200b", DONE)
        await chat.send("[/nope] [link=x]")
        await chat.until(lambda: chat.is_done)
        text = "\n".join(chat.lines())
        assert "[/nope] [link=x]" in text
        assert "[bold]x[/] ␛[31mred␇" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


async def test_quitting_in_mid_reply_keeps_what_was_written_and_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    async with chatting(tmp_path) as chat:
        chat.model.say("part")
        await chat.send("q")
        await chat.until(lambda: chat.said[1][1] == "part")
        await chat.pilot.press("ctrl+q")
        await chat.until(lambda: not chat.app.is_running)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name in ("run_reply", "load")]
    async with chatting(tmp_path) as chat:
        assert chat.said[1] == ("assistant", "part", "■ stopped")


async def test_a_reply_at_the_length_limit_says_so(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.model.say("long", Piece("", "length"))
        await chat.send("q")
        await chat.until(lambda: chat.said[1][2] == "■ stopped at the length limit")


async def test_no_colour_is_no_colour(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with chatting(tmp_path) as chat:
        chat.model.say("`code` [link](http://x)", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.is_done)
        strips = chat.app.screen._compositor.render_strips(chat.app.size)
        colours = [
            colour.triplet
            for strip in strips
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour and colour.triplet
        ]
        assert all(triplet.red == triplet.green == triplet.blue for triplet in colours)


async def test_stop_is_offered_only_while_there_is_something_to_stop(tmp_path):
    def offered(chat: Chat) -> bool:
        return any("Esc Stop" in line for line in chat.lines())

    async with chatting(tmp_path, size=(120, 30)) as chat:
        chat.model.say("A", DONE, "part")
        await chat.send("a")
        await chat.until(lambda: chat.is_done)
        await chat.send("q")
        chat.find(Conversation).focus()
        await chat.until(lambda: offered(chat))
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.is_done and not offered(chat))
        await chat.pilot.press("escape")
        assert isinstance(chat.app.focused, PromptArea)


async def test_the_chat_that_was_used_last_is_opened_not_the_one_that_is_pinned(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        pinned, last = store.create("pinned"), store.create("last")
        store.append(pinned.id, "user", "p")
        store.append(last.id, "user", "l")
        store.pin(pinned.id, True)
    async with chatting(tmp_path) as chat:
        assert chat.said[0][1] == "l"
