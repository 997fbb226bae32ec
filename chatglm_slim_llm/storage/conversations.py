"""Conversations and their messages, as dataclasses in and out.

A conversation is a tree: a message hangs below the one it follows, and the conversation's head is
the last message of the path that is shown. A reply is appended empty, then updated while it grows,
so that what was shown is what a killed process leaves behind.

A message may carry more than its text, such as a tool's call: ``original`` keeps it as its writer had it.
What is in there is the writer's business; here it is a string.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection, Row
from types import TracebackType
from typing import Self, cast

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import sources as stored_sources
from chatglm_slim_llm.storage.connection import Database, FileKind
from chatglm_slim_llm.storage.migrations import MIGRATIONS
from chatglm_slim_llm.storage.records import Conversation, Draft, FinishReason, Message, Role
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.threads import ThreadStore

_TITLE_LENGTH = 60
_HISTORY = FileKind("history file", 0x43474C4D, MIGRATIONS)  # "CGLM"



class ConversationStore:
    """The history file. Every method may be called from any thread, and raises ``StorageError`` if the file fails.

    Example:
        >>> with ConversationStore.open(folder / "history.db") as store:
        ...     chat = store.create("Hello")
        ...     store.append(chat.id, "user", "你好")
        ...     reply = store.append(chat.id, "assistant", "")
        ...     store.update(reply.id, "你好！", finish_reason="stop")
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a history file, bringing an older one up to date; a missing one is created by the first write.

        Raises:
            SchemaTooNewError: a newer version of this program wrote the file.
            StorageError: the file is damaged, not ours, or cannot be read.
        """
        store = cls.at(path)
        store._database.query("select 1 from conversations limit 1")
        return store

    @classmethod
    def at(cls, path: Path) -> Self:
        """The history file at ``path``, not looked at before it is used."""
        return cls(Database(path, _HISTORY))

    @property
    def path(self) -> Path:
        """The history file."""
        return self._database.path

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def threads(self) -> ThreadStore:
        """The threads of LangGraph that the same file holds."""
        return ThreadStore(self._database)

    def create(self, title: str, drafts: Sequence[Draft] = ()) -> Conversation:
        """Begin a conversation, with its first messages if there are some."""
        now = time.time()
        with self._database.transaction() as db:
            conversation_id = db.execute(
                "insert into conversations (title, created_at, updated_at) values (?, ?, ?)",
                (storable(title), now, now),
            ).lastrowid
            _add(db, cast(int, conversation_id), None, drafts, now)
            row = db.execute("select * from conversations where id = ?", (conversation_id,)).fetchone()
        return _conversation(row)

    def conversations(self) -> list[Conversation]:
        """All conversations, the one touched last first."""
        rows = self._database.query("select * from conversations order by updated_at desc, id desc")
        return [_conversation(row) for row in rows]

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation another title.

        Raises:
            StorageError: there is no such conversation.
        """
        with self._database.transaction() as db:
            changed = db.execute(
                "update conversations set title = ?, updated_at = ? where id = ?",
                (storable(title), time.time(), conversation_id),
            ).rowcount
            self._want(changed, "conversation", conversation_id)

    def delete(self, conversation_id: int) -> None:
        """Delete a conversation and its messages; deleting one that is gone changes nothing."""
        with self._database.transaction() as db:
            _empty(db, conversation_id)
            db.execute("delete from conversations where id = ?", (conversation_id,))

    def clear(self, conversation_id: int) -> None:
        """Delete a conversation's messages and keep the conversation; clearing one that is gone changes nothing."""
        with self._database.transaction() as db:
            _empty(db, conversation_id)
            db.execute("update conversations set updated_at = ? where id = ?", (time.time(), conversation_id))

    def append(
        self, conversation_id: int, role: Role, content: str, *, finish_reason: FinishReason | None = None
    ) -> Message:
        """Add a message below the conversation's head and make it the head.

        Raises:
            StorageError: there is no such conversation.
        """
        return self.extend(conversation_id, [Draft(role, content, finish_reason)])[0]

    def extend(self, conversation_id: int, drafts: Sequence[Draft]) -> list[Message]:
        """Add messages below the conversation's head, all of them or none, and make the last one the head.

        Raises:
            StorageError: there is no such conversation.
        """
        with self._database.transaction() as db:
            found = db.execute("select head_id from conversations where id = ?", (conversation_id,)).fetchone()
            self._want(found is not None, "conversation", conversation_id)
            rows = _add(db, conversation_id, found["head_id"], drafts, time.time())
        return [_message(row) for row in rows]

    def update(self, message_id: int, content: str, *, finish_reason: FinishReason | None = None) -> bool:
        """Replace all that a message holds so far; returns False if it was deleted meanwhile."""
        with self._database.transaction() as db:
            changed = db.execute(
                "update messages set content = ?, finish_reason = ?, original = null where id = ?",
                (storable(content), finish_reason, message_id),
            ).rowcount
        return changed == 1

    def messages(self, conversation_id: int) -> list[Message]:
        """What is shown of the path from the first message to the conversation's head."""
        return [message for message in self.all_messages(conversation_id) if message.is_shown]

    def all_messages(self, conversation_id: int) -> list[Message]:
        """The whole path from the first message to the conversation's head."""
        rows = self._database.query(
            "with recursive path (id, parent_id, depth) as ("
            " select messages.id, messages.parent_id, 0 from messages"
            "  join conversations on conversations.head_id = messages.id where conversations.id = ?"
            " union all"
            " select messages.id, messages.parent_id, depth + 1 from messages"
            "  join path on messages.id = path.parent_id)"
            " select messages.* from path join messages using (id) order by depth desc",
            (conversation_id,),
        )
        return [_message(row) for row in rows]

    def add_sources(self, message_id: int, sources: Sequence[Source]) -> None:
        """Keep what a message rests on, all of it or nothing; a number that is there already is replaced.

        Raises:
            StorageError: there is no such message.
        """
        stored_sources.add(self._database, message_id, sources)

    def sources(self, message_id: int) -> list[Source]:
        """What a message rests on, by number; they go with their message."""
        return stored_sources.of_message(self._database, message_id)

    def _want(self, holds: object, kind: str, row_id: int) -> None:
        if not holds:
            raise StorageError(f"{self.path} has no {kind} {row_id}; it was deleted, so start a new one")


def title_of(prompt: str) -> str:
    """A conversation's title: the first words of its first prompt."""
    title = " ".join(prompt.split())
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"


def _add(db: Connection, conversation_id: int, head_id: int | None, drafts: Sequence[Draft], now: float) -> list[Row]:
    rows: list[Row] = []
    for draft in drafts:
        row = db.execute(
            "insert into messages (conversation_id, parent_id, role, content, created_at, finish_reason, original)"
            " values (?, ?, ?, ?, ?, ?, ?) returning *",
            (conversation_id, head_id, draft.role, storable(draft.content), now, draft.finish_reason, draft.original),
        ).fetchone()
        rows.append(row)
        head_id = row["id"]
    if rows:
        db.execute("update conversations set head_id = ?, updated_at = ? where id = ?", (head_id, now, conversation_id))
    return rows


def _empty(db: Connection, conversation_id: int) -> None:
    """Delete messages; cut apart first, as a cascade down a path of thousands is deeper than SQLite goes."""
    db.execute("update messages set parent_id = null where conversation_id = ?", (conversation_id,))
    db.execute("delete from messages where conversation_id = ?", (conversation_id,))


def _conversation(row: Row) -> Conversation:
    return Conversation(row["id"], row["title"], _moment(row["created_at"]), _moment(row["updated_at"]), row["head_id"])


def _message(row: Row) -> Message:
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        parent_id=row["parent_id"],
        role=cast(Role, row["role"]),
        content=row["content"],
        created_at=_moment(row["created_at"]),
        finish_reason=cast("FinishReason | None", row["finish_reason"]),
        original=row["original"],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
