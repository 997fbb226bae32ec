"""One SQLite file: opened when first needed, brought up to date, shared by threads.

Nothing is created on disk before the first write, so looking at an empty history leaves no trace.
Every error of SQLite leaves here as a ``StorageError`` that names the file and what to do.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatglm_slim_llm.errors import ConfigError, SchemaTooNewError, StorageError
from chatglm_slim_llm.storage.backups import keep_backup, write_copy

Migration = Callable[[sqlite3.Connection], None]

_BUSY_TIMEOUT_MS = 5000
_NO_FILE = ":memory:"

_UNREADABLE = "is damaged or is not a {kind} ({reason}); move it away to start an empty one, and keep it"
_UNWRITABLE = "cannot be written ({reason}); make its folder writable or set CHATGLM_SLIM_HOME to a folder that is"
_ADVICE = {
    sqlite3.SQLITE_CORRUPT: _UNREADABLE,
    sqlite3.SQLITE_NOTADB: _UNREADABLE,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_FULL: "cannot grow ({reason}); make room on the disk and try again",
    sqlite3.SQLITE_BUSY: "is held by another program ({reason}); close that program and try again",
}


@dataclass(frozen=True)
class FileKind:
    """What a SQLite file of ours is for."""

    name: str
    """What people call it, for error messages."""
    application_id: int
    """Tells our files from other programs' SQLite files, and from each other."""
    migrations: Sequence[Migration]
    is_private: bool = False
    """Whether deleted text is overwritten in the file, and an older file is kept when it is brought up to date."""


class Database:
    """A SQLite file behind one lock; transactions of several threads run one after the other."""

    def __init__(self, path: Path, kind: FileKind) -> None:
        if path.name == _NO_FILE:  # SQLite would keep all in memory, beside an empty file that we make under this name
            raise ConfigError(f"{_NO_FILE!r} names no file; give the path of one, which may be temporary", key="path")
        self.path = path
        self._kind = kind
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._revision = 0
        self._data_version = 0

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Run one SELECT; a file that does not exist yet has no rows."""
        with self._lock, self._explained():
            if self._is_missing():
                return []
            return self._connected().execute(sql, parameters).fetchall()

    def tuples(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What ``query`` gives, without names: sooner where there are thousands of rows."""
        with self._lock, self._explained():
            if self._is_missing():
                return []
            cursor = self._connected().cursor()
            cursor.row_factory = None
            return cursor.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all queries inside see the file as it is at the first of them; other processes may write meanwhile."""
        with self._lock, self._explained():
            if self._is_missing():
                yield
                return
            db = self._connected()
            if db.in_transaction:  # within another one
                yield
                return
            db.execute("begin")
            try:
                yield
            finally:
                db.execute("rollback")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection whose changes are kept together or not at all; creates the file when it is missing."""
        with self._lock, self._explained(), _begun(self._connected()) as db:
            yield db

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let nothing inside wait for another thread or process; raise a ``StorageError`` where it would have to."""
        if not self._lock.acquire(blocking=False):
            raise StorageError(f"{self.path} is being written just now; try again")
        try:
            with self._impatient() if not self._is_missing() else nullcontext():
                yield
        finally:
            self._lock.release()

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        with self._explained():
            db = self._connected()
            db.execute("pragma busy_timeout = 0")
        try:
            yield
        finally:
            db.execute(f"pragma busy_timeout = {_BUSY_TIMEOUT_MS}")

    def revision(self) -> int:
        """A number that grows when someone else has written: another process, or another object in this one.

        Never waits for another thread, which may itself wait for another process: it is the number of before then.
        """
        if not self._lock.acquire(blocking=False):
            return self._revision
        try:
            with self._explained():
                if not self._is_missing():
                    seen = _pragma(self._connected(), "data_version")
                    self._revision += seen != self._data_version
                    self._data_version = seen
                return self._revision
        finally:
            self._lock.release()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the file as it is now; what stands at ``path`` is replaced."""
        with self._lock:
            with self._explained():
                db = self._connected()
            try:
                write_copy(db, path)
            except (OSError, sqlite3.Error) as error:
                raise StorageError(f"{path} cannot be written ({error}); choose another place for the copy") from error

    def checkpoint(self) -> None:
        """Bring all that was written into the file itself, and empty the log beside it, unless someone reads it."""
        with self._lock, self._impatient(), self._explained():
            self._connected().execute("pragma wal_checkpoint (truncate)")

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self._data_version = 0  # no number of the next connection: there may be changes that nobody has seen

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and not self._connection.in_transaction and self._file() != self._opened:
            self.close()  # another file is in its place, or none: what is written into the old one nobody finds
        if self._connection is None:
            self._connection = self._open()
            self._opened = self._file()
        return self._connection

    def _is_missing(self) -> bool:
        """Whether there is nothing to read; reading makes no file."""
        if self._connection is not None and self._connection.in_transaction:
            return False
        return self._file() is None

    def _file(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> sqlite3.Connection:
        if self.path.is_dir():
            raise StorageError(f"{self.path} is a folder; give the path of a file, such as one inside it")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its side files the same mode
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            db.execute(f"pragma busy_timeout = {_BUSY_TIMEOUT_MS}")
            self._check_ours(db)
            _use_wal(db)
            db.execute("pragma synchronous = normal")
            db.execute("pragma foreign_keys = on")
            db.execute(f"pragma secure_delete = {'on' if self._kind.is_private else 'off'}")
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        # Who was given a path has nothing to close, and Python 3.13 warns of a connection that nobody closed. At exit
        # a thread may still be writing: there the process's end closes the file.
        weakref.finalize(self, db.close).atexit = False
        return db

    def _check_ours(self, db: sqlite3.Connection) -> None:
        is_new = not db.execute("select count(*) from sqlite_master").fetchone()[0]
        if not is_new and _pragma(db, "application_id") != self._kind.application_id:
            raise StorageError(
                f"{self.path} is a database of another program and not a {self._kind.name};"
                " move it away, or set CHATGLM_SLIM_HOME to another folder"
            )
        found, known = _pragma(db, "user_version"), len(self._kind.migrations)
        if found > known:
            raise SchemaTooNewError(
                f"{self.path} was written by a newer version of this program (schema {found}, this one knows {known});"
                " update chatglm-slim-llm, or set CHATGLM_SLIM_HOME to another folder to start an empty one"
            )

    def _migrate(self, db: sqlite3.Connection) -> None:
        steps = self._kind.migrations
        if _pragma(db, "user_version") >= len(steps):
            return
        if self._kind.is_private and _pragma(db, "user_version"):
            keep_backup(db, self.path, _pragma(db, "user_version"))
        with _begun(db):  # all steps or none, so nobody sees a new file that is half made
            if (seen := _pragma(db, "user_version")) >= len(steps):  # another process was faster
                return
            for step in steps[seen:]:
                step(db)
            db.execute(f"pragma application_id = {self._kind.application_id}")
            db.execute(f"pragma user_version = {len(steps)}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary result code
            advice = _ADVICE.get(code, "could not be used ({reason}); try again, and check the disk it is on")
            raise StorageError(f"{self.path} {advice.format(reason=error, kind=self._kind.name)}") from error
        except OSError as error:
            raise StorageError(f"{self.path} {_UNWRITABLE.format(reason=error.strerror or error)}") from error


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait here for another process that opens the same new file, but says at once that it is busy."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            db.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


@contextmanager
def _begun(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("begin immediate")  # takes the write lock at once: no deadlock between two upgrades
    try:
        yield db
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back already
            db.execute("rollback")
        raise
    db.execute("commit")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])
