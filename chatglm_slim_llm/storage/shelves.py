"""Conversations as a list: what is shown, archived or in the trash, in which folder and order."""

from __future__ import annotations

import time
from sqlite3 import Connection

from chatglm_slim_llm.storage import index, tree
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import ChatSettings, Conversation, Shelf
from chatglm_slim_llm.storage.rows import CONVERSATION, conversation_of, settings_of
from chatglm_slim_llm.storage.text import storable

ON_SHELF: dict[Shelf | None, str] = {
    "shown": "deleted_at is null and archived_at is null",
    "archived": "deleted_at is null and archived_at is not null",
    "trash": "deleted_at is not null",
    None: "true",
}
"""As conditions of SQL; ``None`` is all of them."""
_DAY_S = 86_400


def conversations(database: Database, shelf: Shelf) -> list[Conversation]:
    """The pinned ones first, then the one touched last."""
    rows = database.tuples(
        f"select {CONVERSATION} from conversations where {ON_SHELF[shelf]}"
        " order by is_pinned desc, updated_at desc, id desc"
    )
    return [conversation_of(row) for row in rows]


def conversation(database: Database, conversation_id: int) -> Conversation:
    """One conversation.

    Raises:
        StorageError: it is gone.
    """
    rows = database.query(f"select {CONVERSATION} from conversations where id = ?", (conversation_id,))
    if not rows:
        raise tree.gone("conversation", conversation_id)
    return conversation_of(rows[0])


def find(database: Database, uid: str) -> Conversation | None:
    """The conversation with this ``uid``."""
    rows = database.query(f"select {CONVERSATION} from conversations where uid = ?", (storable(uid),))
    return conversation_of(rows[0]) if rows else None


def settings(database: Database, conversation_id: int) -> ChatSettings:
    """What a conversation has of its own.

    Raises:
        StorageError: it is gone.
    """
    rows = database.query("select settings from conversations where id = ?", (conversation_id,))
    if not rows:
        raise tree.gone("conversation", conversation_id)
    return settings_of(rows[0][0])


def count(database: Database, shelf: Shelf) -> int:
    """How many there are."""
    rows = database.query(f"select count(*) from conversations where {ON_SHELF[shelf]}")
    return int(rows[0][0]) if rows else 0


def folders(database: Database) -> list[str]:
    """The folders that something is in."""
    rows = database.query(
        "select distinct folder from conversations where folder != '' and deleted_at is null order by folder"
    )
    return [row[0] for row in rows]


def change(db: Connection, conversation_id: int, column: str, value: object) -> None:
    """Set one column of a conversation."""
    changed = db.execute(f"update conversations set {column} = ? where id = ?", (value, conversation_id)).rowcount
    if not changed:
        raise tree.gone("conversation", conversation_id)


def rename(db: Connection, conversation_id: int, title: str) -> None:
    """Give a conversation another title, in the index too."""
    index.remove(db, conversation_id, index.TITLE, tree.conversation(db, conversation_id).title)
    index.add(db, conversation_id, index.TITLE, storable(title))
    change(db, conversation_id, "title", storable(title))


def delete(db: Connection, conversation_id: int) -> bool:
    """Delete a conversation for good; returns whether it was there."""
    row = db.execute("select title from conversations where id = ?", (conversation_id,)).fetchone()
    if row is None:
        return False
    empty(db, conversation_id)
    index.remove(db, conversation_id, index.TITLE, row[0])
    db.execute("delete from conversations where id = ?", (conversation_id,))
    return True


def empty(db: Connection, conversation_id: int) -> bool:
    """Delete messages; cut apart first, as a cascade down a path of thousands is deeper than SQLite goes."""
    index.remove_messages(db, conversation_id)
    db.execute("update messages set parent_id = null where conversation_id = ?", (conversation_id,))
    return db.execute("delete from messages where conversation_id = ?", (conversation_id,)).rowcount > 0


def in_trash(database: Database, older_than_days: float) -> list[int]:
    """What was moved to the trash longer ago than that."""
    latest = time.time() - older_than_days * _DAY_S
    return [row[0] for row in database.query("select id from conversations where deleted_at <= ?", (latest,))]
