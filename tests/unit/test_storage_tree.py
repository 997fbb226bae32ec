"""A conversation is a tree: questions and answers have variants, and one path is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore, Draft, Figures, Source

CSV = Attachment("a.csv", "x,y\n1,2", Path("/data/a.csv"), "text/csv")
NOTE = Attachment("note", "hello")
SOURCE = Source(1, "p", "/notes/a.md", "words")


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def shown(store: ConversationStore, conversation_id: int) -> list[str]:
    return [each.content for each in store.messages(conversation_id)]


def answered(store: ConversationStore, conversation_id: int | None, parent_id: int | None, prompt: str, answer: str):
    question, reply = store.begin(conversation_id, parent_id, prompt)
    store.update(reply.id, answer, finish_reason="stop")
    return question, reply


def test_a_first_prompt_begins_a_conversation_with_all_that_goes_with_it(store):
    store.set_draft(None, "你好\n吗")
    settings = ChatSettings("Be brief.", {"top_p": 0.5, "stop": ["a"]}, "notes")
    question, answer = store.begin(None, None, "你好\n吗", attachments=[CSV, NOTE], settings=settings)
    [conversation] = store.conversations()
    assert (conversation.title, conversation.head_id) == ("你好 吗", answer.id)
    assert (question.role, question.content, question.parent_id) == ("user", "你好\n吗", None)
    assert (answer.role, answer.content, answer.parent_id) == ("assistant", "", question.id)
    assert answer.finish_reason is None
    assert store.attachments(question.id) == [CSV, NOTE]
    assert store.chat_settings(conversation.id) == settings
    assert store.draft(None) == ""
    assert store.messages(conversation.id) == [question, answer]


def test_a_title_can_be_given(store):
    question, _ = store.begin(None, None, "hello", title="题")
    assert store.conversation(question.conversation_id).title == "题"


def test_files_without_a_word_give_their_names_as_title(store):
    question, _ = store.begin(None, None, " ", attachments=[CSV, NOTE])
    assert store.conversation(question.conversation_id).title == "a.csv note"


def test_a_prompt_follows_its_parent_and_takes_its_draft_away_but_no_other(store):
    first, answer = answered(store, None, None, "a", "b")
    chat = first.conversation_id
    store.set_draft(chat, "c")
    store.set_draft(None, "another")
    store.set_chat_settings(chat, ChatSettings("kept"))
    answered(store, chat, answer.id, "c", "d")
    assert shown(store, chat) == ["a", "b", "c", "d"]
    assert (store.draft(chat), store.draft(None)) == ("", "another")
    assert store.chat_settings(chat) == ChatSettings("kept")
    store.begin(chat, None, "e", settings=ChatSettings("new"))
    assert store.chat_settings(chat) == ChatSettings("new")


def test_a_parent_of_another_conversation_is_an_error_and_nothing_is_kept(store):
    _, elsewhere = answered(store, None, None, "a", "b")
    chat = store.create("t")
    with pytest.raises(StorageError, match=f"has no message {elsewhere.id}"):
        store.begin(chat.id, elsewhere.id, "lost?")
    assert store.messages(chat.id) == []
    assert store.prompts() == ["a"]


def test_variants_are_counted_and_shown_and_the_branch_left_last_comes_back(store):
    question, first = answered(store, None, None, "q", "answer 1")
    chat = question.conversation_id
    answered(store, chat, first.id, "more", "much more")
    second = store.begin_answer(question.id)
    store.update(second.id, "answer 2", finish_reason="stop")
    assert shown(store, chat) == ["q", "answer 2"]
    assert store.variants(first.id) == store.variants(second.id)
    assert [each.content for each in store.variants(first.id)] == ["answer 1", "answer 2"]
    assert store.variant_counts(chat) == {second.id: (2, 2)}
    store.show_variant(first.id)
    assert shown(store, chat) == ["q", "answer 1", "more", "much more"]
    assert store.variant_counts(chat) == {first.id: (1, 2)}
    store.show_variant(second.id)
    assert shown(store, chat) == ["q", "answer 2"]


def test_an_edited_question_is_a_variant_of_the_question(store):
    first, answer = answered(store, None, None, "first", "one")
    chat = first.conversation_id
    second, _ = answered(store, chat, answer.id, "second", "two")
    edited, _ = answered(store, chat, second.parent_id, "second, edited", "three")
    other_start, _ = answered(store, chat, None, "another start", "four")
    assert shown(store, chat) == ["another start", "four"]
    assert store.variant_counts(chat) == {other_start.id: (2, 2)}
    store.show_variant(first.id)
    assert shown(store, chat) == ["first", "one", "second, edited", "three"]
    assert store.variant_counts(chat) == {first.id: (1, 2), edited.id: (2, 2)}
    store.show_variant(second.id)
    store.show_variant(other_start.id)
    store.show_variant(first.id)
    assert shown(store, chat) == ["first", "one", "second", "two"]


def test_a_message_deep_in_a_hidden_branch_is_shown_with_its_whole_path(store):
    question, _ = answered(store, None, None, "q", "a1")
    chat = question.conversation_id
    hidden = store.begin_answer(question.id)
    _, deep = answered(store, chat, hidden.id, "deep?", "deep")
    store.show_variant(question.id)
    store.begin_answer(question.id)
    store.show_variant(deep.id)
    assert shown(store, chat) == ["q", "", "deep?", "deep"]
    store.show_variant(question.id)
    assert shown(store, chat) == ["q", "", "deep?", "deep"]


def test_going_on_in_a_branch_that_is_not_shown_makes_it_the_one_shown_last(store):
    question, first = answered(store, None, None, "q", "a1")
    chat = question.conversation_id
    store.begin_answer(question.id)
    answered(store, chat, first.id, "on", "and on")
    assert shown(store, chat) == ["q", "a1", "on", "and on"]
    store.show_variant(question.id)
    assert shown(store, chat) == ["q", "a1", "on", "and on"]


def test_a_branch_that_was_never_shown_ends_at_its_newest_message(store):
    chat = store.create("t", [Draft("user", "q"), Draft("assistant", "a", "stop")])
    store.append(chat.id, "user", "b")
    with store._database.transaction() as db:  # as an older program left it
        db.execute("update messages set shown_child_id = null")
        db.execute("update conversations set head_id = 1")
    store.show_variant(1)
    assert shown(store, chat.id) == ["q", "a", "b"]


def test_a_message_without_variants_is_its_only_one(store):
    question, answer = store.begin(None, None, "q")
    assert store.variants(answer.id) == [answer]
    assert store.variant_counts(question.conversation_id) == {}
    assert store.variants(99) == []


@pytest.mark.parametrize("act", ["show_variant", "begin_answer", "fork"])
def test_a_message_that_is_gone_is_an_error(store, act):
    store.create("t")
    with pytest.raises(StorageError, match="has no message 9"):
        getattr(store, act)(9)


def test_a_fork_is_a_copy_of_the_path_with_all_that_belongs_to_it(store):
    question, first = store.begin(None, None, "q", attachments=[CSV], settings=ChatSettings("brief"))
    chat = question.conversation_id
    figures = Figures(output_tokens=3, tokens_per_s=21.5, first_token_s=0.4, prompt_tokens=7, limit=2048)
    store.update(first.id, "a [1]", finish_reason="length", figures=figures)
    store.add_sources(first.id, [SOURCE])
    answered(store, chat, first.id, "not copied", "x")
    store.begin_answer(question.id)
    store.move(chat, "旅行")
    before = store.whole(chat)
    forked = store.fork(first.id)
    assert (forked.title, forked.folder, forked.is_pinned) == ("q", "旅行", False)
    assert forked.uid != before.uid
    copy_q, copy_a = store.messages(forked.id)
    assert (copy_q.content, copy_a.content, copy_a.finish_reason, copy_a.figures) == ("q", "a [1]", "length", figures)
    assert copy_q.created_at == question.created_at
    assert store.attachments_of_path(forked.id) == {copy_q.id: [CSV]}
    assert store.sources_of_path(forked.id) == {copy_a.id: [SOURCE]}
    assert store.chat_settings(forked.id) == ChatSettings("brief")
    assert store.whole(chat) == before
    assert {hit.conversation.id for hit in store.search("q")} == {chat, forked.id}


def test_a_fork_may_have_a_title_and_ends_an_answer_that_still_grows(store):
    question, answer = store.begin(None, None, "q")
    store.update(answer.id, "half")
    forked = store.fork(answer.id, "题")
    assert forked.title == "题"
    assert [(each.content, each.finish_reason) for each in store.messages(forked.id)] == [
        ("q", None),
        ("half", "interrupted"),
    ]
    assert store.is_being_written(answer.id)
    assert store.conversations()[0] == forked
    assert question.conversation_id != forked.id


def test_attachments_and_sources_of_the_shown_path_come_by_message(store):
    question, answer = store.begin(None, None, "q", attachments=[CSV, NOTE])
    chat = question.conversation_id
    store.add_sources(answer.id, [SOURCE])
    other, _ = store.begin(chat, None, "hidden later", attachments=[NOTE])
    assert store.attachments_of_path(chat) == {other.id: [NOTE]}
    assert store.sources_of_path(chat) == {}
    store.show_variant(question.id)
    assert store.attachments_of_path(chat) == {question.id: [CSV, NOTE]}
    assert store.sources_of_path(chat) == {answer.id: [SOURCE]}
    store.delete(chat)
    assert store.attachments(question.id) == []


def test_an_attachment_of_any_text_and_path_is_kept(store):
    odd = Attachment("a\ud800", "x" * 1_000_000 + "\0\ud800", Path("/x/\udcff"), "")
    question, _ = store.begin(None, None, "q", attachments=[odd])
    [kept] = store.attachments(question.id)
    assert kept == Attachment("a�", "x" * 1_000_000 + "\0�", Path("/x/�"), "")
