"""What was typed: prompts not yet sent, and those of before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from sqlite3 import Connection

from chatglm_slim_llm.storage import tree
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Attachment
from chatglm_slim_llm.storage.rows import attachment_columns, attachment_of
from chatglm_slim_llm.storage.text import storable

_ANY_ID = 1 << 62
"""Greater than any message's."""


def read(database: Database, conversation_id: int | None) -> str:
    """What was typed and not sent."""
    rows = database.query("select text from drafts where conversation_id is ?", (conversation_id,))
    return str(rows[0][0]) if rows else ""


def write(db: Connection, conversation_id: int | None, text: str) -> None:
    """Keep what is typed; an empty text takes the draft away."""
    if conversation_id is not None:
        tree.conversation(db, conversation_id)
    db.execute("delete from drafts where conversation_id is ?", (conversation_id,))
    if text:
        db.execute("insert into drafts (conversation_id, text) values (?, ?)", (conversation_id, storable(text)))


def attachments(database: Database, conversation_id: int | None) -> list[Attachment]:
    """What is to be sent with it."""
    rows = database.query(
        "select * from draft_attachments where conversation_id is ? order by number", (conversation_id,)
    )
    return [attachment_of(row) for row in rows]


def attach(db: Connection, conversation_id: int | None, attached: Sequence[Attachment]) -> None:
    """Keep what is to be sent with it, in place of what there was."""
    db.execute("delete from draft_attachments where conversation_id is ?", (conversation_id,))
    db.executemany(
        "insert into draft_attachments (conversation_id, number, name, text, path, media_type)"
        " values (?, ?, ?, ?, ?, ?)",
        [(conversation_id, number, *attachment_columns(each)) for number, each in enumerate(attached, start=1)],
    )


def holds(database: Database, conversation_id: int | None, text: str, attached: Sequence[Attachment] | None) -> bool:
    """Whether all that is kept already."""
    if conversation_id is not None and not database.query(
        "select 1 from conversations where id = ?", (conversation_id,)
    ):
        return False
    if read(database, conversation_id) != text:
        return False
    kept = attachments(database, conversation_id) if attached is not None else ()
    return [*map(attachment_columns, kept)] == [*map(attachment_columns, attached or ())]


def prompts(database: Database, limit: int) -> list[str]:
    """The last prompts, the newest first, no two neighbours equal."""
    found: list[str] = []
    before_id = _ANY_ID
    while len(found) < limit:
        rows = database.query(
            "select messages.id, content from messages join conversations on conversations.id = conversation_id"
            " where messages.id < ? and role = 'user' and content != '' and deleted_at is null"
            " order by messages.id desc limit ?",
            (before_id, limit),
        )
        if not rows:
            break
        found = [text for text, _ in groupby([*found, *(str(row[1]) for row in rows)])]
        before_id = rows[-1][0]
    return found[:limit]
