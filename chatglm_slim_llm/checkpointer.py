"""A checkpointer of LangGraph over the terminal's history file: agents that go on where they were.

``storage/threads.py`` keeps the rows. A checkpoint is the state of a graph here, not a model's weights.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from chatglm_slim_llm.errors import ConfigError, StorageError
from chatglm_slim_llm.storage import CheckpointKey, StoredCheckpoint, StoredWrite, StoreLike, store_at

_STRATEGIES = ("keep_latest", "delete")
_KINDS = ("null", "bytes", "bytearray", "msgpack")


class ConversationCheckpointer(BaseCheckpointSaver[int]):
    """Keeps the threads of LangGraph in the history file, for any number of threads and processes.

    Every method has an async form, which waits for the file in a thread. What is read back is made of plain values,
    LangChain's messages, LangGraph's own types and the ``allowed_types``; of any other object, its fields come back.

    LangGraph saves a state while the next step runs, and the step may change it first where a node waits for several
    others: such a graph is run with ``durability="sync"``.

    Args:
        store: the history, or where its file is; ``None`` is the terminal's own.
        allowed_types: classes of your own in a graph's state, such as an agent's ``response_format``.

    Examples:
        >>> agent = create_agent(model, tools, checkpointer=ConversationCheckpointer(folder / "history.db"))
        >>> agent.invoke({"messages": [("human", "你好")]}, {"configurable": {"thread_id": "1"}})
    """

    def __init__(self, store: StoreLike = None, *, allowed_types: Iterable[type] = ()) -> None:
        super().__init__(serde=_Serializer(allowed_msgpack_modules=tuple(allowed_types)))
        self._threads = store_at(store).threads()

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that ``config`` names, or the newest of its thread.

        Raises:
            ConfigError: ``config`` names no thread.
        """
        thread_id, namespace = _thread(config), _namespace(config)
        if checkpoint_id := get_checkpoint_id(config):
            stored = self._threads.get(CheckpointKey(thread_id, namespace, checkpoint_id))
        else:
            stored = self._threads.latest(thread_id, namespace)
        return None if stored is None else self._tuple(stored)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The checkpoints of a thread, or of all threads, the newest first.

        Each is read when it is asked for, so the file is free in between; one deleted meanwhile is left out.
        """
        for key in self._matching(config, filter, before)[:limit]:
            if (stored := self._threads.get(key)) is not None:
                yield self._tuple(stored)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint below the one that ``config`` names; returns the config that names it."""
        stored = self._stored(config, checkpoint, metadata)
        self._threads.put(stored)
        return _config(stored.key)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote after the checkpoint that ``config`` names."""
        self._threads.put_writes(_key(config), self._stored_writes(writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Delete all that is kept of a thread."""
        self._threads.delete(str(thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Keep all that is kept of a thread under another name as well; what has the same ids there is replaced."""
        self._threads.copy(str(source_thread_id), str(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the past of threads, and leave the newest checkpoint of each namespace.

        Where a ``DeltaChannel`` keeps changes, the checkpoints stay from which the newest one is rebuilt.

        Args:
            thread_ids: which threads; one that is not there is no error.
            strategy: ``keep_latest``, or ``delete`` to leave nothing.

        Raises:
            ConfigError: ``strategy`` is none of these, or ``thread_ids`` is no list.
        """
        if strategy not in _STRATEGIES:
            raise ConfigError(f"strategy {strategy!r} is unknown; choose {' or '.join(_STRATEGIES)}", key="strategy")
        for thread_id in _ids(thread_ids, "thread_ids"):
            if strategy == "delete":
                self._threads.delete(thread_id)
            else:
                self._threads.delete_checkpoints(self._outdated(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that runs made, with what was written after them.

        Runs are found by a ``run_id`` in the metadata, which LangGraph keeps from ``config["configurable"]`` or
        ``config["metadata"]``, but not from ``config["run_id"]``. A thread that goes on after such a run loses what its
        ``DeltaChannel``s got in it.

        Raises:
            ConfigError: ``run_ids`` is no list.
        """
        made: list[CheckpointKey] = []
        for run_id in set(_ids(run_ids, "run_ids")):
            # Not by SQLite's JSON functions: before 3.42 they fail at a NaN, which Python's JSON may hold.
            rows = self._threads.find(
                thread_id=None, namespace=None, checkpoint_id=None, before=None, mentions=json.dumps(run_id)
            )
            made += [key for key, about in rows if json.loads(about).get("run_id") == run_id]
        self._threads.delete_checkpoints(made)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """``get_tuple`` in a thread."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """``list`` in a thread."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (each := await asyncio.to_thread(next, found, None)) is not None:
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """``put`` in a thread."""
        stored = self._stored(config, checkpoint, metadata)
        await asyncio.to_thread(self._threads.put, stored)
        return _config(stored.key)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """``put_writes`` in a thread."""
        stored = self._stored_writes(writes, task_id, task_path)
        await asyncio.to_thread(self._threads.put_writes, _key(config), stored)

    async def adelete_thread(self, thread_id: str) -> None:
        """``delete_thread`` in a thread."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """``copy_thread`` in a thread."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """``prune`` in a thread."""
        await asyncio.to_thread(self.prune, thread_ids, strategy=strategy)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """``delete_for_runs`` in a thread."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    # LangGraph hands over the live objects of a running graph: the async methods write them down before anything
    # else can run, and leave only the waiting for the file to a thread.

    def _stored(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> StoredCheckpoint:
        key = CheckpointKey(_thread(config), _namespace(config), checkpoint["id"])
        about = json.dumps(get_checkpoint_metadata(config, metadata))
        return StoredCheckpoint(key, get_checkpoint_id(config), *self.serde.dumps_typed(checkpoint), about)

    def _stored_writes(self, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str) -> Sequence[StoredWrite]:
        return [
            StoredWrite(task_id, task_path, WRITES_IDX_MAP.get(channel, index), channel, *self.serde.dumps_typed(value))
            for index, (channel, value) in enumerate(writes)
        ]

    def _matching(
        self, config: RunnableConfig | None, wanted: Mapping[str, Any] | None, before: RunnableConfig | None
    ) -> Sequence[CheckpointKey]:
        rows = self._threads.find(
            thread_id=None if config is None else _thread(config),
            namespace=None if config is None else config["configurable"].get("checkpoint_ns"),
            checkpoint_id=None if config is None else get_checkpoint_id(config),
            before=None if before is None else get_checkpoint_id(before),
        )
        if not wanted:
            return [key for key, _ in rows]
        return [key for key, metadata in rows if _holds(json.loads(metadata), wanted)]

    def _outdated(self, thread_id: str) -> Sequence[CheckpointKey]:
        """The checkpoints of a thread but for the newest of each namespace, and what that one is rebuilt from."""
        rows = self._threads.find(thread_id=thread_id, namespace=None, checkpoint_id=None, before=None)
        newest: dict[str, CheckpointKey] = {}
        changing: dict[str, set[str]] = defaultdict(set)  # channels of which a checkpoint may hold changes alone
        for key, about in rows:
            newest.setdefault(key.namespace, key)
            changing[key.namespace] |= json.loads(about).get("counters_since_delta_snapshot", {}).keys()
        kept = {key for namespace, latest in newest.items() for key in self._roots(latest, changing[namespace])}
        return [key for key, _ in rows if key not in kept]

    def _roots(self, key: CheckpointKey, channels: Set[str]) -> Set[CheckpointKey]:
        """A checkpoint and those before it, back to where each of the channels was last whole."""
        found: set[CheckpointKey] = set()
        while key not in found and (stored := self._threads.get(key)) is not None:
            found.add(key)
            if channels:  # reading a state makes objects of all that is in it
                channels -= self.serde.loads_typed((stored.kind, stored.state))["channel_values"].keys()
            if not channels or stored.parent_id is None:
                break
            key = replace(key, checkpoint_id=stored.parent_id)
        return found

    def _tuple(self, stored: StoredCheckpoint) -> CheckpointTuple:
        key, parent_id = stored.key, stored.parent_id
        writes = [
            (write.task_id, write.channel, self.serde.loads_typed((write.kind, write.value)))
            for write in self._threads.writes(key)
        ]
        return CheckpointTuple(
            config=_config(key),
            checkpoint=self.serde.loads_typed((stored.kind, stored.state)),
            metadata=cast(CheckpointMetadata, json.loads(stored.metadata)),
            parent_config=_config(CheckpointKey(key.thread_id, key.namespace, parent_id)) if parent_id else None,
            pending_writes=writes,
        )


class _Serializer(JsonPlusSerializer):
    """LangGraph's serializer, packed, and reading only what it writes today: no pickle, no JSON that names classes.

    Every state holds all messages so far: packing makes a thread's rows a quarter of the size.
    """

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        return kind, zlib.compress(data, level=1)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, packed = data
        if kind not in _KINDS:
            raise StorageError(
                f"the history file holds a thread's state of kind {kind!r}, which this program does not write;"
                " delete the thread"
            )
        try:
            return super().loads_typed((kind, zlib.decompress(packed)))
        except (zlib.error, ValueError) as error:
            raise StorageError(
                f"the history file holds a thread's state that is damaged ({error}); delete the thread"
            ) from error


def _ids(ids: Iterable[object], key: str) -> Iterable[str]:
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):  # a text's letters would be taken as ids
        raise ConfigError(f"{key} is {ids!r}; it must be a list of ids, such as ['1']", key=key)
    return map(str, ids)


def _thread(config: RunnableConfig) -> str:
    try:
        return str(config["configurable"]["thread_id"])
    except KeyError:
        raise ConfigError(
            "the config has no thread_id; give one, such as {'configurable': {'thread_id': '1'}}",
            key="thread_id",
        ) from None


def _namespace(config: RunnableConfig) -> str:
    return str(config["configurable"].get("checkpoint_ns", ""))


def _key(config: RunnableConfig) -> CheckpointKey:
    return CheckpointKey(_thread(config), _namespace(config), str(config["configurable"]["checkpoint_id"]))


def _config(key: CheckpointKey) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": key.thread_id,
            "checkpoint_ns": key.namespace,
            "checkpoint_id": key.checkpoint_id,
        }
    }


def _holds(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in wanted.items())
