"""Copies of conversations: a path that is forked, a whole tree that goes out or comes in."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from sqlite3 import Connection, Row
from typing import TypeVar, cast

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import index, sources, tool_uses, tree
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Attachment, Conversation, Message
from chatglm_slim_llm.storage.rows import (
    CONVERSATION,
    MESSAGE,
    attachment_of,
    conversation_of,
    figures_text,
    message_of,
    settings_of,
    settings_text,
)
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.tool_uses import ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

T = TypeVar("T")


def whole(database: Database, conversation_id: int) -> WholeConversation:
    """A conversation with all its branches."""
    with database.snapshot():
        found = database.query(f"select {CONVERSATION}, settings from conversations where id = ?", (conversation_id,))
        if not found:
            raise tree.gone("conversation", conversation_id)
        rows = database.query(
            f"select {MESSAGE} from messages where conversation_id = ? order by id", (conversation_id,)
        )
        ours = "where message_id in (select id from messages where conversation_id = ?) order by message_id, number"
        attachments = _grouped(database.query(f"select * from attachments {ours}", (conversation_id,)), attachment_of)
        cited = _grouped(database.query(f"select * from sources {ours}", (conversation_id,)), sources.source_of)
        uses = tool_uses.of_conversation(database, conversation_id)
    messages = [message_of(row) for row in rows]
    places = {message.id: place for place, message in enumerate(messages)}
    *columns, settings = found[0]
    of = conversation_of(columns)
    return WholeConversation(
        uid=of.uid,
        title=of.title,
        created_at=of.created_at,
        updated_at=of.updated_at,
        messages=[
            _whole(each, places, attachments.get(each.id, ()), cited.get(each.id, ()), uses.get(each.id, ()))
            for each in messages
        ],
        head=None if of.head_id is None else places[of.head_id],
        folder=of.folder,
        is_pinned=of.is_pinned,
        archived_at=of.archived_at,
        deleted_at=of.deleted_at,
        settings=settings_of(settings),
    )


def _whole(
    message: Message,
    places: Mapping[int, int],
    attachments: Sequence[Attachment],
    cited: Sequence[Source],
    uses: Sequence[ToolUse],
) -> WholeMessage:
    return WholeMessage(
        parent=None if message.parent_id is None else places[message.parent_id],
        role=message.role,
        content=message.content,
        created_at=message.created_at,
        finish_reason=message.finish_reason,
        original=message.original,
        failure=message.failure,
        figures=message.figures,
        attachments=tuple(attachments),
        sources=tuple(cited),
        tool_uses=tuple(uses),
    )


def add_whole(db: Connection, copy: WholeConversation) -> Conversation | None:
    """Add a conversation as it is given; ``None`` if one with its ``uid`` is there."""
    if db.execute("select 1 from conversations where uid = ?", (storable(copy.uid),)).fetchone():
        return None
    conversation_id = _add_conversation(db, copy)
    ids: list[int] = []
    for place, each in enumerate(copy.messages):
        if each.parent is not None and not 0 <= each.parent < place:
            raise StorageError(
                f"message {place} of {copy.title!r} follows message {each.parent}, which is not before it"
            )
        ids.append(_add_message(db, conversation_id, None if each.parent is None else ids[each.parent], each))
    if copy.head is not None:
        db.execute("update conversations set head_id = ? where id = ?", (ids[copy.head], conversation_id))
        tree.choose_above(db, ids[copy.head])
    return tree.conversation(db, conversation_id)


def _add_conversation(db: Connection, copy: WholeConversation) -> int:
    added = db.execute(
        "insert into conversations (title, created_at, updated_at, folder, is_pinned, archived_at, deleted_at,"
        " settings, uid) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            storable(copy.title),
            copy.created_at.timestamp(),
            copy.updated_at.timestamp(),
            storable(copy.folder),
            copy.is_pinned,
            None if copy.archived_at is None else copy.archived_at.timestamp(),
            None if copy.deleted_at is None else copy.deleted_at.timestamp(),
            settings_text(copy.settings),
            storable(copy.uid),
        ),
    )
    conversation_id = cast(int, added.lastrowid)
    index.add(db, conversation_id, index.TITLE, storable(copy.title))
    return conversation_id


def _add_message(db: Connection, conversation_id: int, parent_id: int | None, each: WholeMessage) -> int:
    added = db.execute(
        "insert into messages (conversation_id, parent_id, role, content, created_at, finish_reason, original,"
        " failure, figures, is_indexed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        (
            conversation_id,
            parent_id,
            each.role,
            storable(each.content),
            each.created_at.timestamp(),
            each.finish_reason,
            None if each.original is None else storable(each.original),
            storable(each.failure),
            figures_text(each.figures),
        ),
    )
    message_id = cast(int, added.lastrowid)
    index.add(db, conversation_id, message_id, storable(each.content))
    tree.attach(db, message_id, each.attachments)
    sources.insert(db, message_id, each.sources)
    tool_uses.insert(db, message_id, each.tool_uses)
    return message_id


def fork(database: Database, message_id: int, title: str | None) -> Conversation:
    """A new conversation with the path down to a message."""
    with database.transaction() as db:
        conversation_id = tree.message(db, message_id).conversation_id
        copy = whole(database, conversation_id)
        rows = db.execute("select id from messages where conversation_id = ? order by id", (conversation_id,))
        messages = _path_to(copy.messages, [row[0] for row in rows].index(message_id))
        now = tree.now()
        forked = add_whole(
            db,
            WholeConversation(
                uid=uuid.uuid4().hex,
                title=copy.title if title is None else title,
                created_at=now,
                updated_at=now,
                messages=messages,
                head=len(messages) - 1,
                folder=copy.folder,
                settings=copy.settings,
            ),
        )
    assert forked is not None
    return forked


def _path_to(messages: Sequence[WholeMessage], place: int | None) -> list[WholeMessage]:
    """The messages down to one of them; a reply that still grows is cut off where it is."""
    path: list[WholeMessage] = []
    while place is not None:
        path.append(messages[place])
        place = messages[place].parent
    path.reverse()
    return [
        replace(
            each,
            parent=number - 1 if number else None,
            finish_reason="interrupted" if tree.grows(each.role, each.finish_reason) else each.finish_reason,
        )
        for number, each in enumerate(path)
    ]


def attachments(database: Database, message_id: int) -> list[Attachment]:
    """The files that were sent with a message."""
    rows = database.query("select * from attachments where message_id = ? order by number", (message_id,))
    return [attachment_of(row) for row in rows]


def attachments_of_path(database: Database, conversation_id: int) -> dict[int, list[Attachment]]:
    """Attachments by message."""
    return _grouped(_of_path(database, "attachments", conversation_id), attachment_of)


def sources_of_path(database: Database, conversation_id: int) -> dict[int, list[Source]]:
    """Sources by message."""
    return _grouped(_of_path(database, "sources", conversation_id), sources.source_of)


def _of_path(database: Database, table: str, conversation_id: int) -> list[Row]:
    return database.query(
        f"{tree.PATH} select {table}.* from path join {table} using (message_id) order by message_id, number",
        (conversation_id,),
    )


def _grouped(rows: list[Row], read: Callable[[Row], T]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        found[row["message_id"]].append(read(row))
    return dict(found)
