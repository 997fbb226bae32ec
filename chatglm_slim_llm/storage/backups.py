"""Copies of a SQLite file, made while others may use it."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.errors import StorageError

if TYPE_CHECKING:
    from chatglm_slim_llm.storage.connection import Database

_KEPT = 3
_INFIX = ".backup-"
_PART = ".part"
_PART_MAY_TAKE_S = 3600
"""An older one was left by a process that was killed."""


def backup(database: Database, path: Path) -> Path:
    """Write a copy of a whole database to a new file, or into a folder under a name with the date."""
    if path.is_dir():
        path = path / f"{database.path.stem}-{_now()}{database.path.suffix}"
    if not database.path.exists():
        raise StorageError(f"{database.path} does not exist yet, so there is nothing to back up")
    if path.exists():
        raise StorageError(f"{path} exists already; choose another name for the backup")
    database.copy_to(path)
    return path


def write_copy(db: sqlite3.Connection, path: Path) -> None:
    """Write all that ``db`` holds to ``path``: beside it first, so that a half copy is never seen."""
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PART}")
    try:
        os.close(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(beside)) as copy:
            db.backup(copy)
            copy.execute("pragma journal_mode = delete")  # one file, without a log beside it
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def keep_backup(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Keep a copy of a file that is about to be changed, and the two newest from before."""
    write_copy(db, path.with_name(f"{path.name}{_INFIX}{version}-{_now()}"))
    kept = [each for each in path.parent.iterdir() if each.name.startswith(path.name + _INFIX)]
    halves = [each for each in kept if each.suffix == _PART]
    complete = sorted(set(kept) - set(halves), key=lambda each: each.name.rpartition("-")[2])
    for old in complete[:-_KEPT] + [each for each in halves if _age_s(each) > _PART_MAY_TAKE_S]:
        old.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:  # another process was faster
        return 0.0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
