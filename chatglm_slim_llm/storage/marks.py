"""Which process writes a growing reply: a file beside the database that its process keeps locked.

The operating system lets go of the lock when the process ends, however it ends; the number of a process says nothing,
as another one may have it by now.
"""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path

_INFIX = ".writer-"
_held: dict[str, int] = {}
"""Marks of this process, with its number: after a fork they are those of the parent."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)

    def _is_locked(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return True
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        return False

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_EX)

    def _is_locked(file: int) -> bool:
        try:
            fcntl.lockf(
                file, fcntl.LOCK_SH | fcntl.LOCK_NB
            )  # shared: two that look do not take each other for a writer
        except OSError:
            return True
        fcntl.lockf(file, fcntl.LOCK_UN)
        return False


class WritingMark:
    """The mark of one store; made when it first writes a growing reply, gone when the store is closed."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._name: str | None = None
        self._file: int | None = None

    def name(self) -> str:
        """What the messages call this writer; from now on the mark is locked."""
        if self._name is None or _held.get(self._name) != os.getpid() or not _path(self._database, self._name).exists():
            self.release()
            self._name = uuid.uuid4().hex[:16]
            self._file = os.open(_path(self._database, self._name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _lock(self._file)
            _held[self._name] = os.getpid()
        return self._name

    def release(self) -> None:
        """Nothing is written any more."""
        name, file, self._name, self._file = self._name, self._file, None, None
        if name is None or file is None:
            return
        is_ours = _held.get(name) == os.getpid()
        os.close(file)
        if is_ours:
            _held.pop(name, None)
            with suppress(OSError):
                _path(self._database, name).unlink()


def is_alive(database: Path, name: str | None) -> bool:
    """Whether the process that writes under this mark lives and has not closed its store."""
    if name is None:
        return False
    if _held.get(name) == os.getpid():  # a look at the file would let go of the lock: locks belong to the process
        return True
    try:
        file = os.open(_path(database, name), os.O_RDWR)
    except OSError:
        return False
    try:
        return _is_locked(file)
    finally:
        os.close(file)


def left(database: Path) -> list[Path]:
    """The marks beside the database, of the living and of the dead."""
    prefix = database.name + _INFIX
    return [each for each in database.parent.iterdir() if each.name.startswith(prefix)] if database.exists() else []


def remove_dead(database: Path) -> None:
    """Remove the marks that dead processes left; called while no other process can make one."""
    for path in left(database):
        if not is_alive(database, path.name.rpartition(_INFIX)[2]):
            with suppress(OSError):  # Windows keeps what someone looks at
                path.unlink()


def _path(database: Path, name: str) -> Path:
    return database.with_name(database.name + _INFIX + name)
