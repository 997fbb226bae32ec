"""What a model did with tools on the way to a reply, kept with the reply.

Which tools there are, and how they are run, is not known here: ``hosting/`` tells of each step.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Any, Literal

from chatglm_slim_llm.storage import tree
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.text import storable

ToolState = Literal["asked", "running", "done", "refused", "failed"]
"""``asked`` waits for a person's permission."""

_COLUMNS = "tool_uses.*, messages.finish_reason is not null as is_over"


@dataclass(frozen=True)
class ToolUse:
    """One use of a tool, as far as it has come."""

    id: str
    """What tells it from the other uses."""
    name: str
    arguments: Mapping[str, object]
    """As JSON takes them."""
    state: ToolState
    result: str = ""
    """What the tool gave, or why it failed; as the model was told."""


def replace(database: Database, message_id: int, uses: Sequence[ToolUse]) -> bool:
    """Keep these uses of a reply in the place of those that were there; returns False if the reply is gone."""
    with database.transaction() as db:
        if db.execute("select 1 from messages where id = ?", (message_id,)).fetchone() is None:
            return False
        db.execute("delete from tool_uses where message_id = ?", (message_id,))
        insert(db, message_id, uses)
    return True


def insert(db: Connection, message_id: int, uses: Sequence[ToolUse]) -> None:
    """Keep the uses of a message that is there and has none yet."""
    db.executemany(
        "insert into tool_uses (message_id, number, use_id, name, arguments, state, result)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        [(message_id, number, *_columns(use)) for number, use in enumerate(uses)],
    )


def of_path(database: Database, conversation_id: int) -> dict[int, list[ToolUse]]:
    """The uses by message, of the shown path."""
    rows = database.query(
        f"{tree.PATH} select {_COLUMNS} from path join tool_uses using (message_id)"
        " join messages on messages.id = message_id order by message_id, number",
        (conversation_id,),
    )
    return _grouped(rows)


def of_conversation(database: Database, conversation_id: int) -> dict[int, list[ToolUse]]:
    """The uses by message, of all branches."""
    rows = database.query(
        f"select {_COLUMNS} from tool_uses join messages on messages.id = message_id"
        " where conversation_id = ? order by message_id, number",
        (conversation_id,),
    )
    return _grouped(rows)


def arguments_of(stored: str) -> dict[str, Any]:
    """Arguments from their JSON; an infinite number, which no other program's JSON has, becomes its name."""
    try:
        found = json.loads(stored, parse_constant=str)
    except ValueError:  # another program has changed it
        return {}
    return found if isinstance(found, dict) else {}


def _grouped(rows: list[Row]) -> dict[int, list[ToolUse]]:
    found: dict[int, list[ToolUse]] = defaultdict(list)
    for row in rows:
        found[row["message_id"]].append(_of(row))
    return dict(found)


def _of(row: Row) -> ToolUse:
    state: ToolState = row["state"]
    if row["is_over"] and state in ("asked", "running"):  # the reply was stopped, or its process died
        state = "failed"
    return ToolUse(row["use_id"], row["name"], arguments_of(row["arguments"]), state, row["result"])


def _columns(use: ToolUse) -> tuple[str, ...]:
    arguments = json.dumps(dict(use.arguments), ensure_ascii=False, default=str)
    return storable(use.id), storable(use.name), storable(arguments), use.state, storable(use.result)
