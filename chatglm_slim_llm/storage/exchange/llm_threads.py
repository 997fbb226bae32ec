"""A log of a newer ``llm``: a tree of messages that conversations share, and threads that point into it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from chatglm_slim_llm.storage.conversations import title_of
from chatglm_slim_llm.storage.exchange.fields import moment_of
from chatglm_slim_llm.storage.exchange.llm_rows import FOLDER, attachment, figures, joined, text
from chatglm_slim_llm.storage.exchange.tree import Node, planted
from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Role
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDED = {
    "threads": {"id", "name", "tip_message_hash", "datetime_utc"},
    "turns": {"id", "thread_id", "parent_message_hash", "tip_message_hash", "datetime_utc", "output_tokens"},
    "messages": {"hash", "parent_hash", "role"},
    "parts": {"message_hash", "position", "type", "text", "payload"},
    "fragments": {"id", "content"},
    "attachments": {"id", "type", "path", "url", "content"},
}


def can_read(tables: Mapping[str, frozenset[str]]) -> bool:
    """Whether the file has such tables."""
    return all(tables.get(name, frozenset()) >= columns for name, columns in _NEEDED.items())


def ids(db: sqlite3.Connection) -> list[str]:
    """The threads, the oldest first."""
    rows = db.execute("select id from threads where tip_message_hash is not null order by datetime_utc, id").fetchall()
    return [text(row["id"]) for row in rows if text(row["id"])]


def conversation(db: sqlite3.Connection, thread_id: str) -> WholeConversation | None:
    """One thread with all the branches that its turns made; ``None`` if there is nothing to read in it.

    Raises:
        MalformedError: its messages are no tree.
    """
    thread = db.execute("select * from threads where id = ?", (thread_id,)).fetchone()
    turns = db.execute("select * from turns where thread_id = ? order by datetime_utc, id", (thread_id,)).fetchall()
    rows = _chain(db, [*(turn["tip_message_hash"] for turn in turns), thread["tip_message_hash"]])
    started_at = moment_of(thread["datetime_utc"]) or _NEVER
    dates = _Dates(rows, turns, started_at)
    said = {row["hash"]: _said(db, row["hash"]) for row in rows}
    nodes = [_node(row, said[row["hash"]], dates) for row in rows]
    tree = planted(nodes, text(thread["tip_message_hash"]))
    if not tree.messages:
        return None
    systems = (said[row["hash"]].text for row in rows if row["role"] == "system")
    return WholeConversation(
        uid=f"llm:{thread_id}",
        title=title_of(text(thread["name"]).strip() or tree.messages[0].content),
        created_at=min(message.created_at for message in tree.messages),
        updated_at=max(message.created_at for message in tree.messages),
        messages=tree.messages,
        head=tree.head,
        folder=FOLDER,
        settings=ChatSettings(system=next(filter(None, systems), "")),
    )


def _chain(db: sqlite3.Connection, tips: Sequence[object]) -> list[sqlite3.Row]:
    """The messages above the tips, and these, in the order of the tips; each once, so that a circle ends."""
    found: dict[str, sqlite3.Row] = {}
    for tip in tips:
        key = tip
        while isinstance(key, str) and key not in found:
            row = db.execute("select hash, parent_hash, role from messages where hash = ?", (key,)).fetchone()
            if row is None:
                break
            found[key] = row
            key = row["parent_hash"]
    return list(found.values())


class _Dates:
    """Messages are shared and have no date; the turn that made or first asked one does."""

    def __init__(self, rows: Sequence[sqlite3.Row], turns: Sequence[sqlite3.Row], started_at: datetime) -> None:
        parents = {row["hash"]: row["parent_hash"] for row in rows}
        self._started_at = started_at
        self._moments: dict[object, datetime] = {}
        self.turns: dict[object, sqlite3.Row] = {}
        for turn in turns:
            moment = moment_of(turn["datetime_utc"]) or started_at
            self.turns.setdefault(turn["tip_message_hash"], turn)
            key = turn["tip_message_hash"]
            while key in parents and key not in self._moments:
                self._moments[key] = moment
                key = parents[key]

    def of(self, key: object) -> datetime:
        return self._moments.get(key, self._started_at)


@dataclass(frozen=True)
class _Said:
    text: str
    attachments: tuple[Attachment, ...]


def _node(row: sqlite3.Row, said: _Said, dates: _Dates) -> Node:
    turn = dates.turns.get(row["hash"])
    message = None
    if row["role"] in ("user", "assistant") and (said.text.strip() or said.attachments):
        role = cast(Role, row["role"])
        is_reply = role == "assistant"
        message = WholeMessage(
            parent=None,
            role=role,
            content=said.text,
            created_at=dates.of(row["hash"]),
            finish_reason="stop" if is_reply else None,
            figures=figures(turn) if is_reply and turn is not None else None,
            attachments=said.attachments,
        )
    return Node(row["hash"], text(row["parent_hash"]) or None, message)


def _said(db: sqlite3.Connection, message_hash: str) -> _Said:
    """The words of a message and its files; what it thought, and what it asked of tools, is left out."""
    rows = db.execute("select * from parts where message_hash = ? order by position", (message_hash,)).fetchall()
    texts: list[str] = []
    attachments: list[Attachment] = []
    for row in rows:
        payload = _payload(row["payload"])
        if row["type"] == "text":
            texts.append(text(row["text"]) or _resolved(db, payload.get("text_ref")))
        elif row["type"] == "attachment":
            attachments += _attachments(db, payload.get("attachment"))
    return _Said(joined(texts), tuple(attachments))


def _payload(value: object) -> dict[str, Any]:
    try:
        payload = json.loads(text(value) or "{}")
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _resolved(db: sqlite3.Connection, pieces: object) -> str:
    """A text that borrows from fragments, put together again."""
    texts: list[str] = []
    for piece in pieces if isinstance(pieces, list) else []:
        if not isinstance(piece, dict):
            continue
        if "literal" in piece:
            texts.append(text(piece["literal"]))
        elif isinstance(number := piece.get("fragment"), int) and abs(number) < 2**63:
            row = db.execute("select content from fragments where id = ?", (number,)).fetchone()
            texts.append("" if row is None else text(row["content"]))
    return "".join(texts)


def _attachments(db: sqlite3.Connection, reference: object) -> list[Attachment]:
    key = reference.get("id") if isinstance(reference, dict) else None
    if not isinstance(key, str):
        return []
    row = db.execute("select * from attachments where id = ?", (key,)).fetchone()
    return [] if row is None else [attachment(row)]
