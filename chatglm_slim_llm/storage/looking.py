"""A look at a history file that changes nothing: no step of its schema is taken, no file is made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from chatglm_slim_llm.storage.migrations import MIGRATIONS

KNOWN_SCHEMA = len(MIGRATIONS)
"""The newest schema that this version of the program can use."""


@dataclass(frozen=True)
class HistoryFacts:
    """What can be said of a history file without showing what is in it."""

    schema: int
    conversations: int
    messages: int


def history_facts(path: Path) -> HistoryFacts:
    """Count what is in the file.

    Raises:
        sqlite3.Error: it is damaged, held by another program, or no history file.
    """
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as db:
        (schema,) = db.execute("pragma user_version").fetchone()
        counts = [db.execute(f"select count(*) from {table}").fetchone()[0] for table in ("conversations", "messages")]
        return HistoryFacts(schema, *counts)
