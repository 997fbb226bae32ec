"""What LangChain's ``index()`` remembers of the documents that it has put into a knowledge base, in the same file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from langchain_core.indexing import RecordManager

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.retrieval.index import Index


class KnowledgeBaseRecords(RecordManager):
    """The record manager of a knowledge base; ``KnowledgeBase.record_manager()`` makes one.

    The async methods work in a thread.
    """

    def __init__(self, index: Index, namespace: str) -> None:
        super().__init__(namespace)
        self._index = index

    def create_schema(self) -> None:
        """Nothing to do: the table is there from the file's beginning."""

    async def acreate_schema(self) -> None:
        """Nothing to do."""

    def get_time(self) -> float:
        """This machine's clock, in seconds since the epoch: the file is on this machine."""
        return time.time()

    async def aget_time(self) -> float:
        """This machine's clock."""
        return self.get_time()

    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Note that documents were indexed now.

        Args:
            keys: of the documents.
            group_ids: the source of each.
            time_at_least: a time that cannot lie ahead.

        Raises:
            ValueError: there are not as many group ids as keys.
            RetrievalError: the clock stands before ``time_at_least``.
        """
        groups = list(group_ids) if group_ids is not None else [None] * len(keys)
        if len(groups) != len(keys):
            raise ValueError(f"there are {len(keys)} keys and {len(groups)} group ids; give one group id a key")
        now = self.get_time()
        if time_at_least is not None and now < time_at_least:
            raise RetrievalError(f"the clock went back, from {time_at_least} to {now}; set it right and index again")
        self._index.change_records(
            "insert into records values (?, ?, ?, ?) on conflict (namespace, key)"
            " do update set group_id = excluded.group_id, updated_at = excluded.updated_at",
            [(self.namespace, key, group, now) for key, group in zip(keys, groups, strict=True)],
        )

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Whether each key is known."""
        sql = "select 1 from records where namespace = ? and key = ?"
        return [bool(self._index.query_records(sql, (self.namespace, key))) for key in keys]

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Keys noted before and after these times, of these groups; at most ``limit`` of them."""
        conditions, values = ["namespace = ?"], [self.namespace]  # type: tuple[list[str], list[object]]
        for condition, value in (("updated_at < ?", before), ("updated_at > ?", after)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if group_ids is not None:
            conditions.append(f"group_id in ({', '.join('?' * len(group_ids))})")
            values += group_ids
        values.append(-1 if limit is None else limit)
        sql = f"select key from records where {' and '.join(conditions)} limit ?"
        return [row["key"] for row in self._index.query_records(sql, values)]

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Forget keys."""
        sql = "delete from records where namespace = ? and key = ?"
        self._index.change_records(sql, [(self.namespace, key) for key in keys])

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """``update`` in a thread."""
        await asyncio.to_thread(self.update, keys, group_ids=group_ids, time_at_least=time_at_least)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """``exists`` in a thread."""
        return await asyncio.to_thread(self.exists, keys)

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """``list_keys`` in a thread."""
        return await asyncio.to_thread(self.list_keys, before=before, after=after, group_ids=group_ids, limit=limit)

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """``delete_keys`` in a thread."""
        await asyncio.to_thread(self.delete_keys, keys)
