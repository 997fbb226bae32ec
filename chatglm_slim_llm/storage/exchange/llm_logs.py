"""Conversations as the command ``llm`` logs them in its ``logs.db``.

Older versions of it keep a row for each prompt with its response, newer ones a tree of messages, where a
conversation is a thread that points at its last one. A file may hold both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from chatglm_slim_llm.storage.exchange import llm_responses, llm_threads
from chatglm_slim_llm.storage.exchange.json_stream import MalformedError
from chatglm_slim_llm.storage.whole import WholeConversation

_MAX_VALUE_BYTES = 64 << 20
_HISTORY_ID = 0x43474C4D


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's SQLite file, to be read only.

    Raises:
        MalformedError: SQLite cannot read it.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            db.execute("pragma trusted_schema = off")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
            db.text_factory = lambda value: value.decode("utf-8", "replace")
            yield db
    except sqlite3.Error as error:
        raise MalformedError(f"is damaged, or another program keeps it from being read ({error})") from error


def is_history(db: sqlite3.Connection) -> bool:
    """Whether the file is a history file of ours."""
    return bool(db.execute("pragma application_id").fetchone()[0] == _HISTORY_ID)


def has_code(db: sqlite3.Connection) -> bool:
    """Whether reading or changing tables may run what whoever made the file has put there, perhaps for ever."""
    rows = db.execute("select type from sqlite_master where type in ('view', 'trigger')").fetchall()
    return bool(rows)


def conversations(db: sqlite3.Connection) -> Iterator[WholeConversation | MalformedError]:
    """All that was logged, and what could not be understood of it.

    Raises:
        MalformedError: the file is of another program.
    """
    tables = _tables(db)
    with_threads = llm_threads.can_read(tables)
    if not with_threads and not llm_responses.can_read(tables):
        raise MalformedError("is a SQLite file, but neither a log of llm nor a history file of this program")
    threads = llm_threads.ids(db) if with_threads else []
    for thread in threads:
        yield from _tried(partial(llm_threads.conversation, db, thread))
    if llm_responses.can_read(tables):
        for key in llm_responses.keys(db, without=set(threads)):
            yield from _tried(partial(llm_responses.conversation, db, tables, key))


def _tried(read: Callable[[], WholeConversation | None]) -> Iterator[WholeConversation | MalformedError]:
    try:
        found = read()
    except MalformedError as error:
        yield error
        return
    if found is not None:
        yield found


def _tables(db: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """Tables with their columns; views and virtual tables could make a reader work for ever."""
    rows = db.execute("select name from sqlite_master where type = 'table' and rootpage > 0").fetchall()
    return {row["name"]: frozenset(_columns(db, row["name"])) for row in rows}


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in db.execute("select name from pragma_table_info(?)", (table,))]
