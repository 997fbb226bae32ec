"""What a reply rests on: passages of documents, kept with the message that cites them.

Each source holds a copy of the words that were quoted, so that it can be read after its file has changed or gone.
Where passages come from is not known here: `retrieval/` makes sources of what it has found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.text import storable


@dataclass(frozen=True)
class Source:
    """A passage as a reply had it before it."""

    number: int
    """What the reply calls it: ``[1]``."""
    passage_id: str
    source: str
    """The file's path, or what the text was added under."""
    text: str
    """The words that were quoted, as they were then."""
    heading: str = ""
    page: int | None = None
    first_line: int | None = None
    last_line: int | None = None
    score: float | None = None
    """How well the passage fitted the question; ``None`` where nobody said."""


def add(database: Database, message_id: int, sources: Sequence[Source]) -> None:
    """Keep the sources of a message, all of them or none; a number that is there already is replaced."""
    with database.transaction() as db:
        if db.execute("select 1 from messages where id = ?", (message_id,)).fetchone() is None:
            raise StorageError(
                f"{database.path} has no message {message_id}: it was deleted or never there; its sources are not kept"
            )
        insert(db, message_id, sources)


def insert(db: Connection, message_id: int, sources: Sequence[Source]) -> None:
    """Keep sources of a message that is there."""
    db.executemany(
        "insert or replace into sources"
        " (message_id, number, passage_id, source, heading, page, first_line, last_line, score, text)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(message_id, *_columns(source)) for source in sources],
    )


def of_message(database: Database, message_id: int) -> list[Source]:
    """The sources of a message by their numbers; a message without any, or that is gone, has none."""
    rows = database.query("select * from sources where message_id = ? order by number", (message_id,))
    return [source_of(row) for row in rows]


def _columns(source: Source) -> tuple[object, ...]:
    return (
        source.number,
        storable(source.passage_id),
        storable(source.source),
        storable(source.heading),
        source.page,
        source.first_line,
        source.last_line,
        None if source.score is None else float(source.score),  # a float of numpy would be stored as bytes
        storable(source.text),
    )


def source_of(row: Row) -> Source:
    """The source of a row of the table."""
    return Source(
        number=row["number"],
        passage_id=row["passage_id"],
        source=row["source"],
        text=row["text"],
        heading=row["heading"],
        page=row["page"],
        first_line=row["first_line"],
        last_line=row["last_line"],
        score=row["score"],
    )
