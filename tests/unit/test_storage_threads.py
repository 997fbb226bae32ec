"""Threads of LangGraph on disk: rows in and out, whatever their bytes mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import CheckpointKey, ConversationStore, StoredCheckpoint, StoredWrite, ThreadStore


@pytest.fixture
def threads(tmp_path):
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        yield store.threads()


def checkpoint(thread_id: str, checkpoint_id: str, namespace: str = "", state: bytes = b"s") -> StoredCheckpoint:
    return StoredCheckpoint(CheckpointKey(thread_id, namespace, checkpoint_id), None, "bytes", state, "{}")


def write(position: int, value: bytes, task_id: str = "t", task_path: str = "") -> StoredWrite:
    return StoredWrite(task_id, task_path, position, "channel", "bytes", value)


def found(threads: ThreadStore, **wanted: str) -> list[tuple[str, str, str]]:
    anything = dict.fromkeys(["thread_id", "namespace", "checkpoint_id", "before"])
    keys = [key for key, _ in threads.find(**anything | wanted)]
    return [(key.thread_id, key.namespace, key.checkpoint_id) for key in keys]


def test_a_checkpoint_comes_back_as_it_was(threads):
    kept = StoredCheckpoint(CheckpointKey("线", "a|b", "2"), "1", "msgpack", bytes(range(256)), '{"step": 1}')
    threads.put(kept)
    assert threads.get(kept.key) == kept
    assert threads.get(CheckpointKey("线", "", "2")) is None


def test_the_latest_is_the_one_of_its_namespace(threads):
    for each in (checkpoint("a", "2"), checkpoint("a", "1"), checkpoint("a", "3", "inner"), checkpoint("b", "4")):
        threads.put(each)
    assert threads.latest("a", "").key.checkpoint_id == "2"
    assert threads.latest("c", "") is None


def test_a_checkpoint_put_again_replaces_the_first(threads):
    threads.put(checkpoint("a", "1", state=b"old"))
    threads.put(checkpoint("a", "1", state=b"new"))
    assert threads.latest("a", "").state == b"new"
    assert len(found(threads)) == 1


def test_checkpoints_are_found_by_each_of_their_marks_the_newest_first(threads):
    for each in (checkpoint("a", "1"), checkpoint("a", "3"), checkpoint("a", "2", "inner"), checkpoint("b", "4")):
        threads.put(each)
    assert found(threads) == [("b", "", "4"), ("a", "", "3"), ("a", "inner", "2"), ("a", "", "1")]
    assert found(threads, thread_id="a", before="3") == [("a", "inner", "2"), ("a", "", "1")]
    assert found(threads, thread_id="a", namespace="") == [("a", "", "3"), ("a", "", "1")]
    assert found(threads, checkpoint_id="2") == [("a", "inner", "2")]


def test_checkpoints_are_found_by_what_their_metadata_mention(threads):
    for checkpoint_id, metadata in (("1", '{"run": "x%"}'), ("2", '{"run": "X%"}'), ("3", '{"run": "x1"}')):
        threads.put(replace(checkpoint("a", checkpoint_id), metadata=metadata))
    assert found(threads, mentions='"x%"') == [("a", "", "1")]


def test_a_task_that_runs_again_keeps_its_first_writes_and_its_latest_error(threads):
    key = CheckpointKey("a", "", "1")
    threads.put_writes(key, [write(0, b"first"), write(-1, b"first error")])
    threads.put_writes(key, [write(0, b"second"), write(-1, b"second error")])
    assert [each.value for each in threads.writes(key)] == [b"second error", b"first"]


def test_writes_come_in_the_order_of_their_tasks_paths(threads):
    key = CheckpointKey("a", "", "1")
    threads.put_writes(key, [write(1, b"d", "x", "~2"), write(0, b"c", "x", "~2")])
    threads.put_writes(key, [write(0, b"b", "z", "~1")])
    threads.put_writes(key, [write(0, b"a", "y", "~1")])
    assert [each.value for each in threads.writes(key)] == [b"a", b"b", b"c", b"d"]


def test_writes_are_kept_together_or_not_at_all(threads):
    key = CheckpointKey("a", "", "1")
    with pytest.raises(StorageError):
        threads.put_writes(key, [write(0, b"a"), write(1, None)])  # type: ignore[arg-type]
    assert threads.writes(key) == []


def test_a_deleted_thread_leaves_no_rows(threads):
    for thread_id in ("a", "b"):
        threads.put(checkpoint(thread_id, "1"))
        threads.put(checkpoint(thread_id, "1", "inner"))
        threads.put_writes(CheckpointKey(thread_id, "", "1"), [write(0, b"x")])
    threads.delete("a")
    threads.delete("a")
    rows = "select thread_id from thread_checkpoints union all select thread_id from thread_writes"
    assert [row["thread_id"] for row in threads._database.query(rows)] == ["b", "b", "b"]


def test_looking_for_a_thread_leaves_no_trace(threads):
    assert threads.latest("a", "") is None
    assert found(threads) == []
    assert not threads._database.path.parent.exists()
