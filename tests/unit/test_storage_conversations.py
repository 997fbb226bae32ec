"""Conversations are kept, in order, and come back as they were."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore, Draft, title_of


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        yield store


def said(store: ConversationStore, conversation_id: int) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in store.messages(conversation_id)]


def test_messages_come_back_in_order_after_a_reopening(tmp_path):
    path = tmp_path / "history.db"
    with ConversationStore.open(path) as store:
        conversation = store.create("问候")
        store.append(conversation.id, "user", "你好")
        store.append(conversation.id, "assistant", "你好！", finish_reason="stop")
    with ConversationStore.open(path) as store:
        assert [each.title for each in store.conversations()] == ["问候"]
        assert said(store, conversation.id) == [("user", "你好"), ("assistant", "你好！")]


def test_each_message_hangs_below_the_one_before(store):
    conversation = store.create("t")
    messages = [store.append(conversation.id, "user", text) for text in "abc"]
    assert [message.parent_id for message in messages] == [None, messages[0].id, messages[1].id]
    assert store.conversations()[0].head_id == messages[-1].id


def test_only_the_path_to_the_head_is_shown(store):
    conversation = store.create("t")
    first, second = (store.append(conversation.id, "user", text) for text in "ab")
    with sqlite3.connect(store.path) as db:
        db.execute("update conversations set head_id = ?", (first.id,))
    db.close()
    sibling = store.append(conversation.id, "user", "c")
    assert said(store, conversation.id) == [("user", "a"), ("user", "c")]
    assert sibling.parent_id == second.parent_id == first.id


def test_looking_at_an_empty_history_leaves_no_trace(store):
    assert store.conversations() == []
    assert store.messages(1) == []
    assert not store.path.parent.exists()


def test_the_first_write_makes_a_folder_and_a_file_that_only_the_user_can_read(store):
    store.create("t")
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.path.parent.iterdir()} == {0o600}


def test_the_conversation_touched_last_comes_first(store):
    old, new = store.create("old"), store.create("new")
    assert [each.id for each in store.conversations()] == [new.id, old.id]
    store.append(old.id, "user", "again")
    assert [each.id for each in store.conversations()] == [old.id, new.id]


def test_a_growing_reply_is_replaced_and_ends_with_its_reason(store):
    conversation = store.create("t")
    reply = store.append(conversation.id, "assistant", "")
    assert store.update(reply.id, "半")
    assert store.messages(conversation.id)[0].finish_reason is None
    assert store.update(reply.id, "半句", finish_reason="cancelled")
    kept = store.messages(conversation.id)[0]
    assert (kept.content, kept.finish_reason) == ("半句", "cancelled")


def test_a_deleted_conversation_takes_its_messages_along(store):
    conversation = store.create("t")
    reply = store.append(conversation.id, "assistant", "x")
    store.delete(conversation.id)
    store.delete(conversation.id)
    assert store.conversations() == []
    assert not store.update(reply.id, "y")
    db = sqlite3.connect(store.path)
    assert db.execute("select count(*) from messages").fetchone() == (0,)
    db.close()


def test_a_renamed_conversation_keeps_its_messages(store):
    conversation = store.create("old")
    store.append(conversation.id, "user", "x")
    store.rename(conversation.id, "新")
    assert store.conversations()[0].title == "新"
    assert said(store, conversation.id) == [("user", "x")]


@pytest.mark.parametrize("act", [lambda s: s.append(7, "user", "x"), lambda s: s.rename(7, "x")])
def test_a_conversation_that_is_gone_is_an_error(store, act):
    with pytest.raises(StorageError, match="has no conversation 7"):
        act(store)


@pytest.mark.parametrize("text", ["a\0b", "\r\n\t", "👨‍👩‍👧 שלום", "x" * 1_000_000, "'; drop table messages; --"])
def test_any_text_comes_back_unchanged(store, text):
    conversation = store.create(text)
    store.append(conversation.id, "user", text)
    assert said(store, conversation.id) == [("user", text)]
    assert store.conversations()[0].title == text


def test_a_lone_surrogate_becomes_a_replacement_character(store):
    conversation = store.create("t")
    assert store.append(conversation.id, "user", "a\ud800b").content == "a\ufffdb"


def test_threads_share_one_store(store):
    conversation = store.create("t")

    def write(name: int) -> None:
        for number in range(50):
            store.append(conversation.id, "user", f"{name}-{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [message.content for message in store.messages(conversation.id)]
    assert sorted(texts) == sorted(f"{name}-{number}" for name in range(8) for number in range(50))
    for name in range(8):
        assert [text for text in texts if text.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(50)]


def add_thousands(store: ConversationStore, conversation_id: int) -> None:
    with store._database.transaction() as db:  # 5,000 appends one by one would take seconds
        db.executemany(
            "insert into messages (conversation_id, parent_id, role, content, created_at) values (?, ?, 'user', ?, 0)",
            ((conversation_id, number or None, str(number)) for number in range(5000)),
        )
        db.execute("update conversations set head_id = 5000")


def test_a_history_of_thousands_opens_at_once(store):
    conversation = store.create("t")
    add_thousands(store, conversation.id)
    assert [int(message.content) for message in store.messages(conversation.id)] == list(range(5000))


@pytest.mark.parametrize("remove", [ConversationStore.delete, ConversationStore.clear])
def test_a_conversation_of_thousands_can_be_removed(store, remove):
    conversation = store.create("t")
    add_thousands(store, conversation.id)
    remove(store, conversation.id)
    assert store.messages(conversation.id) == []


def test_a_conversation_begins_with_its_first_messages(store):
    conversation = store.create("t", [Draft("user", "a"), Draft("assistant", "b", "stop")])
    assert said(store, conversation.id) == [("user", "a"), ("assistant", "b")]
    assert conversation.head_id == store.messages(conversation.id)[-1].id


def test_several_messages_are_added_below_one_another_or_not_at_all(store):
    conversation = store.create("t", [Draft("user", "a")])
    added = store.extend(conversation.id, [Draft("user", "b"), Draft("user", "c")])
    assert added[1].parent_id == added[0].id
    with pytest.raises(StorageError):
        store.extend(conversation.id, [Draft("user", "d"), Draft("poet", "e")])  # type: ignore[arg-type]
    assert said(store, conversation.id) == [("user", "a"), ("user", "b"), ("user", "c")]


def test_adding_nothing_changes_nothing(store):
    conversation = store.create("t")
    assert store.extend(conversation.id, []) == []
    assert store.conversations() == [conversation]


def test_a_message_without_text_of_its_own_is_kept_and_not_shown(store):
    conversation = store.create("t", [Draft("user", "a"), Draft("assistant", "", "stop", "a tool's call")])
    store.append(conversation.id, "assistant", "b")
    assert said(store, conversation.id) == [("user", "a"), ("assistant", "b")]
    assert [message.original for message in store.all_messages(conversation.id)] == [None, "a tool's call", None]


def test_what_was_replaced_has_no_original_any_more(store):
    conversation = store.create("t", [Draft("assistant", "a", "stop", "all of a")])
    store.update(store.messages(conversation.id)[0].id, "b")
    assert [(message.content, message.original) for message in store.messages(conversation.id)] == [("b", None)]


def test_a_cleared_conversation_can_be_continued(store):
    conversation = store.create("t", [Draft("user", "a")])
    kept = store.create("kept", [Draft("user", "b")])
    store.clear(conversation.id)
    store.clear(99)
    store.append(conversation.id, "user", "c")
    assert said(store, conversation.id) == [("user", "c")]
    assert said(store, kept.id) == [("user", "b")]
    assert {each.title for each in store.conversations()} == {"t", "kept"}


@pytest.mark.parametrize(
    ("prompt", "title"), [(" 你好\n吗 ", "你好 吗"), ("x" * 60, "x" * 60), ("x" * 61, "x" * 59 + "…"), (" \n", "")]
)
def test_a_title_is_one_short_line(prompt, title):
    assert title_of(prompt) == title
