"""The conversation on the screen, without a screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore, Figures, Source, ToolUse
from tui.talk import Ending, Talk

ENDED = Ending("stop")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def talk(store: ConversationStore) -> Talk:
    return Talk(store, GenerationOptions)


def answered(talk: Talk, store: ConversationStore, question: str, answer: str) -> int:
    reply = talk.ask(question)
    store.update(reply.message_id, answer, finish_reason="stop")
    talk.finished(ENDED, is_saved=True)
    return reply.message_id


def shown(talk: Talk) -> list[str]:
    return [entry.text for entry in talk.entries()]


def asked(talk: Talk) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in talk.request().turns]


def test_a_question_is_kept_with_its_empty_answer_before_the_model_is_asked(store: ConversationStore, talk: Talk):
    reply = talk.ask("你好")
    assert [(m.role, m.content) for m in store.messages(reply.conversation_id)] == [("user", "你好"), ("assistant", "")]
    assert asked(talk) == [("human", "你好")]
    assert talk.is_replying_here


def test_the_rounds_before_go_along_and_a_round_without_an_answer_does_not(store: ConversationStore, talk: Talk):
    answered(talk, store, "a", "A")
    talk.ask("never answered")
    talk.finished(ENDED, is_saved=True)
    talk.ask("c")
    assert asked(talk) == [("human", "a"), ("ai", "A"), ("human", "c")]


def test_asking_again_makes_a_sibling_of_the_answer(store: ConversationStore, talk: Talk):
    first = answered(talk, store, "a", "one")
    question = talk.last("user")
    assert question is not None
    again = talk.ask_again(question)
    store.update(again.message_id, "two", finish_reason="stop")
    talk.finished(ENDED, is_saved=True)
    assert shown(talk) == ["a", "two"]
    assert [entry.variant for entry in talk.entries()] == [None, (2, 2)]
    assert talk.step_variant(again.message_id, -1)
    assert shown(talk) == ["a", "one"]
    assert not talk.step_variant(first, -1)


def test_an_edited_question_takes_the_place_and_keeps_the_old_branch(store: ConversationStore, talk: Talk):
    answered(talk, store, "a", "A")
    answered(talk, store, "b", "B")
    talk.edited = next(message for message in talk.path.messages if message.content == "a")
    answered(talk, store, "a!", "A!")
    assert shown(talk) == ["a!", "A!"]
    assert talk.edited is None
    assert asked(talk) == [("human", "a!")]
    question = talk.last("user")
    assert question is not None
    assert talk.step_variant(question.id, -1)
    assert shown(talk) == ["a", "A", "b", "B"]


def test_what_is_typed_while_a_question_is_edited_is_counted_without_what_follows_it(
    store: ConversationStore, talk: Talk
):
    answered(talk, store, "a", "A")
    answered(talk, store, "b", "B")
    assert [turn.text for turn in talk.request_with("c").turns] == ["a", "A", "b", "B", "c"]
    talk.edited = talk.last("user")
    assert [turn.text for turn in talk.request_with("c").turns] == ["a", "A", "c"]


def test_a_chats_own_settings_win_over_the_programs_and_come_back(store: ConversationStore):
    talk = Talk(store, lambda: GenerationOptions(temperature=0.5, top_p=0.9))
    talk.set_settings(ChatSettings("Be brief.", {"temperature": 0.0}, "notes"))
    answered(talk, store, "a", "A")
    talk.open(None)
    assert talk.settings == ChatSettings()
    talk.open(store.conversations()[0].id)
    request = talk.request_with("b")
    assert (request.system, request.knowledge_base) == ("Be brief.", "notes")
    assert request.parameters == {"temperature": 0.0, "top_p": 0.9}


def test_a_system_message_that_a_program_stored_is_the_system_prompt(store: ConversationStore, talk: Talk):
    chat = store.create("from LangChain")
    store.append(chat.id, "system", "Answer in verse.")
    store.append(chat.id, "user", "a")
    talk.open(chat.id)
    assert talk.request().system == "Answer in verse."
    assert asked(talk) == [("human", "a")]


def test_files_go_with_their_question_and_are_named_on_the_screen(store: ConversationStore, talk: Talk):
    talk.ask("What is in it?", [Attachment("notes.md", "Tea at four.")])
    assert talk.entries()[0].attachments == ("notes.md",)
    assert talk.entries()[0].text == "What is in it?"
    assert "Tea at four." in talk.request().turns[0].text


def test_what_a_reply_rests_on_and_how_it_was_made_is_shown_with_it(store: ConversationStore, talk: Talk):
    reply = talk.ask("a")
    store.update(reply.message_id, "A [1]", finish_reason="length", figures=Figures(output_tokens=3))
    store.add_sources(reply.message_id, [Source(1, "p", "notes.md", "Tea at four.")])
    talk.finished(ENDED, is_saved=True)
    entry = talk.entries()[1]
    assert (entry.note, entry.figures) == ("■ stopped at the length limit", "3 tokens")
    assert [source.text for source in entry.sources] == ["Tea at four."]


def test_why_a_reply_failed_is_there_the_next_time(store: ConversationStore, talk: Talk):
    reply = talk.ask("a")
    store.update(reply.message_id, "par", finish_reason="error", failure="The process ended.")
    talk.finished(ENDED, is_saved=True)
    entry = talk.entries()[1]
    assert (entry.text, entry.note, entry.is_error) == ("par", "The process ended.", True)


def test_a_reply_goes_on_in_its_own_conversation(store: ConversationStore, talk: Talk):
    reply = talk.ask("a")
    reply.text = "so far"
    talk.open(None)
    assert not talk.is_replying_here
    assert talk.entries() == []
    talk.open(reply.conversation_id)
    assert [(entry.text, entry.growing) for entry in talk.entries()] == [("a", False), ("so far", True)]


def test_a_reply_that_is_not_saved_is_shown_asked_with_and_copied_as_it_ended_until_it_is(talk, store):
    source = Source(1, "p1", "/notes/a.md", "The key is under the mat.")
    reply = talk.ask("q")
    reply.text, reply.uses = "A", {"u": ToolUse("u", "clock", {}, "done", "noon")}
    talk.finished(Ending("length", figures=Figures(output_tokens=5), sources=[source]), is_saved=False)
    shown = talk.entries()[-1]
    assert (shown.text, shown.growing, shown.sources) == ("A", False, (source,))
    assert [use.result for use in shown.uses] == ["noon"]
    assert shown.note
    assert shown.figures
    assert talk.last("assistant").content == "A"
    assert [turn.text for turn in talk.request_with("next").turns] == ["q", "A", "next"]
    talk.saved(reply.message_id)
    assert talk.entries()[-1].text == ""
