"""The full-text index of titles and messages, kept in step in the transaction of the text itself.

Each text is one row of an FTS5 table without content: ``rowid`` names conversation and message, so that what is found
can be grouped without a look at the messages. A growing reply is not indexed before it ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from sqlite3 import Connection

from chatglm_slim_llm.storage.words import terms

_MESSAGE_BITS = 32
_MESSAGE = (1 << _MESSAGE_BITS) - 1
TITLE = 0
"""In the place of a message's id."""
_PAGES_A_STEP = 1000


def add(db: Connection, conversation_id: int, message_id: int, text: str) -> None:
    """Index a title or a message."""
    db.execute(
        "insert into search_terms (rowid, terms) values (?, ?)", (row_id(conversation_id, message_id), terms(text))
    )


def remove(db: Connection, conversation_id: int, message_id: int, text: str) -> None:
    """Take a title or a message out again; ``text`` is what was indexed."""
    db.execute(
        "insert into search_terms (search_terms, rowid, terms) values ('delete', ?, ?)",
        (row_id(conversation_id, message_id), terms(text)),
    )


def add_message(db: Connection, conversation_id: int, message_id: int, text: str) -> None:
    """Index a message and remember that it is."""
    add(db, conversation_id, message_id, text)
    db.execute("update messages set is_indexed = 1 where id = ?", (message_id,))


def remove_messages(db: Connection, conversation_id: int) -> None:
    """Take all messages of a conversation out."""
    rows = db.execute("select id, content from messages where conversation_id = ? and is_indexed", (conversation_id,))
    for message_id, content in rows.fetchall():
        remove(db, conversation_id, message_id, content)


def conversations_of(rows: Sequence[int]) -> set[int]:
    """The conversations that rows of the index are of."""
    return {row >> _MESSAGE_BITS for row in rows}


def titles_of(rows: Sequence[int]) -> set[int]:
    """The conversations whose titles are among the rows."""
    return {row >> _MESSAGE_BITS for row in rows if not row & _MESSAGE}


def messages_of(rows: Sequence[int], conversation_id: int) -> list[int]:
    """The messages of a conversation that are among the rows, which are in order; ``TITLE`` for its title."""
    start, end = (bisect_left(rows, row_id(each, TITLE)) for each in (conversation_id, conversation_id + 1))
    return [row & _MESSAGE for row in rows[start:end]]


def forget(db: Connection, *, is_first: bool) -> bool:
    """Let words that were taken out vanish from the file: FTS5 only marks them, until it merges its parts.

    One step of many, so that others may write in between; returns whether there is more to do.
    """
    before = db.total_changes
    pages = -_PAGES_A_STEP if is_first else _PAGES_A_STEP
    db.execute("insert into search_terms (search_terms, rank) values ('merge', ?)", (pages,))
    return db.total_changes - before >= 2


def row_id(conversation_id: int, message_id: int) -> int:
    """The row of a message, or with ``TITLE`` of a title."""
    return (conversation_id << _MESSAGE_BITS) | message_id
