"""Copies of the history, and that deleted words are nowhere in the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Attachment, ConversationStore, Source


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def test_a_backup_is_a_history_with_all_that_was_said(store, tmp_path):
    question, answer = store.begin(None, None, "天气")
    store.update(answer.id, "half", finish_reason="cancelled")
    path = store.backup(tmp_path / "copy.db")
    assert path == tmp_path / "copy.db"
    assert path.stat().st_mode & 0o777 == 0o600
    with ConversationStore.open(path) as copy:
        assert copy.whole(question.conversation_id) == store.whole(question.conversation_id)
        assert len(copy.search("天气")) == 1
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("copy")) == ["copy.db"]


def test_a_backup_into_a_folder_has_the_date_in_its_name(store, tmp_path):
    store.create("t")
    (tmp_path / "backups").mkdir()
    path = store.backup(tmp_path / "backups")
    assert path.parent == tmp_path / "backups"
    assert path.match("history-2*.db")
    assert [each.title for each in ConversationStore.open(path).conversations()] == ["t"]


def test_a_backup_replaces_nothing(store, tmp_path):
    store.create("t")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        store.backup(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_there_is_no_backup_of_nothing(store, tmp_path):
    with pytest.raises(StorageError, match="does not exist yet"):
        store.backup(tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_cannot_be_written_names_its_own_place(store, tmp_path):
    store.create("t")
    with pytest.raises(StorageError, match=r"nowhere/copy\.db cannot be written"):
        store.backup(tmp_path / "nowhere" / "copy.db")


def bytes_beside(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint (truncate)")
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())


def secrets() -> list[bytes]:
    return [
        text.encode()
        for text in ("hunter2password", "天机不可泄露", "secrettitle", "privatefile", "quoted words", "typing")
    ]


def keep_secrets(store: ConversationStore) -> int:
    question, answer = store.begin(
        None, None, "my hunter2password", title="secrettitle", attachments=[Attachment("a", "privatefile")]
    )
    for number in range(20):
        store.update(answer.id, "天机不可泄露" * number)
    store.update(answer.id, "天机不可泄露" * 2000, finish_reason="stop")
    store.add_sources(answer.id, [Source(1, "p", "/s", "quoted words")])
    store.set_draft(question.conversation_id, "typing")
    return question.conversation_id


@pytest.mark.parametrize("way", ["delete", "trash", "clear"])
def test_deleted_words_are_nowhere_in_the_file_any_more(store, way):
    for number in range(30):
        kept = store.create(f"kept {number}")
        store.append(kept.id, "user", f"what stays, number {number}")
    chat = keep_secrets(store)
    for number in range(30, 60):
        store.append(kept.id, "user", f"what stays, number {number}")
    before = bytes_beside(store.path)
    assert [secret for secret in secrets() if secret not in before] == []
    if way == "delete":
        store.delete(chat)
    elif way == "trash":
        store.trash(chat)
        assert store.empty_trash() == 1
    else:
        store.clear(chat)
        store.rename(chat, "x")
        store.set_draft(chat, "")
        store.delete(chat)
    after = bytes_beside(store.path)
    assert [secret for secret in secrets() if secret in after] == []
    for word in ("hunter2", "secrettitle", "天机", "泄露"):  # nor in the index, cut into words
        assert word.encode() not in after
    assert len(store.search("stays")) == 30
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_words_are_gone_while_someone_else_reads(store):
    chat = keep_secrets(store)
    with ConversationStore.open(store.path) as reader, reader._database.snapshot():
        reader.conversations()
        store.delete(chat)
    assert [secret for secret in secrets() if secret in bytes_beside(store.path)] == []


def test_the_file_is_kept_as_promised(store):
    store.create("t")
    with store._database.transaction() as db:
        found = {
            name: db.execute(f"pragma {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000, "secure_delete": 1}
