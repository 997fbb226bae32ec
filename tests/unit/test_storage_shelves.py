"""Conversations lie on shelves and in folders, and come back from the trash as they were."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ChatSettings, ConversationStore


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def titles(store: ConversationStore, shelf: str = "shown") -> list[str]:
    return [each.title for each in store.conversations(shelf)]


def test_pinned_conversations_come_first_each_in_order_of_the_last_message(store):
    a, b, c, d = (store.create(name) for name in "abcd")
    store.pin(a.id, True)
    store.pin(b.id, True)
    store.append(a.id, "user", "x")
    store.append(c.id, "user", "x")
    assert titles(store) == ["a", "b", "c", "d"]
    assert [each.is_pinned for each in store.conversations()] == [True, True, False, False]
    store.pin(a.id, False)
    assert titles(store) == ["b", "c", "a", "d"]
    assert d.is_pinned is False


@pytest.mark.parametrize(
    "act",
    [
        lambda store, chat: store.rename(chat, "old"),
        lambda store, chat: store.move(chat, "f"),
        lambda store, chat: store.set_chat_settings(chat, ChatSettings("x")),
        lambda store, chat: store.set_draft(chat, "x"),
        lambda store, chat: (store.archive(chat, True), store.archive(chat, False)),
        lambda store, chat: (store.trash(chat), store.restore(chat)),
    ],
)
def test_what_is_no_message_does_not_move_a_conversation_up(store, act):
    old = store.create("old")
    store.create("new")
    act(store, old.id)
    assert titles(store) == ["new", "old"]
    assert store.conversation(old.id).updated_at == old.updated_at


def test_each_conversation_is_on_one_shelf(store):
    shown, archived, trashed, both = (store.create(name) for name in ("shown", "archived", "trashed", "both"))
    store.archive(archived.id, True)
    store.trash(trashed.id)
    store.archive(both.id, True)
    store.trash(both.id)
    assert (titles(store), titles(store, "archived"), titles(store, "trash")) == (
        ["shown"],
        ["archived"],
        ["both", "trashed"],
    )
    assert [store.count(), store.count("archived"), store.count("trash")] == [1, 1, 2]
    store.restore(both.id)
    store.restore(trashed.id)
    store.archive(archived.id, False)
    assert titles(store, "archived") == ["both"]
    assert titles(store) == ["trashed", "archived", "shown"]
    assert store.conversation(shown.id) == shown


def test_an_empty_history_has_no_conversations_on_any_shelf(store):
    assert [store.count(shelf) for shelf in ("shown", "archived", "trash")] == [0, 0, 0]
    assert store.folders() == store.prompts() == store.search("x") == []
    assert store.empty_trash() == store.mark_interrupted() == 0
    assert store.draft(None) == ""
    assert not store.path.exists()


def test_folders_are_those_that_something_outside_the_trash_is_in(store):
    a, b, c = (store.create(name) for name in "abc")
    store.move(a.id, " 旅行 ")
    store.move(b.id, "work")
    store.move(c.id, "work")
    assert store.folders() == ["work", "旅行"]
    assert store.conversation(a.id).folder == "旅行"
    store.trash(a.id)
    store.move(b.id, "")
    assert store.folders() == ["work"]


def test_the_trash_is_emptied_of_what_has_been_there_long(store):
    old, new, kept = (store.create(name) for name in ("old", "new", "kept"))
    store.trash(old.id)
    store.trash(new.id)
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("update conversations set deleted_at = deleted_at - 31 * 86400 where id = ?", (old.id,))
    assert store.empty_trash(older_than_days=30) == 1
    assert titles(store, "trash") == ["new"]
    assert store.empty_trash() == 1
    assert store.empty_trash() == 0
    assert [each.id for each in store.conversations()] == [kept.id]


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.conversation(7),
        lambda store: store.rename(7, "x"),
        lambda store: store.pin(7, True),
        lambda store: store.move(7, "x"),
        lambda store: store.archive(7, True),
        lambda store: store.trash(7),
        lambda store: store.restore(7),
        lambda store: store.chat_settings(7),
        lambda store: store.set_chat_settings(7, ChatSettings()),
        lambda store: store.set_draft(7, "x"),
        lambda store: store.begin(7, None, "x"),
        lambda store: store.whole(7),
    ],
)
def test_a_conversation_that_is_gone_is_an_error(store, act):
    store.create("another")
    with pytest.raises(StorageError, match="has no conversation 7"):
        act(store)


def test_a_conversation_is_found_by_its_uid(store):
    a, b = store.create("a"), store.create("b")
    assert a.uid != b.uid
    assert store.find(b.uid) == b
    assert store.find("none") is None


def test_the_revision_is_told_while_another_thread_waits_to_write(store, tmp_path):
    store.create("one")
    before = store.revision()
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as another:
        another.execute("begin immediate")
        writing = threading.Thread(target=store.create, args=("two",))
        writing.start()
        while store._database._lock.acquire(blocking=False):
            store._database._lock.release()
        assert store.revision() == before
        assert writing.is_alive()
        another.execute("rollback")
        writing.join()
    assert store.count() == 2


def test_the_revision_grows_when_someone_else_has_written_and_else_stays(store, tmp_path):
    store.create("a")
    before = store.revision()
    assert store.revision() == before
    store.create("b")
    own = store.revision()
    assert own == before
    with ConversationStore.open(tmp_path / "history.db") as other:
        assert store.revision() == own
        other.create("c")
    theirs = store.revision()
    assert theirs > own
    store.conversations()
    store.search("a")
    assert store.revision() == theirs
    store.close()
    assert store.revision() > theirs  # what happened while it was closed nobody knows


def test_the_revision_of_an_empty_history_makes_no_file(store):
    assert store.revision() == store.revision()
    assert not store.path.exists()
