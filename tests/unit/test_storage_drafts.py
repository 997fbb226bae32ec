"""What was typed is kept, sent or not; settings go with their conversation."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import GoneError, StorageError
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def test_each_conversation_and_the_one_to_come_has_a_draft(store):
    a, b = store.create("a"), store.create("b")
    for owner, text in ((None, "new"), (a.id, "半句"), (b.id, "x\n\ny")):
        store.set_draft(owner, text)
    store.close()
    assert [store.draft(each) for each in (None, a.id, b.id)] == ["new", "半句", "x\n\ny"]
    store.set_draft(None, "newer")
    store.set_draft(a.id, "")
    assert [store.draft(each) for each in (None, a.id, b.id)] == ["newer", "", "x\n\ny"]
    store.delete(b.id)
    assert store.draft(b.id) == ""


def test_what_is_attached_is_kept_with_its_owner_and_goes_with_the_question(store):
    a = store.create("a")
    files = [Attachment("b.csv", "y\ud800", Path("/b.csv"), "text/csv"), Attachment("Pasted text", "long")]
    store.set_draft(a.id, "x", files)
    store.set_draft(None, "", files[1:])
    store.set_draft(a.id, "xy")
    assert store.draft_attachments(a.id) == [replace(files[0], text="y\ufffd"), files[1]]
    assert store.draft_attachments(None) == files[1:]
    store.begin(None, None, "q")
    assert store.draft_attachments(None) == []
    store.set_draft(a.id, "xy", files[1:])
    assert store.draft_attachments(a.id) == files[1:]
    store.delete(a.id)
    assert store.draft_attachments(a.id) == []
    with pytest.raises(GoneError):
        store.set_draft(a.id, "", files)


def test_a_draft_that_has_not_changed_writes_nothing(store):
    store.set_draft(None, "x")
    before = store.revision()
    store.set_draft(None, "x")
    assert store.revision() == before


def test_who_must_not_wait_is_told_that_someone_else_writes(store, tmp_path):
    store.set_draft(None, "before")
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as another:
        another.execute("begin immediate")
        started = time.monotonic()
        with pytest.raises(StorageError, match="held by another program"):
            store.set_draft(None, "typed", waits=False)
        store.set_draft(None, "before", waits=False)
        assert time.monotonic() - started < 2  # else it would have waited for five seconds
        another.execute("rollback")
    store.set_draft(None, "typed", waits=False)
    assert store.draft(None) == "typed"


def test_who_must_not_wait_is_told_that_another_thread_writes(store):
    with store._database.transaction():
        thread = threading.Thread(target=lambda: told.append(attempt(store)))
        told = []
        thread.start()
        thread.join()
    assert told == ["try again"]


def attempt(store: ConversationStore) -> str:
    try:
        store.set_draft(None, "typed", waits=False)
    except StorageError as error:
        return str(error).rpartition("; ")[2]
    return ""


def test_a_lone_surrogate_in_a_draft_becomes_a_replacement_character(store):
    store.set_draft(None, "a\ud800")
    assert store.draft(None) == "a\ufffd"


def test_the_last_prompts_come_newest_first_without_equal_neighbours(store):
    chat = store.create("t")
    for text in ("a", "b", "b", "", "c", "b"):
        store.append(chat.id, "user", text)
        store.append(chat.id, "assistant", "no prompt", finish_reason="stop")
    other = store.create("u")
    store.append(other.id, "user", "d")
    assert store.prompts() == ["d", "b", "c", "b", "a"]
    assert store.prompts(limit=2) == ["d", "b"]
    store.trash(other.id)
    assert store.prompts() == ["b", "c", "b", "a"]


def test_many_equal_prompts_in_a_row_hide_none_before_them(store):
    chat = store.create("t")
    store.append(chat.id, "user", "first")
    for _ in range(10):
        store.append(chat.id, "user", "again")
    assert store.prompts(limit=2) == ["again", "first"]


@pytest.mark.parametrize(
    "settings",
    [
        ChatSettings(),
        ChatSettings(knowledge_base="笔记"),
        ChatSettings("系统", {"temperature": 0.5, "top_k": 3, "stop": ["\n", "完"], "name": "x"}, "n"),
    ],
)
def test_settings_come_back_as_they_were(store, settings):
    chat = store.create("t")
    assert store.chat_settings(chat.id) == ChatSettings()
    store.set_chat_settings(chat.id, settings)
    store.close()
    assert store.chat_settings(chat.id) == settings
