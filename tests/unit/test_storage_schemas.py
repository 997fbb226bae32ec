"""A history of every schema that ever was opens, with all that is in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatglm_slim_llm.storage import (
    Attachment,
    ChatSettings,
    CheckpointKey,
    ConversationStore,
    Figures,
    Source,
    ToolUse,
)
from chatglm_slim_llm.storage.migrations import MIGRATIONS

SAMPLES = Path(__file__).parents[1] / "data" / "schemas"
VERSIONS = range(1, len(MIGRATIONS) + 1)


def copied(name: str, folder: Path) -> Path:
    for each in SAMPLES.glob(f"{name}.db*"):
        shutil.copy(each, folder / each.name.replace(name, "history"))
    return folder / "history.db"


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("pragma user_version").fetchone()[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_a_sample_of_each_schema(version, tmp_path):
    assert version_of(copied(str(version), tmp_path)) == version


@pytest.mark.parametrize("version", VERSIONS)
def test_the_messages_of_each_schema_are_kept_and_found(version, tmp_path):
    with ConversationStore.open(copied(str(version), tmp_path)) as store:
        store.mark_interrupted()
        weather, csv = store.conversation(1), store.conversation(2)
        assert (weather.title, csv.title) == ("今天的天气", "Reading CSV files")
        assert weather.uid != csv.uid
        assert [(each.content, each.finish_reason) for each in store.messages(1)] == [
            ("今天天气如何？", None),
            ("北京天气很好，适合去公园散步。", "stop"),
            ("And tomorrow?", None),
            ("Tomorrow it may", "interrupted"),
        ]
        assert [each.content for each in store.messages(2)] == ["How do I read a CSV file?", "Use the csv module."]
        for word, found in (("公园", 1), ("csv", 2), ("Tomorrow it", 1), ("天", 1), ("Reading", 2)):
            assert [hit.conversation.id for hit in store.search(word)] == [found]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_schema_added_is_kept(version, tmp_path):
    with ConversationStore.open(copied(str(version), tmp_path)) as store:
        if version >= 2:
            assert store.all_messages(2)[-1].original == '{"a tool": "call"}'
        if version >= 3:
            state = store.threads().get(CheckpointKey("thread", "", "1"))
            assert state is not None
            assert state.state == b"state"
        if version >= 4:
            assert store.sources(2) == [Source(1, "a1", "/notes/天气.md", "北京多晴天。", "气候", None, 3, 4, 0.5)]
        if version >= 5:
            assert (store.conversation(1).folder, store.conversation(1).is_pinned) == ("旅行", True)
            assert store.chat_settings(1) == ChatSettings(system="简短")
        if version >= 6:
            assert store.draft(1) == "后天呢"
            assert store.attachments(5) == [Attachment("a.csv", "x,y", Path("/notes/a.csv"), "text/csv")]
        if version >= 7:
            tools_call = store.all_messages(2)[-1]
            assert (tools_call.failure, tools_call.figures) == ("out of memory", Figures(output_tokens=4))
        if version >= 9:
            assert store.tool_uses_of_path(1) == {2: [ToolUse("u", "weather", {"city": "北京"}, "done", "晴")]}
        if version >= 10:
            assert store.draft_attachments(1) == [Attachment("b.csv", "y,z", Path("/notes/b.csv"), "text/csv")]


def test_what_a_killed_program_left_in_the_log_is_kept_and_in_the_backup_too(tmp_path):
    path = copied("4-killed", tmp_path)
    assert path.with_name("history.db-wal").exists()
    with ConversationStore.open(path) as store:
        assert store.messages(1)[-1].content == "Tomorrow it may rain, I was just"
    [backup] = tmp_path.glob("history.db.backup-*")
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("select content from messages where id = 4").fetchone() == (
            "Tomorrow it may rain, I was just",
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_file_is_kept_beside_and_a_current_one_is_not(version, tmp_path):
    with ConversationStore.open(copied(str(version), tmp_path)):
        pass
    backups = list(tmp_path.glob("history.db.backup-*"))
    if version == len(MIGRATIONS):
        assert backups == []
    else:
        [backup] = backups
        assert backup.name.startswith(f"history.db.backup-{version}-")
        assert version_of(backup) == version
        assert backup.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(backup)) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_the_three_newest_backups_are_kept(tmp_path):
    for _ in range(5):
        before = {each.name for each in tmp_path.glob("history.db.backup-*")}
        with ConversationStore.open(copied("4", tmp_path)):
            pass
    after = {each.name for each in tmp_path.glob("history.db.backup-*")}
    assert len(before) == len(after) == 3
    assert len(after - before) == 1
    assert min(before) not in after


def test_the_half_backup_of_a_process_that_was_killed_is_removed_in_the_end(tmp_path):
    old, new = (tmp_path / f"history.db.backup-4-{name}.part" for name in ("old", "new"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    with ConversationStore.open(copied("4", tmp_path)):
        pass
    assert (old.exists(), new.exists()) == (False, True)


def test_a_backup_that_cannot_be_written_leaves_the_file_at_its_schema(tmp_path, monkeypatch):
    path = copied("4", tmp_path)

    def full(db: object, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chatglm_slim_llm.storage.backups.write_copy", full)
    with pytest.raises(Exception, match="No space left"):
        ConversationStore.open(path)
    assert version_of(path) == 4


def test_two_programs_that_open_an_old_file_at_once_both_find_everything(tmp_path):
    path = copied("1", tmp_path)
    with ConversationStore.open(path) as first, ConversationStore.open(path) as second:
        assert first.messages(1) == second.messages(1)
