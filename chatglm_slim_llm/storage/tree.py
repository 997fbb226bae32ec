"""The messages of a conversation as a tree: its paths, its branches, and how it grows.

Of each message with several that follow it, ``shown_child_id`` is the one whose branch was shown last.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import cast

from chatglm_slim_llm.errors import GoneError
from chatglm_slim_llm.storage import index
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Conversation, Draft, Message, Role
from chatglm_slim_llm.storage.rows import (
    CONVERSATION,
    MESSAGE,
    attachment_columns,
    conversation_of,
    message_of,
    settings_text,
)
from chatglm_slim_llm.storage.text import storable

PATH = (
    "with recursive path (message_id, above_id, depth) as ("
    " select id, parent_id, 0 from messages"
    "  where id = (select head_id from conversations where conversations.id = ?)"
    " union all"
    " select messages.id, messages.parent_id, depth + 1 from path join messages on messages.id = path.above_id)"
)
"""Rows from the head of the conversation ``?`` up to its first message."""


@dataclass(frozen=True)
class NewMessage:
    """A message and where it goes."""

    conversation_id: int
    parent_id: int | None
    draft: Draft
    created_at: float


def path(database: Database, conversation_id: int) -> list[Message]:
    """The path from the first message to the conversation's head."""
    rows = database.tuples(
        f"{PATH} select {MESSAGE} from path join messages on id = message_id order by depth desc", (conversation_id,)
    )
    return [message_of(row) for row in rows]


def message(db: Connection, message_id: int) -> Message:
    """One message.

    Raises:
        GoneError: it was deleted or never there.
    """
    row = db.execute(f"select {MESSAGE} from messages where id = ?", (message_id,)).fetchone()
    if row is None:
        raise gone("message", message_id)
    return message_of(row)


def conversation(db: Connection, conversation_id: int) -> Conversation:
    """One conversation.

    Raises:
        GoneError: it was deleted or never there.
    """
    row = db.execute(f"select {CONVERSATION} from conversations where id = ?", (conversation_id,)).fetchone()
    if row is None:
        raise gone("conversation", conversation_id)
    return conversation_of(row)


def gone(kind: str, row_id: int) -> GoneError:
    """What to raise where a row is missing."""
    return GoneError(f"the history has no {kind} {row_id}: it was deleted or never there; begin a new conversation")


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def create(db: Connection, title: str, settings: ChatSettings | None = None) -> int:
    """Begin a conversation without messages."""
    now = time.time()
    conversation_id = db.execute(
        "insert into conversations (title, created_at, updated_at, settings, uid) values (?, ?, ?, ?, ?)",
        (storable(title), now, now, settings_text(settings or ChatSettings()), uuid.uuid4().hex),
    ).lastrowid
    index.add(db, cast(int, conversation_id), index.TITLE, storable(title))
    return cast(int, conversation_id)


def insert(db: Connection, new: NewMessage, writer: str | None = None) -> Message:
    """Add a message to the tree; ``writer`` is whose mark stands for one that still grows."""
    draft, is_growing = new.draft, grows(new.draft.role, new.draft.finish_reason)
    columns = (new.conversation_id, new.parent_id, draft.role, storable(draft.content), new.created_at)
    row = db.execute(
        "insert into messages"
        " (conversation_id, parent_id, role, content, created_at, finish_reason, original, writer, is_indexed)"
        f" values (?, ?, ?, ?, ?, ?, ?, ?, ?) returning {MESSAGE}",
        (*columns, draft.finish_reason, draft.original, writer if is_growing else None, not is_growing),
    ).fetchone()
    added = message_of(row)
    if not is_growing:
        index.add(db, added.conversation_id, added.id, added.content)
    return added


def grows(role: Role, finish_reason: str | None) -> bool:
    """Whether more will come: a reply that has no reason to have ended."""
    return role == "assistant" and finish_reason is None


def extend(db: Connection, conversation_id: int, drafts: Sequence[Draft], writer: str | None) -> list[Message]:
    """Add messages below the head, one below the other."""
    head_id = conversation(db, conversation_id).head_id
    now = time.time()
    added: list[Message] = []
    for draft in drafts:
        added.append(insert(db, NewMessage(conversation_id, head_id, draft, now), writer))
        head_id = added[-1].id
    if added:
        show(db, added[-1])
    return added


def show(db: Connection, last: Message) -> None:
    """Make a new message the head, and its path the one that was shown last."""
    head_id = conversation(db, last.conversation_id).head_id
    choose_above(db, last.id, up_to=head_id)
    db.execute(
        "update conversations set head_id = ?, updated_at = ? where id = ?",
        (last.id, last.created_at.timestamp(), last.conversation_id),
    )


def choose_above(db: Connection, message_id: int, *, up_to: int | None = None) -> None:
    """Let the path down to a message be the one shown last; above ``up_to``, it is that already."""
    db.execute(
        "with recursive above (id, child_id) as ("
        " select parent_id, id from messages where id = ?1"
        " union all"
        " select messages.parent_id, messages.id from above join messages using (id) where messages.id is not ?2)"
        " update messages set shown_child_id = child_id from above"
        " where messages.id = above.id and shown_child_id is not child_id",
        (message_id, up_to),
    )


def attach(db: Connection, message_id: int, attachments: Iterable[Attachment]) -> None:
    """Keep the files that were sent with a message."""
    db.executemany(
        "insert into attachments (message_id, number, name, text, path, media_type) values (?, ?, ?, ?, ?, ?)",
        [(message_id, number, *attachment_columns(each)) for number, each in enumerate(attachments, start=1)],
    )


def variants(database: Database, message_id: int) -> list[Message]:
    """Messages with the same parent, in order of creation."""
    rows = database.query(
        f"select {MESSAGE} from messages where conversation_id ="
        " (select conversation_id from messages where id = ?1)"
        " and parent_id is (select parent_id from messages where id = ?1) order by id",
        (message_id,),
    )
    return [message_of(row) for row in rows]


def variant_counts(database: Database, conversation_id: int) -> dict[int, tuple[int, int]]:
    """Position and count among its variants, for each message of the shown path that has some."""
    with database.snapshot():
        shown = database.query(f"{PATH} select message_id, above_id from path", (conversation_id,))
        rows = database.query(
            "select id, parent_id from messages where conversation_id = ? order by id", (conversation_id,)
        )
    below: dict[int | None, list[int]] = defaultdict(list)
    for row_id, parent_id in rows:
        below[parent_id].append(row_id)
    return {
        row_id: (below[parent_id].index(row_id) + 1, len(below[parent_id]))
        for row_id, parent_id in shown
        if len(below[parent_id]) > 1
    }


def show_variant(database: Database, message_id: int) -> None:
    """Show the path through a message, down to where it was shown last, or else to what is newest."""
    with database.transaction() as db:
        chosen = message(db, message_id)
        choose_above(db, chosen.id)
        head_id = _shown_leaf(db, message_id)
        db.execute("update conversations set head_id = ? where id = ?", (head_id, chosen.conversation_id))


def _shown_leaf(db: Connection, message_id: int) -> int:
    while True:
        row = db.execute(
            "select id from messages where parent_id = ?1 order by"
            " id = (select shown_child_id from messages where id = ?1) desc, id desc limit 1",
            (message_id,),
        ).fetchone()
        if row is None:
            return message_id
        message_id = row[0]
