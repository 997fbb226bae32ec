"""What can be done with what was said: again, otherwise, in a copy, with files, in two windows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from scripted_assistant import DONE, ScriptedAssistant
from test_tui_chat import Chat, asked, chatting
from textual.widget import Widget

from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.assistant import ContextUse, Piece
from chatglm_slim_llm.storage import Attachment, ConversationStore, Source
from tui import drafts
from tui.drafts import Typed
from tui.language import use
from tui.messages import ConversationChosen, MessageAsked
from tui.screens.chat_settings import ChatSettingsScreen
from tui.screens.first_start import FirstStart
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.passage import PassageScreen
from tui.settings import Settings
from tui.telling import complain
from tui.widgets.conversation import Conversation
from tui.widgets.history import History
from tui.widgets.prompt import PromptBox
from tui.widgets.prompt_hint import HintLine


async def say(chat: Chat, question: str, answer: str) -> None:
    chat.model.say(answer, DONE)
    await chat.send(question)
    await chat.until(lambda: chat.is_done and chat.said[-1][1] == answer)


def texts(chat: Chat) -> list[str]:
    return [text for _, text, _ in chat.said]


@pytest.mark.long
async def test_an_answer_is_made_again_and_the_first_one_is_a_key_away(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "q", "one")
        chat.model.say("two", DONE)
        await chat.pilot.press("ctrl+r")
        await chat.until(lambda: texts(chat) == ["q", "two"] and chat.is_done)
        assert asked(chat.model) == [[("human", "q")], [("human", "q")]]
        await chat.pilot.press("ctrl+up", "left")
        await chat.until(lambda: texts(chat) == ["q", "one"])
        await chat.pilot.press("right")
        await chat.until(lambda: texts(chat) == ["q", "two"])
    async with chatting(tmp_path) as chat:
        assert texts(chat) == ["q", "two"]
        assert chat.find(Conversation).entries[1].variant == (2, 2)


async def test_a_question_is_edited_and_its_old_branch_stays(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await say(chat, "b", "B")
        await chat.send("/edit")
        await chat.until(lambda: chat.prompt == "b")
        await chat.type("!")
        chat.model.say("B!", DONE)
        await chat.pilot.press("enter")
        await chat.until(lambda: texts(chat) == ["a", "A", "b!", "B!"] and chat.is_done)
        assert asked(chat.model)[-1] == [("human", "a"), ("ai", "A"), ("human", "b!")]
        await chat.pilot.press("ctrl+up")
        for key in ("[", "["):
            await chat.pilot.press(key)
        await chat.until(lambda: chat.find(Conversation).cursor_id == 5)
        await chat.pilot.press("left")
        await chat.until(lambda: texts(chat) == ["a", "A", "b", "B"])


async def test_escape_leaves_an_edited_question_as_it_was(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type("half a thought")
        await chat.pilot.pause(0.5)
        chat.find(Conversation).focus()
        await chat.pilot.press("e")
        await chat.until(lambda: chat.prompt == "a")
        await chat.pilot.press("x", "escape")
        await chat.until(lambda: chat.prompt == "half a thought")
        assert texts(chat) == ["a", "A"]


async def test_what_was_being_typed_comes_back_when_an_edited_question_is_sent(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type("half a thought")
        chat.find(Conversation).focus()
        await chat.pilot.press("e")
        await chat.until(lambda: chat.prompt == "a")
        chat.model.say("A!", DONE)
        await chat.pilot.press("!", "enter")
        await chat.until(lambda: texts(chat) == ["a!", "A!"] and chat.is_done)
        await chat.until(lambda: chat.prompt == "half a thought")
        here = chat.store.conversations()[0].id
        await chat.until(lambda: chat.store.draft(here) == "half a thought")


async def test_a_question_that_is_being_edited_is_kept_with_what_was_typed_before(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type("half a thought")
        chat.find(Conversation).focus()
        await chat.pilot.press("e")
        await chat.until(lambda: chat.prompt == "a")
        await chat.type(" better")
        await chat.pilot.press("ctrl+n")
    async with chatting(tmp_path) as chat:
        assert chat.prompt == "half a thought\n\na better"
        assert texts(chat) == ["a", "A"]


@pytest.mark.parametrize(("size", "language"), [((80, 24), "en"), ((100, 30), "zh"), ((40, 16), "en")])
async def test_the_way_out_of_an_edited_question_is_seen(tmp_path: Path, size: tuple[int, int], language: str) -> None:
    async with chatting(tmp_path, size=size) as chat:
        await say(chat, "a", "A")
        chat.model.use = ContextUse(12_345, 32_768, 0, 1_234)
        use(language)
        try:
            await chat.send("/edit")
            await chat.until(lambda: chat.prompt == "a")
            await chat.until(lambda: "1,234" in chat.find(HintLine).count)
            wanted = "Esc gives up" if language == "en" else "Esc 放弃修改"
            await chat.until(lambda: any(wanted in line for line in chat.lines()))
        finally:
            use("en")


async def test_a_fork_goes_on_in_a_copy(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.send("/fork")
        await chat.until(lambda: len(chat.titles) == 2)
        await say(chat, "b", "B")
        assert texts(chat) == ["a", "A", "b", "B"]
        first = min(chat.store.conversations(), key=lambda conversation: conversation.id)
        assert [message.content for message in chat.store.messages(first.id)] == ["a", "A"]


async def test_a_draft_typed_while_another_program_writes_is_kept_once_that_is_done(tmp_path):
    async with chatting(tmp_path) as chat:
        chat.store.set_draft(None, "before")
        with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as another:
            another.execute("begin immediate")
            await chat.type("typed meanwhile")
            await chat.pilot.pause(0.6)
            assert chat.prompt.endswith("typed meanwhile")
            another.execute("rollback")
        await chat.until(lambda: chat.store.draft(None).endswith("typed meanwhile"))


@pytest.mark.long
async def test_what_is_typed_stays_until_one_quits_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(widget: Widget, reason: str, title: str) -> None:
        told.append(title)
        complain(widget, reason, title)

    told: list[str] = []
    monkeypatch.setattr(drafts, "complain", note)
    monkeypatch.setattr(drafts, "_PATIENCE_S", 600)
    long = "很长的问题。" * 1000
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        pages = chat.store._database._connected()
        pages.execute("pragma max_page_count = 1")  # no page more than there are: SQLite says that the disk is full
        await chat.pilot.press("ctrl+n")
        await chat.type(long)
        assert not chat.told
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: chat.prompt == long)
        assert "What you type is not saved" in chat.told
        chat.app.screen.post_message(ConversationChosen(chat.store.conversations()[0].id))
        await chat.until(lambda: texts(chat) == ["a", "A"])
        assert chat.prompt == ""
        await chat.type("another")
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: chat.prompt == long)
        assert told == ["What you type is not saved; it stays until you quit"]
        assert chat.store.draft(None) == ""
        pages.execute("pragma max_page_count = 1000000")
        await chat.until(lambda: chat.store.draft(None) == long)  # it is tried again
        chat.model.say("B", DONE)
        await chat.pilot.press("enter")
        await chat.until(lambda: chat.is_done and texts(chat) == [long.strip(), "B"])
        await chat.pilot.press("ctrl+n")
        assert chat.prompt == ""


async def test_a_question_that_is_edited_where_the_disk_is_full_gives_back_what_was_typed(tmp_path: Path) -> None:
    long = "很长的问题。" * 1000
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        chat.store._database._connected().execute("pragma max_page_count = 1")
        await chat.type(long)
        chat.find(Conversation).focus()
        await chat.pilot.press("e")
        await chat.until(lambda: chat.prompt == "a")
        await chat.pilot.press("!", "escape")
        await chat.until(lambda: chat.prompt == long)


async def test_a_draft_waits_in_its_own_chat_and_outlives_the_program(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type("for later")
        await chat.pilot.press("ctrl+n")
        assert chat.prompt == ""
        await chat.type("new one")
        await chat.pilot.press("ctrl+q")
        await chat.until(lambda: not chat.app.is_running)
    async with chatting(tmp_path) as chat:
        assert chat.prompt == "for later"
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: chat.prompt == "new one")


@pytest.mark.parametrize("leaves", [False, True])
async def test_what_is_typed_in_a_chat_that_another_window_deletes_goes_on_in_a_new_one(
    tmp_path: Path, leaves: bool
) -> None:
    async with chatting(tmp_path) as chat:
        chat.store.set_draft(None, "for a new one")
        await say(chat, "a", "A")
        chat.store.set_draft(None, "for a new one")
        await chat.type("half a thought")
        with ConversationStore.open(tmp_path / "history.db") as other:
            other.trash(1)
            other.delete(1)
        if leaves:
            await chat.pilot.press("ctrl+n")
        else:
            await chat.type(" and the rest of it")
        whole = "for a new one\n\nhalf a thought" + ("" if leaves else " and the rest of it")
        await chat.until(lambda: texts(chat) == [] and chat.prompt == whole)
        assert "what you were typing in it is in a new one" in chat.told
        assert "not saved" not in chat.told
        await chat.until(lambda: chat.store.draft(None) == whole)
        await say(chat, " b", "B")
        assert texts(chat) == [whole + " b", "B"]


async def test_a_chat_that_another_window_deletes_is_left_and_that_is_told(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        with ConversationStore.open(tmp_path / "history.db") as other:
            other.delete(1)
        await chat.until(lambda: texts(chat) == [])
        assert chat.told.count("The chat was deleted.") == 1
        await say(chat, "b", "B")
        assert texts(chat) == ["b", "B"]


@pytest.mark.parametrize("size", [(40, 10), (40, 6), (20, 6)])
async def test_the_way_out_of_a_change_is_shown_in_low_terminals(tmp_path: Path, size: tuple[int, int]) -> None:
    async with chatting(tmp_path, size=size) as chat:
        await say(chat, "a", "A")
        await chat.send("/edit")
        await chat.until(lambda: any(line.lstrip().startswith("Esc gives") for line in chat.lines()))
        assert any(line.strip() == "a" for line in chat.lines()[-4:])
        await chat.pilot.press("escape")
        await chat.until(lambda: not any("Esc gives" in line for line in chat.lines()))


async def test_a_slash_leaves_the_prompt_in_sight_in_the_lowest_terminal(tmp_path: Path) -> None:
    async with chatting(tmp_path, size=(20, 5)) as chat:
        await say(chat, "a", "A")
        await chat.type("/ne")
        await chat.until(lambda: any(line.strip() == "/ne" for line in chat.lines()))


async def test_another_model_is_not_called_the_demo(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await chat.until(lambda: any("small demo model" in line for line in chat.lines()))
        chat.app._use_model(LoadOptions(model="owner/name"))
        await chat.until(lambda: not any("small demo model" in line for line in chat.lines()))


def attached(chat: Chat) -> list[str]:
    return [each.text for each in chat.find(PromptBox).attachments]


async def test_what_is_attached_and_no_more_goes_on_in_a_new_chat_too(tmp_path: Path) -> None:
    long = "很长的一段。" * 2000
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type(long)
        await chat.until(lambda: [each.text for each in chat.store.draft_attachments(1)] == [long])
        with ConversationStore.open(tmp_path / "history.db") as other:
            other.delete(1)
        await chat.until(lambda: texts(chat) == [] and attached(chat) == [long])
        assert "what you were typing in it is in a new one" in chat.told


@pytest.mark.parametrize("change", ["", " and more"])
async def test_a_question_that_is_edited_in_a_chat_that_is_deleted_goes_on_if_it_was_changed(
    tmp_path: Path, change: str
) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        chat.model.say("endless")
        await chat.send("b")
        await chat.until(lambda: texts(chat)[-1:] == ["endless"])
        await chat.send("/edit")
        await chat.until(lambda: chat.prompt == "b")
        if change:
            await chat.type(change)
        with ConversationStore.open(tmp_path / "history.db") as other:
            other.delete(1)
        await chat.until(lambda: texts(chat) == [] and chat.prompt == ("b and more" if change else ""))
        assert ("is in a new one" if change else "The chat was deleted.") in chat.told
        await chat.until(lambda: chat.status == "ready")
        await say(chat, "c", "C")
        assert texts(chat)[-1] == "C"


async def test_what_is_attached_to_a_question_that_is_edited_is_kept_and_its_own_files_are_not(tmp_path: Path) -> None:
    notes, long = tmp_path / "notes.md", "很长的一段。" * 2000
    notes.write_text("Tea at four.", encoding="utf-8")
    async with chatting(tmp_path) as chat:
        await chat.send(f"/attach {notes}")
        await chat.until(lambda: attached(chat))
        await say(chat, "a", "A")
        await chat.send("/edit")
        await chat.until(lambda: chat.prompt == "a")
        await chat.type(long)
        await chat.type(" and this")
        await chat.pilot.press("ctrl+n")
        chat.app.screen.post_message(ConversationChosen(1))
        await chat.until(lambda: (chat.prompt, attached(chat)) == ("a and this", [long]))


async def test_a_draft_that_cannot_be_read_for_a_moment_stays_and_what_is_typed_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_args: object) -> None:
        raise StorageError("history.db cannot be read")

    files = [Attachment("b.csv", "x,y")]
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.pilot.press("ctrl+n")
        chat.store.set_draft(1, "half a thought", files)
        with monkeypatch.context() as patch:
            patch.setattr(chat.store, "draft", damaged)
            chat.app.screen.post_message(ConversationChosen(1))
            await chat.until(lambda: "cannot be read" in chat.told and texts(chat) == ["a", "A"])
        await chat.pilot.press("ctrl+n")
        assert (chat.store.draft(1), chat.store.draft_attachments(1)) == ("half a thought", files)
        with monkeypatch.context() as patch:
            patch.setattr(chat.store, "draft", damaged)
            chat.app.screen.post_message(ConversationChosen(1))
            await chat.until(lambda: texts(chat) == ["a", "A"])
        await chat.type("the rest")
        await chat.until(lambda: chat.store.draft(1) == "half a thought\n\nthe rest")
        await chat.type(" of it")
        await chat.until(lambda: chat.store.draft(1) == "half a thought\n\nthe rest of it")
        assert chat.store.draft_attachments(1) == files


async def test_what_another_window_takes_away_from_a_draft_is_written_again_where_it_is_still_seen(
    tmp_path: Path,
) -> None:
    long = "很长的一段。" * 2000
    async with chatting(tmp_path) as chat:
        await chat.type(long)
        await chat.until(lambda: [each.text for each in chat.store.draft_attachments(None)] == [long])
        with ConversationStore.open(tmp_path / "history.db") as other:
            other.set_draft(None, "", [])
        await chat.type("more")
        await chat.until(lambda: chat.store.draft(None) == "more")
        assert [each.text for each in chat.store.draft_attachments(None)] == [long]


async def test_a_draft_of_a_deleted_chat_comes_to_the_new_one_that_is_shown(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.pilot.press("ctrl+n")
        await chat.type("new words")
        with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as another:
            another.execute("pragma foreign_keys = on")
            another.execute("begin immediate")
            chat.app._chat.pane._drafts.keep(1, Typed("half a thought"), waits=False)
            another.execute("delete from conversations where id = 1")
            another.execute("commit")
        await chat.until(lambda: chat.prompt == "new words\n\nhalf a thought")
        await chat.type("!")
        await chat.until(lambda: chat.store.draft(None) == "new words\n\nhalf a thought!")


async def test_an_example_that_is_chosen_leaves_what_is_typed(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await chat.type("half a thought")
        await chat.until(lambda: chat.store.draft(None) == "half a thought")
        chat.model.say("A", DONE)
        await chat.pilot.press("shift+tab", "down", "enter")
        await chat.until(lambda: chat.is_done and texts(chat)[1:] == ["A"])
        assert chat.prompt == "half a thought"
        with ConversationStore.open(tmp_path / "history.db") as other:
            assert [other.draft(None), other.draft(1)] == ["", "half a thought"]


async def test_what_is_attached_waits_with_what_is_typed_and_outlives_the_program(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("Tea at four.", encoding="utf-8")
    long = "很长的一段。" * 2000

    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.type(long)
        await chat.type("and a word")
        await chat.pilot.press("ctrl+n")
        assert (chat.prompt, attached(chat)) == ("", [])
        await chat.send(f"/attach {notes}")
        await chat.until(lambda: attached(chat))
        await chat.pilot.press("ctrl+q")
        await chat.until(lambda: not chat.app.is_running)
    async with chatting(tmp_path) as chat:
        assert (chat.prompt, attached(chat)) == ("and a word", [long])
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: (chat.prompt, attached(chat)) == ("", ["Tea at four."]))
        await chat.pilot.press("ctrl+n")
        await chat.until(lambda: (chat.prompt, attached(chat)) == ("", ["Tea at four."]))
        await say(chat, "When?", "At four.")
        assert attached(chat) == []
        await chat.pilot.press("ctrl+n")
        await chat.pilot.pause()
        assert attached(chat) == []
        assert chat.store.draft_attachments(None) == []


async def test_a_file_goes_with_the_question(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("Tea at four.", encoding="utf-8")
    async with chatting(tmp_path) as chat:
        await chat.send(f"/attach {notes}")
        await chat.until(lambda: chat.find(PromptBox).attachments)
        await say(chat, "When?", "At four.")
        assert "Tea at four." in asked(chat.model)[0][0][1]
        assert chat.said[0][1] == "When?"
        assert chat.find(Conversation).entries[0].attachments == ("notes.md",)
        assert chat.find(PromptBox).attachments == ()


async def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await chat.send(f"/attach {tmp_path / 'gone.md'}")
        await chat.until(lambda: "gone.md" in chat.told)
        assert chat.find(PromptBox).attachments == ()


async def test_what_a_reply_rests_on_opens_at_its_number(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        chat.model.say("At four [1].", Piece("", "stop", sources=(Source(1, "p", "notes.md", "Tea at four."),)))
        await chat.send("q")
        await chat.until(lambda: chat.is_done)
        await chat.pilot.press("ctrl+up", "enter")
        await chat.until(lambda: isinstance(chat.app.screen, PassageScreen))
        await chat.until(lambda: any("Tea at four." in line for line in chat.lines()))


async def test_the_context_that_is_filled_is_shown_with_a_warning_before_rounds_are_dropped(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        chat.model.use = ContextUse(1203, 2048, 0, 3)
        await chat.type("abc")
        line = chat.find(HintLine)
        await chat.until(lambda: line.count == "3 tokens · 1,203 / 2,048")
        assert not line.is_warning
        chat.model.use = ContextUse(2000, 2048, 2, 4)
        await chat.type("d")
        await chat.until(lambda: "the oldest 2 rounds no longer fit" in line.count)
        assert line.is_warning


async def test_another_branch_has_a_context_of_its_own(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "short", "A")
        await chat.send("/edit")
        await chat.until(lambda: chat.prompt == "short")
        await chat.type(" and much longer")
        chat.model.say("A", DONE)
        await chat.pilot.press("enter")
        await chat.until(lambda: chat.find(HintLine).count == "22 / 2,048")
        await chat.pilot.press("ctrl+up", "[", "[", "left")
        await chat.until(lambda: texts(chat) == ["short", "A"])
        await chat.until(lambda: chat.find(HintLine).count == "6 / 2,048")


async def test_what_is_found_in_a_branch_that_is_not_shown_opens_there(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "one", "A")
        await say(chat, "图书馆几点开门？", "九点")
        first = chat.find(Conversation).entries[0].message_id
        chat.find(Conversation).post_message(MessageAsked("edit", first))
        await chat.until(lambda: chat.prompt == "one")
        chat.model.say("B", DONE)
        await chat.pilot.press("!", "enter")
        await chat.until(lambda: texts(chat) == ["one!", "B"] and chat.is_done)
        await chat.pilot.press("ctrl+n")
        chat.find(History).focus()
        await chat.pilot.press("/")
        await chat.type("图书")
        await chat.pilot.pause(0.3)
        await chat.pilot.press("enter")
        await chat.until(lambda: texts(chat) == ["one", "A", "图书馆几点开门？", "九点"])
        conversation = chat.find(Conversation)
        assert conversation.cursor_id == conversation.entries[2].message_id
        assert conversation.found == (1, 1)


async def test_while_another_branch_is_answered_a_hit_says_so_and_changes_nothing(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "one", "A")
        await say(chat, "two", "B")
        first, _, second, _ = (entry.message_id for entry in chat.find(Conversation).entries)
        chat.find(Conversation).cursor_id = first
        chat.find(Conversation).post_message(MessageAsked("edit", first))
        await chat.until(lambda: chat.prompt == "one")
        await chat.pilot.press("!", "enter")
        await chat.until(lambda: texts(chat) == ["one!", ""])
        here = chat.store.conversations()[0].id
        chat.app.screen.post_message(ConversationChosen(here, second, "two"))
        await chat.until(lambda: "The answer is still being written" in chat.told)
        assert texts(chat) == ["one!", ""]


@pytest.mark.long
async def test_the_keyboard_goes_back_to_where_it_was_when_the_find_bar_closes(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "a", "A")
        await chat.pilot.press("ctrl+f", "A", "ctrl+f", "escape", "f")
        assert chat.prompt == "f"
        await chat.pilot.press("ctrl+up", "ctrl+f", "escape")
        assert chat.app.focused is chat.find(Conversation)
        chat.find(History).focus()
        await chat.until(lambda: chat.find(History).has_focus_within)
        before = chat.app.focused
        await chat.pilot.press("ctrl+f", "escape")
        assert chat.app.focused is before
        await chat.pilot.press("ctrl+f", "ctrl+b", "escape")
        assert chat.app.focused is not None
        assert chat.app.focused.focusable


async def test_rounds_that_were_not_read_are_told(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        chat.model.say("A", Piece("", "stop", dropped_rounds=3))
        await chat.send("q")
        await chat.until(lambda: "oldest 3 rounds" in chat.told)


@pytest.mark.long
async def test_a_chat_has_settings_of_its_own(tmp_path: Path) -> None:
    settings = Settings(sampling=GenerationOptions(temperature=0.5))
    async with chatting(tmp_path, settings=settings) as chat:
        await chat.send("/system Be brief.")
        await say(chat, "q", "A")
        request = chat.model.asked[0]
        assert request.system == "Be brief."
        assert request.parameters == {"temperature": 0.5}
        await chat.pilot.press("ctrl+s")
        await chat.until(lambda: isinstance(chat.app.screen, ChatSettingsScreen))
        await chat.until(lambda: any("Be brief." in line for line in chat.lines()))
        await chat.pilot.press("escape")
        await chat.pilot.press("ctrl+n")
        await say(chat, "r", "B")
        assert chat.model.asked[1].system == ""


async def test_a_knowledge_base_that_is_not_there_is_told_and_the_list_is_a_key_away(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await chat.send("/kb nope")
        await chat.until(lambda: "“nope”" in chat.told)
        await chat.pilot.press("ctrl+k")
        await chat.until(lambda: isinstance(chat.app.screen, KnowledgeScreen))


async def test_another_window_sees_what_this_one_writes(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "q", "A")
        with ConversationStore.open(tmp_path / "history.db") as other:
            conversation_id = other.conversations()[0].id
            other.append(conversation_id, "user", "from elsewhere")
            other.create("begun elsewhere")
        await chat.until(lambda: texts(chat) == ["q", "A", "from elsewhere"])
        await chat.until(lambda: any("begun elsewhere" in line for line in chat.lines()))


async def test_an_answer_that_a_dead_program_left_is_marked(tmp_path: Path) -> None:
    with ConversationStore.open(tmp_path / "history.db") as store:
        _question, answer = store.begin(None, None, "q")
        store.update(answer.id, "half")
    async with chatting(tmp_path) as chat:
        assert chat.said[1][:2] == ("assistant", "half")
        assert "interrupted" in chat.said[1][2]
        assert chat.store.messages(1)[1].finish_reason == "interrupted"


@pytest.mark.long
async def test_a_newcomer_is_asked_which_model_and_only_once(tmp_path: Path) -> None:
    async with chatting(tmp_path, is_first=True) as chat:
        await chat.until(lambda: isinstance(chat.app.screen, FirstStart))
        assert chat.model.loads == 0
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.status == "ready")
    assert 'model = "demo"' in (tmp_path / "settings.toml").read_text(encoding="utf-8")
    async with chatting(tmp_path, is_first=True) as chat:
        await chat.until(lambda: chat.status == "ready")
        assert not isinstance(chat.app.screen, FirstStart)


async def test_a_newcomers_options_outlast_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_QUANTIZATION", "int4")
    async with chatting(tmp_path, is_first=True) as chat:
        await chat.until(lambda: isinstance(chat.app.screen, FirstStart))
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.status == "ready")
        assert chat.app.loaded.settings.load.quantization == "int4"
    assert (tmp_path / "settings.toml").read_text(encoding="utf-8").splitlines() == ["[load]", 'model = "demo"']


async def test_another_model_takes_the_place_and_the_first_lets_go_of_its_memory(tmp_path: Path) -> None:
    first, second = ScriptedAssistant(), ScriptedAssistant()
    async with chatting(tmp_path, first, then=second) as chat:
        await chat.until(lambda: chat.status == "ready")
        chat.app._use_model(LoadOptions(quantization="int4"))
        await chat.until(lambda: second.loads == 1 and chat.status == "ready")
        assert first.let_go.is_set()
        second.say("from the second", DONE)
        await chat.send("q")
        await chat.until(lambda: chat.said[-1][1] == "from the second")
    assert 'quantization = "int4"' in (tmp_path / "settings.toml").read_text(encoding="utf-8")


@pytest.mark.long
async def test_a_chat_is_written_to_a_file_and_read_back(tmp_path: Path) -> None:
    target = tmp_path / "chat.json"
    async with chatting(tmp_path) as chat:
        await say(chat, "你好", "你好！")
        await chat.send(f"/export {target}")
        await chat.until(lambda: target.exists() and "chat.json" in chat.told)
    async with chatting(tmp_path / "other") as chat:
        await chat.send(f"/import {target}")
        await chat.until(lambda: chat.titles == ["你好"])
        await chat.send(f"/import {tmp_path / 'gone.json'}")
        await chat.until(lambda: "gone.json" in chat.told)


async def test_commands_do_what_the_historys_keys_do(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "q", "A")
        await chat.send("/rename Another title")
        await chat.until(lambda: chat.titles == ["Another title"])
        await chat.send("/pin")
        await chat.until(lambda: chat.store.conversations()[0].is_pinned)
        await chat.send("/delete")
        await chat.until(lambda: chat.titles == [] and chat.said == [])
        chat.find(History).focus()
        await chat.pilot.press("ctrl+z")
        await chat.until(lambda: chat.titles == ["Another title"])


async def test_a_deleted_chat_comes_back_from_the_prompt_once_no_edit_is_left_to_take_back(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        chat.store.set_draft(None, "half a thought")
        await say(chat, "q", "A")
        chat.store.set_draft(None, "half a thought")
        await chat.send("/delete")
        await chat.until(lambda: chat.titles == [] and chat.prompt == "half a thought")
        await chat.type("!")
        await chat.pilot.press("ctrl+z")
        assert (chat.prompt, chat.titles) == ("half a thought", [])
        await chat.pilot.press("ctrl+z")
        await chat.until(lambda: chat.titles == ["q"])
        assert chat.prompt == "half a thought"


async def test_copying_takes_the_answer_the_code_or_all(tmp_path: Path) -> None:
    async with chatting(tmp_path) as chat:
        await say(chat, "q", "Look:\n\n```py\nx = 1\n```")
        await chat.pilot.press("ctrl+y")
        await chat.until(lambda: chat.app.clipboard == "Look:\n\n```py\nx = 1\n```")
        await chat.send("/copycode")
        await chat.until(lambda: chat.app.clipboard.strip() == "x = 1")
        await chat.send("/copyall")
        await chat.until(lambda: "Look:" in chat.app.clipboard and "q" in chat.app.clipboard)
