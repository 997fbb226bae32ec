"""LangGraph's threads on disk: the states that a graph went through, as bytes in and out.

A checkpoint is one such state here; what the bytes mean, ``chatglm_slim_llm.checkpointer`` knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Row

from chatglm_slim_llm.storage.connection import Database


@dataclass(frozen=True)
class CheckpointKey:
    """Which checkpoint."""

    thread_id: str
    namespace: str
    """Empty for the graph itself, a path for a graph inside it."""
    checkpoint_id: str
    """Ids of one namespace sort by time."""


@dataclass(frozen=True)
class StoredCheckpoint:
    """A state of a graph."""

    key: CheckpointKey
    parent_id: str | None
    """The checkpoint that this one came from."""
    kind: str
    """How ``state`` was written."""
    state: bytes
    metadata: str


@dataclass(frozen=True)
class StoredWrite:
    """What a task wrote after a checkpoint, before the next one was made."""

    task_id: str
    task_path: str
    position: int
    """The number among the task's writes; below 0 for those that a later one replaces."""
    channel: str
    kind: str
    """How ``value`` was written."""
    value: bytes


class ThreadStore:
    """The threads of a history file. Every method may be called from any thread, and raises ``StorageError``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a checkpoint in the place of one with the same key."""
        key = checkpoint.key
        with self._database.transaction() as db:
            db.execute(
                "insert or replace into thread_checkpoints"
                " (thread_id, namespace, checkpoint_id, parent_id, kind, state, metadata) values (?, ?, ?, ?, ?, ?, ?)",
                (*_columns(key), checkpoint.parent_id, checkpoint.kind, checkpoint.state, checkpoint.metadata),
            )

    def put_writes(self, key: CheckpointKey, writes: Sequence[StoredWrite]) -> None:
        """Keep what a task wrote, all of it or nothing; a task that ran before keeps what it wrote first."""
        columns = "thread_id, namespace, checkpoint_id, task_id, task_path, position, channel, kind, value"
        values = "values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        with self._database.transaction() as db:
            for write in writes:
                db.execute(
                    f"insert into thread_writes ({columns}) {values} on conflict do nothing"
                    if write.position >= 0
                    else f"insert or replace into thread_writes ({columns}) {values}",
                    (*_columns(key), *_values(write)),
                )

    def get(self, key: CheckpointKey) -> StoredCheckpoint | None:
        """The checkpoint of that key."""
        rows = self._database.query(
            "select * from thread_checkpoints where thread_id = ? and namespace = ? and checkpoint_id = ?",
            _columns(key),
        )
        return _checkpoint(rows[0]) if rows else None

    def latest(self, thread_id: str, namespace: str) -> StoredCheckpoint | None:
        """The newest checkpoint of a thread."""
        rows = self._database.query(
            "select * from thread_checkpoints where thread_id = ? and namespace = ?"
            " order by checkpoint_id desc limit 1",
            (thread_id, namespace),
        )
        return _checkpoint(rows[0]) if rows else None

    def writes(self, key: CheckpointKey) -> list[StoredWrite]:
        """What was written after a checkpoint, in the order in which a graph applies it."""
        rows = self._database.query(
            "select * from thread_writes where thread_id = ? and namespace = ? and checkpoint_id = ?"
            " order by task_path, task_id, position",
            _columns(key),
        )
        return [
            StoredWrite(row["task_id"], row["task_path"], row["position"], row["channel"], row["kind"], row["value"])
            for row in rows
        ]

    def find(
        self,
        *,
        thread_id: str | None,
        namespace: str | None,
        checkpoint_id: str | None,
        before: str | None,
        mentions: str | None = None,
    ) -> list[tuple[CheckpointKey, str]]:
        """Keys and metadata of the checkpoints that match what is given, the newest first.

        ``mentions`` is a text that stands somewhere in the metadata.
        """
        wanted = [
            (condition, value)
            for condition, value in (
                ("thread_id = ?", thread_id),
                ("namespace = ?", namespace),
                ("checkpoint_id = ?", checkpoint_id),
                ("checkpoint_id < ?", before),
                ("instr(metadata, ?) > 0", mentions),
            )
            if value is not None
        ]
        where = " and ".join(condition for condition, _ in wanted) or "true"
        rows = self._database.query(
            "select thread_id, namespace, checkpoint_id, metadata from thread_checkpoints"
            f" where {where} order by checkpoint_id desc",
            [value for _, value in wanted],
        )
        return [(_key(row), row["metadata"]) for row in rows]

    def delete(self, thread_id: str) -> None:
        """Delete all that is kept of a thread; deleting one that is gone changes nothing."""
        with self._database.transaction() as db:
            db.execute("delete from thread_checkpoints where thread_id = ?", (thread_id,))
            db.execute("delete from thread_writes where thread_id = ?", (thread_id,))

    def delete_checkpoints(self, keys: Sequence[CheckpointKey]) -> None:
        """Delete checkpoints and what was written after them, all or none; those that are gone are no error."""
        if not keys:
            return
        with self._database.transaction() as db:
            for table in ("thread_checkpoints", "thread_writes"):
                db.executemany(
                    f"delete from {table} where thread_id = ? and namespace = ? and checkpoint_id = ?",
                    map(_columns, keys),
                )

    def copy(self, source_id: str, target_id: str) -> None:
        """Keep all that is kept of a thread under another name as well, in the place of what has the same keys."""
        with self._database.transaction() as db:
            for table, others in (
                ("thread_checkpoints", "namespace, checkpoint_id, parent_id, kind, state, metadata"),
                ("thread_writes", "namespace, checkpoint_id, task_id, task_path, position, channel, kind, value"),
            ):
                db.execute(
                    f"insert or replace into {table} (thread_id, {others}) select ?, {others} from {table}"
                    " where thread_id = ?",
                    (target_id, source_id),
                )


def _columns(key: CheckpointKey) -> tuple[str, str, str]:
    return key.thread_id, key.namespace, key.checkpoint_id


def _values(write: StoredWrite) -> tuple[object, ...]:
    return write.task_id, write.task_path, write.position, write.channel, write.kind, write.value


def _key(row: Row) -> CheckpointKey:
    return CheckpointKey(row["thread_id"], row["namespace"], row["checkpoint_id"])


def _checkpoint(row: Row) -> StoredCheckpoint:
    return StoredCheckpoint(_key(row), row["parent_id"], row["kind"], row["state"], row["metadata"])
