"""Our own JSON: what comes in is what went out."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from exchange_samples import DATA, everything

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage.exchange import export_text, import_file, write_export


@pytest.fixture
def store(tmp_path):
    with ConversationStore.at(tmp_path / "a.db") as store:
        yield store


@pytest.fixture
def other(tmp_path):
    with ConversationStore.at(tmp_path / "b.db") as other:
        yield other


def test_a_conversation_with_everything_comes_back_the_same(store, other, tmp_path):
    chat = store.add_whole(everything())
    path = write_export(store, [chat.id], tmp_path / "all.json")
    report = import_file(other, path)
    assert (report.conversations, report.messages, report.skipped, report.problems) == (1, 6, 0, ())
    back = other.whole(other.conversations("trash")[0].id)
    assert replace(back, messages=tuple(back.messages)) == everything()


def test_what_is_there_is_not_added_again(store, other, tmp_path):
    ids = [store.create("one").id, store.create("two").id]
    path = write_export(store, ids, tmp_path / "all.json")
    assert import_file(store, path).skipped == 2
    assert [import_file(other, path).conversations for _ in range(2)] == [2, 0]
    assert other.count() == 2


def test_a_name_as_long_as_file_systems_take_is_written(store, tmp_path):
    path = tmp_path / ("山" * 84 + ".md")  # 255 bytes
    assert write_export(store, [store.create("one").id], path).exists()
    assert list(tmp_path.glob("*.md")) == [path]


def test_a_conversation_that_goes_through_two_histories_is_still_the_same_one(store, other, tmp_path):
    first = write_export(store, [store.create("one").id], tmp_path / "1.json")
    import_file(other, first)
    second = write_export(other, [other.conversations()[0].id], tmp_path / "2.json")
    assert import_file(store, second).skipped == 1


def test_the_first_version_of_the_format_is_read_for_ever(store):
    report = import_file(store, DATA / "chatglm_slim_v1.json")
    assert (report.conversations, report.messages) == (1, 6)
    back = store.whole(store.conversations("trash")[0].id)
    assert replace(back, messages=tuple(back.messages)) == everything()


def test_an_answer_that_was_growing_when_it_was_exported_is_an_interrupted_one(store, other, tmp_path):
    _, answer = store.begin(None, None, "hello")
    store.update(answer.id, "hal")
    import_file(other, write_export(store, [answer.conversation_id], tmp_path / "x.json"))
    copy = other.messages(other.conversations()[0].id)[-1]
    assert (copy.content, copy.finish_reason) == ("hal", "interrupted")


def test_the_order_of_keys_and_the_encoding_do_not_matter(store, tmp_path):
    text = (DATA / "chatglm_slim_v1.json").read_text(encoding="utf-8")
    path = tmp_path / "sorted.json"
    path.write_text(json.dumps(json.loads(text), sort_keys=True), encoding="utf-16")  # as PowerShell redirects
    assert import_file(store, path).conversations == 1


def test_a_later_version_is_refused_with_a_clear_text(store, tmp_path):
    path = tmp_path / "new.json"
    path.write_text('{"format": "chatglm-slim-conversations", "version": 2, "conversations": [{"uid": "x"}]}')
    with pytest.raises(StorageError, match=r"new\.json was written by a newer version .*format 2.*update"):
        import_file(store, path)
    assert store.count() == 0


def changed(path, change):
    """The frozen file with something else in its only conversation."""
    whole = json.loads((DATA / "chatglm_slim_v1.json").read_text(encoding="utf-8"))
    change(whole["conversations"][0])
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda chat: chat.update(title=3), r"conversations\[0\]\.title is 3 and not a text"),
        (lambda chat: chat.pop("uid"), r"uid is missing and not a text"),
        (lambda chat: chat.update(head=6), r"head is 6, but there is no such message"),
        (lambda chat: chat.update(created_at="yesterday"), r"created_at is 'yesterday' and not a point in time"),
        (lambda chat: chat.update(is_pinned="yes"), r"is_pinned is 'yes' and not true or false"),
        (lambda chat: chat["messages"][0].update(parent=0), r"messages\[0\]\.parent is 0, which is no message before"),
        (lambda chat: chat["messages"][1].update(parent=2), r"messages\[1\]\.parent is 2"),
        (lambda chat: chat["messages"][1].update(role="robot"), r"role is 'robot' and not one of user, assistant"),
        (lambda chat: chat["messages"][1].update(content=None), r"content is null and not a text"),
        (lambda chat: chat["messages"][2]["sources"].append(chat["messages"][2]["sources"][0]), "one number twice"),
        (lambda chat: chat["messages"][2]["figures"].update(limit=10**30), "limit is 1000.* and not a whole number"),
        (lambda chat: chat["settings"].update(parameters={"a": {}}), r"parameters\.a is no number, text or list"),
        (lambda chat: chat.update(messages={}), r"messages is an object and not a list"),
    ],
)
def test_a_value_of_another_type_is_named_and_nothing_is_added(store, tmp_path, change, sentence):
    with pytest.raises(StorageError, match=sentence):
        import_file(store, changed(tmp_path / "x.json", change))
    assert store.count() + store.count("trash") == 0


def test_a_conversation_that_cannot_be_read_keeps_no_other_from_being_added(store, other, tmp_path):
    exported = json.loads(export_text(store, store.create("good").id, "json"))
    exported["conversations"].insert(0, {"uid": "x", "title": "bad one"})
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(exported))
    report = import_file(other, path)
    assert (report.conversations, [chat.title for chat in other.conversations()]) == (1, ["good"])
    assert report.problems == (
        "conversation 1 (bad one): conversations[0].created_at is missing and not a point in time",
    )


def test_a_backup_is_imported_and_stays_as_it_is(store, other, tmp_path):
    store.append(store.create("kept").id, "user", "你好")
    store.archive(store.create("put away").id, True)
    backup = store.backup(tmp_path / "backup.db")
    before = backup.read_bytes()
    report = import_file(other, backup)
    assert (report.conversations, report.messages, other.count(), other.count("archived")) == (2, 1, 1, 1)
    assert backup.read_bytes() == before


def test_a_history_of_a_later_version_or_a_damaged_one_is_one_clear_error(store, other, tmp_path):
    store.create("kept")
    newer = store.backup(tmp_path / "newer.db")
    with closing(sqlite3.connect(newer)) as db:
        db.execute("pragma user_version = 999")
    with pytest.raises(StorageError, match=r"newer\.db was written by a newer version of this program"):
        import_file(other, newer)
    damaged = store.backup(tmp_path / "damaged.db")
    with closing(sqlite3.connect(damaged)) as db:
        db.execute("drop table messages")
    with pytest.raises(StorageError, match=r"damaged\.db is damaged"):
        import_file(other, damaged)
    assert other.count() == 0
