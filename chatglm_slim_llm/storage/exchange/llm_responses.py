"""A log of an older ``llm``: a row for each prompt with its response, one conversation after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chatglm_slim_llm.storage.conversations import title_of
from chatglm_slim_llm.storage.exchange.fields import moment_of
from chatglm_slim_llm.storage.exchange.llm_rows import FOLDER, attachment, figures, fragments, joined, text
from chatglm_slim_llm.storage.records import Attachment, ChatSettings
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

Tables = Mapping[str, frozenset[str]]

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDED = frozenset({"id", "prompt", "system", "response", "conversation_id", "datetime_utc"})


@dataclass(frozen=True)
class Key:
    """Which rows are one conversation."""

    conversation_id: str
    response_id: str
    """The only row, where it belongs to no conversation."""


def can_read(tables: Tables) -> bool:
    """Whether the file has such rows."""
    return tables.get("responses", frozenset()) >= _NEEDED


def keys(db: sqlite3.Connection, without: Container[str]) -> Iterator[Key]:
    """The conversations, the oldest first."""
    rows = db.execute(
        "select conversation_id, min(id) as id from responses"
        " group by coalesce(conversation_id, 'alone:' || id) order by min(datetime_utc), min(id)"
    ).fetchall()
    for row in rows:
        key = Key(text(row["conversation_id"]), text(row["id"]))
        if key.conversation_id not in without:
            yield key


def conversation(db: sqlite3.Connection, tables: Tables, key: Key) -> WholeConversation | None:
    """One conversation; ``None`` if there is nothing to read in it."""
    column, value = ("conversation_id", key.conversation_id) if key.conversation_id else ("id", key.response_id)
    rows = db.execute(f"select * from responses where {column} = ? order by datetime_utc, id", (value,)).fetchall()
    messages: list[WholeMessage] = []
    systems: list[str] = []
    for row in rows:
        moment = moment_of(row["datetime_utc"]) or (messages[-1].created_at if messages else _NEVER)
        asked, answer = text(row["prompt"]), text(row["response"])
        attachments = _attachments(db, tables, row["id"])
        if asked.strip() or attachments:
            parent = len(messages) - 1 if messages else None
            messages.append(WholeMessage(parent, "user", asked, moment, attachments=attachments))
        if answer.strip():
            parent = len(messages) - 1 if messages else None
            messages.append(WholeMessage(parent, "assistant", answer, moment, "stop", figures=figures(row)))
        systems.append(joined([*(each.text for each in _system_fragments(db, tables, row["id"])), text(row["system"])]))
    if not messages:
        return None
    return WholeConversation(
        uid=f"llm:{key.conversation_id or key.response_id}",
        title=title_of(_title(db, tables, key) or messages[0].content),
        created_at=messages[0].created_at,
        updated_at=messages[-1].created_at,
        messages=tuple(messages),
        head=len(messages) - 1,
        folder=FOLDER,
        settings=ChatSettings(system=next(filter(None, systems), "")),
    )


def _title(db: sqlite3.Connection, tables: Tables, key: Key) -> str:
    if not key.conversation_id or not tables.get("conversations", frozenset()) >= {"id", "name"}:
        return ""
    row = db.execute("select name from conversations where id = ?", (key.conversation_id,)).fetchone()
    return "" if row is None else text(row["name"]).strip()


def _attachments(db: sqlite3.Connection, tables: Tables, response_id: object) -> tuple[Attachment, ...]:
    found: tuple[Attachment, ...] = ()
    if {"attachments", "prompt_attachments"} <= tables.keys():
        rows = db.execute(
            "select attachments.* from prompt_attachments join attachments on attachments.id = attachment_id"
            ' where response_id = ? order by "order"',
            (response_id,),
        ).fetchall()
        found = tuple(map(attachment, rows))
    return _fragments(db, tables, "prompt_fragments", response_id) + found


def _system_fragments(db: sqlite3.Connection, tables: Tables, response_id: object) -> tuple[Attachment, ...]:
    return _fragments(db, tables, "system_fragments", response_id)


def _fragments(db: sqlite3.Connection, tables: Tables, table: str, response_id: object) -> tuple[Attachment, ...]:
    if not {"fragments", table} <= tables.keys():
        return ()
    rows = db.execute(
        f"select fragments.* from {table} join fragments on fragments.id = fragment_id"
        ' where response_id = ? order by "order"',
        (response_id,),
    ).fetchall()
    return fragments(rows)
