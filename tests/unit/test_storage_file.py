"""The history file survives what happens to files: kills, newer programs, damage, other processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import ConfigError, SchemaTooNewError, StorageError
from chatglm_slim_llm.retrieval import KnowledgeBase
from chatglm_slim_llm.storage import ConversationStore, store_at
from chatglm_slim_llm.storage.connection import Database, FileKind
from chatglm_slim_llm.storage.migrations import MIGRATIONS

WRITES_FOR_EVER = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
store = ConversationStore.open(Path(sys.argv[1]))
conversation = store.create("t")
store.append(conversation.id, "user", "count")
reply = store.append(conversation.id, "assistant", "")
text = ""
while True:
    text += f"{len(text)} "
    store.update(reply.id, text)
    print(text, flush=True)
"""

WRITES_MANY = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
store = ConversationStore.open(Path(sys.argv[1]))
conversation = store.create(sys.argv[2])
for number in range(100):
    store.append(conversation.id, "user", str(number))
"""


def _history(migrations):
    return FileKind("history file", 0x43474C4D, migrations)


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_wrote_is_there(tmp_path):
    path = tmp_path / "history.db"
    with start(WRITES_FOR_EVER, path) as process:
        assert process.stdout
        written = [process.stdout.readline().rstrip("\n") for _ in range(40)][-1]
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
    with ConversationStore.open(path) as store:
        question, reply = store.messages(store.conversations()[0].id)
    assert question.content == "count"
    assert reply.content.startswith(written)
    assert reply.finish_reason is None


def test_processes_share_one_new_file(tmp_path):
    path = tmp_path / "history.db"
    processes = [start(WRITES_MANY, path, name) for name in ("a", "b", "c")]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    with ConversationStore.open(path) as store:
        for conversation in store.conversations():
            assert [message.content for message in store.messages(conversation.id)] == list(map(str, range(100)))


def test_a_file_of_a_newer_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "history.db"
    with ConversationStore.open(path) as store:
        store.create("t")
    db = sqlite3.connect(path)
    db.execute("pragma user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNewError, match=r"history.db was written by a newer version .*99.*update"):
        ConversationStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [b"not a database at all, but long enough" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_file_is_named_with_what_to_do_and_left_alone(tmp_path, damage):
    path = tmp_path / "history.db"
    path.write_bytes(damage)
    with pytest.raises(StorageError, match=r"history\.db is damaged .*move it away"):
        ConversationStore.open(path)
    assert path.read_bytes() == damage


def test_a_page_damaged_in_the_middle_is_an_error_of_ours(tmp_path):
    path = tmp_path / "history.db"
    with ConversationStore.open(path) as store:
        conversation = store.create("t")
        for _ in range(200):
            store.append(conversation.id, "user", "x" * 1000)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"history\.db"), ConversationStore.open(path) as store:
        store.messages(conversation.id)


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "history.db"
    db = sqlite3.connect(path)
    db.execute("create table theirs (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="of another program"):
        ConversationStore.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_not_in_a_folder_says_where_to_put_it(tmp_path):
    (tmp_path / "file").write_text("x")
    store = ConversationStore.open(tmp_path / "file" / "history.db")
    with pytest.raises(StorageError, match="CHATGLM_SLIM_HOME"):
        store.create("t")


@pytest.fixture
def read_only_folder():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        was_root = os.geteuid() == 0
        if was_root:  # root may write everywhere
            os.seteuid(65534)
        yield Path(folder)
        if was_root:
            os.seteuid(0)
        Path(folder).chmod(0o700)


def test_a_read_only_folder_says_where_to_put_it(read_only_folder):
    store = ConversationStore.open(read_only_folder / "history.db")
    assert store.conversations() == []
    with pytest.raises(StorageError, match=r"Permission denied.*CHATGLM_SLIM_HOME"):
        store.create("t")


def test_a_folder_in_the_files_place_says_so(tmp_path):
    (tmp_path / "history.db").mkdir()
    with pytest.raises(StorageError, match=r"history\.db is a folder; give the path of a file, such as one inside it"):
        ConversationStore.open(tmp_path / "history.db")
    with pytest.raises(StorageError, match=r"history\.db is a folder"):
        ConversationStore.at(tmp_path / "history.db").create("t")
    with pytest.raises(StorageError, match=r"history\.db is a folder"):
        KnowledgeBase.open(tmp_path / "history.db")


def test_a_path_may_be_a_string(tmp_path):
    for path in (tmp_path / "a.db", str(tmp_path / "a.db")):
        with ConversationStore.open(path) as store:
            store.create("t")
    assert len(store.conversations()) == 2
    assert store.path == tmp_path / "a.db"


@pytest.mark.parametrize("path", [":memory:", Path(":memory:")])
def test_sqlites_name_for_no_file_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    for open_it in (
        ConversationStore.open,
        ConversationStore.at,
        store_at,
        lambda name: KnowledgeBase.open(Path(name)),
    ):
        with pytest.raises(ConfigError, match="':memory:' names no file; give the path of one"):
            open_it(path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_loses_only_the_write_that_did_not_fit(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        conversation = store.create("t")
        store.append(conversation.id, "user", "kept")
        with store._database.transaction() as db:
            pages = db.execute("pragma page_count").fetchone()[0]
        store._database._connected().execute(f"pragma max_page_count = {pages}")  # as good as a full disk
        with pytest.raises(StorageError, match="make room"):
            store.append(conversation.id, "user", "x" * 100_000)
        assert [message.content for message in store.messages(conversation.id)] == ["kept"]


def test_a_step_that_fails_leaves_the_file_at_the_version_before(tmp_path):
    path = tmp_path / "history.db"

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("create table half_done (x)")
        db.execute("select * from nowhere")

    with ConversationStore.open(path) as store:
        store.create("kept")
    with pytest.raises(StorageError):
        Database(path, _history([*MIGRATIONS, breaks])).query("select 1")
    with ConversationStore.open(path) as store:
        assert [each.title for each in store.conversations()] == ["kept"]
    db = sqlite3.connect(path)
    assert db.execute("select count(*) from sqlite_master where name = 'half_done'").fetchone() == (0,)
    db.close()


def test_a_new_file_that_was_not_finished_is_empty_and_needs_no_backup(tmp_path):
    """As where a process is killed, or another one looks, between the steps."""
    path = tmp_path / "history.db"

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("select * from nowhere")

    unfinished = Database(path, replace(_history([*MIGRATIONS[:6], breaks]), is_private=True))
    with pytest.raises(StorageError), unfinished.transaction():
        pass
    unfinished.close()
    with ConversationStore.open(path) as store:
        store.create("first")
    assert [each.name for each in tmp_path.iterdir()] == ["history.db"]


def test_an_older_file_is_brought_up_to_date(tmp_path):
    path = tmp_path / "history.db"
    with ConversationStore.open(path) as store:
        store.create("old")

    def pin(db):
        db.execute("alter table conversations add column pinned")

    database = Database(path, _history([*MIGRATIONS, pin]))
    assert [tuple(row) for row in database.query("select title, pinned from conversations")] == [("old", None)]
    database.close()
    with pytest.raises(SchemaTooNewError):
        ConversationStore.open(path)


def test_conversations_of_the_first_schema_are_kept(tmp_path):
    path = tmp_path / "history.db"
    database = Database(path, _history(MIGRATIONS[:1]))
    with database.transaction() as db:
        db.execute("insert into conversations (title, created_at, updated_at) values ('t', 0, 0)")
        db.execute("insert into messages (conversation_id, role, content, created_at) values (1, 'user', 'a', 0)")
        db.execute("update conversations set head_id = 1")
    database.close()
    with ConversationStore.open(path) as store:
        store.append(1, "assistant", "b", finish_reason="stop")
        assert [(message.content, message.original) for message in store.messages(1)] == [("a", None), ("b", None)]


def test_a_store_that_nobody_closed_lets_go_of_its_file(tmp_path):
    store = ConversationStore.at(tmp_path / "history.db")
    store.create("t")
    assert (tmp_path / "history.db-wal").exists()
    del store
    assert not (tmp_path / "history.db-wal").exists()  # the last connection takes it away


def test_a_write_that_waits_too_long_says_who_holds_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("chatglm_slim_llm.storage.connection._BUSY_TIMEOUT_MS", 50)
    with ConversationStore.open(tmp_path / "history.db") as store:
        store.create("t")
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(StorageError, match="held by another program"):
            store.create("t")
        other.close()
        store.create("t")


def test_the_class_docstrings_example_is_true(tmp_path: Path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        chat = store.create("Hello")
        store.append(chat.id, "user", "你好")
        reply = store.append(chat.id, "assistant", "")
        store.update(reply.id, "你好！", finish_reason="stop")
        assert [message.content for message in store.messages(chat.id)] == ["你好", "你好！"]


def test_what_is_written_after_the_file_was_deleted_is_in_a_new_one(tmp_path):
    path = tmp_path / "history.db"
    store = ConversationStore.open(path)
    store.create("old")
    for each in tmp_path.glob("history.db*"):
        each.unlink()
    assert store.conversations() == []
    store.create("new")
    with ConversationStore.open(path) as again:
        assert [each.title for each in again.conversations()] == ["new"]
    store.close()
