"""What the tests of exports and imports share: a conversation with all there can be, and files of other programs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from chatglm_slim_llm.storage import Attachment, ChatSettings, Figures, Source
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

DATA = Path(__file__).parent.parent / "data" / "exchange"
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


def everything() -> WholeConversation:
    """One conversation that uses every field, with two answers to its first question."""
    source = Source(3, "p-1", "/home/anna/rooms.md", "Room 7 is 锁.", "Rooms", 2, 10, 12, 0.75)
    messages = (
        WholeMessage(None, "user", "Which <b>room</b>?\n  indented", NOON, attachments=(
            Attachment("地图.md", "# map", Path("/home/anna/地图.md"), "text/markdown"), Attachment("b.txt", "b"))),
        WholeMessage(0, "assistant", "First", NOON, "cancelled"),
        WholeMessage(0, "assistant", "Room 7 [3].", NOON, "stop",
                     figures=Figures(5, 21.5, 0.25, 100, 2048), sources=(source,)),
        WholeMessage(2, "user", "再来", NOON),
        WholeMessage(3, "assistant", "", NOON, "error", failure="out of memory"),
        WholeMessage(4, "assistant", "", NOON, "stop", original='{"type": "ai"}'),
    )  # fmt: skip
    return WholeConversation(
        uid="0123456789abcdef",
        title="Rooms & *stars*",
        created_at=NOON,
        updated_at=datetime(2026, 2, 1, tzinfo=UTC),
        messages=messages,
        head=5,
        folder="工作",
        is_pinned=True,
        archived_at=NOON,
        deleted_at=NOON,
        settings=ChatSettings("Be a lamp.", {"temperature": 0.5, "top_k": 3, "stop": ["a", "b"]}, "notes"),
    )


def database(path: Path, sql: str) -> Path:
    """A SQLite file made by a script of ``tests/data/exchange``, or by a few lines."""
    script = (DATA / sql).read_text(encoding="utf-8") if sql.endswith(".sql") else sql
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path
