"""Conversations of other programs, and our own, into a history file."""

from __future__ import annotations

import re
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from chatglm_slim_llm.errors import SchemaTooNewError, StorageError
from chatglm_slim_llm.storage.conversations import ConversationStore
from chatglm_slim_llm.storage.exchange import chatgpt, llm_logs, own
from chatglm_slim_llm.storage.exchange.fields import Fields
from chatglm_slim_llm.storage.exchange.json_stream import JsonStream, MalformedError
from chatglm_slim_llm.storage.whole import WholeConversation

_SQLITE = b"SQLite format 3\0"
_ZIP = b"PK\x03\x04"
_MEMBER = re.compile(r"conversations(-\d+)?\.json")
_MAX_PROBLEMS = 100
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    LZMAError,
    RuntimeError,
    EOFError,
    ValueError,
    NotImplementedError,
)
"""What unpacking raises, depending on which byte is wrong."""

Found = WholeConversation | MalformedError


@dataclass(frozen=True)
class ImportReport:
    """What became of a file."""

    conversations: int
    """How many were added."""
    messages: int
    """How many messages they have together."""
    skipped: int
    """How many were there already, from an earlier import or because they were begun here."""
    problems: tuple[str, ...] = ()
    """What could not be read, a sentence each; all else was added."""


def import_file(store: ConversationStore, path: Path) -> ImportReport:
    """Add the conversations of a file that are not there yet, each of them whole or not at all.

    Args:
        store: the history to add to.
        path: our own JSON, a history file or backup of this program, ChatGPT's export (the archive or its
            ``conversations.json``), or the ``logs.db`` of ``llm``.

    Raises:
        StorageError: the file is none of these, or nothing in it can be read.
    """
    added = messages = skipped = 0
    problems: list[str] = []
    try:
        for found in _conversations(path):
            if isinstance(found, MalformedError):
                problems.append(str(found))
            elif store.add_whole(found) is None:
                skipped += 1
            else:
                added, messages = added + 1, messages + len(found.messages)
    except MalformedError as error:
        if not added + skipped:
            raise StorageError(f"{path.name} {error}") from error
        problems.append(f"the rest of {path.name} could not be read: it {error}")
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror or error})") from error
    if problems and not added + skipped:
        raise StorageError(f"nothing in {path.name} can be read; the first problem: {problems[0]}")
    return ImportReport(added, messages, skipped, _few(problems))


def _few(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _MAX_PROBLEMS
    return (*problems[:_MAX_PROBLEMS], f"and {more:,} more") if more > 0 else tuple(problems)


def _conversations(path: Path) -> Iterator[Found]:
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise StorageError(f"{path} {what}; name the file to import")
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
        file.seek(0)
        if head == _SQLITE:
            yield from _of_database(path)
        elif head.startswith(_ZIP):
            yield from _of_archive(file)
        else:
            yield from _of_json(file)


def _of_json(file: BinaryIO) -> Iterator[Found]:
    stream = JsonStream(file)
    first = stream.peek()
    if first == "[":
        yield from _entries(stream)
    elif first == "{":
        yield from _of_object(stream)
    else:
        raise MalformedError("is none of the kinds of files that can be imported: JSON, a zip archive, or SQLite")
    stream.end()


def _of_object(stream: JsonStream) -> Iterator[Found]:
    """Our own file, or one conversation of ChatGPT's."""
    fields: dict[str, object] = {}
    is_known = False
    for key in stream.members():
        if key == "conversations" and stream.peek() == "[":
            is_known = True
            yield from _entries(stream)
            continue
        fields[key] = stream.value()
        if key == "format" and fields[key] != own.FORMAT:
            raise MalformedError(f"has a format that is unknown here: {str(fields[key])[:60]!r}")
        if key == "version" and fields.get("format") == own.FORMAT:
            own.check_version(fields[key])
    if "mapping" in fields:
        yield from _of_entry(fields, 0)
    elif not is_known:
        raise MalformedError("is JSON, but holds no conversations of this program or of ChatGPT")


def _entries(stream: JsonStream) -> Iterator[Found]:
    for place, entry in enumerate(stream.items()):
        yield from _of_entry(entry, place)


def _of_entry(entry: object, place: int) -> Iterator[Found]:
    where = f"conversations[{place}]"
    try:
        fields = Fields.of(entry, where)
        is_foreign = "mapping" in fields.values
        found = chatgpt.conversation(fields.values, where) if is_foreign else own.conversation(fields)
    except MalformedError as error:
        yield MalformedError(f"{_named(entry, place)}: {error}")
    except RecursionError:
        yield MalformedError(f"{_named(entry, place)}: it is nested too deeply")
    else:
        if found is not None:
            yield found


def _named(entry: object, place: int) -> str:
    title = entry.get("title") if isinstance(entry, dict) else None
    return f"conversation {place + 1}" + (f" ({title[:60]})" if isinstance(title, str) and title.strip() else "")


def _of_archive(file: BinaryIO) -> Iterator[Found]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(name for name in archive.namelist() if _MEMBER.fullmatch(PurePosixPath(name).name))
            if not names:
                raise MalformedError("is a zip archive without a conversations.json")
            for name in names:
                with archive.open(name) as member:
                    yield from _of_json(member)  # type: ignore[arg-type]  # IO[bytes] is all that is needed
    except _BROKEN as error:
        if isinstance(error, MalformedError):
            raise
        raise MalformedError(f"is a zip archive that cannot be unpacked ({error})") from error


def _of_database(path: Path) -> Iterator[Found]:
    with llm_logs.opened(path) as db:
        if llm_logs.is_history(db):
            yield from _of_history(db)
        else:
            yield from llm_logs.conversations(db)


def _of_history(db: sqlite3.Connection) -> Iterator[Found]:
    """Another history file of ours: a copy of it is brought up to date, so that the file itself stays as it is."""
    if llm_logs.has_code(db):
        raise MalformedError("holds views or triggers, which no history file of this program has")
    with tempfile.TemporaryDirectory(prefix="chatglm-slim-") as folder:
        copy = Path(folder) / "history.db"
        with closing(sqlite3.connect(copy)) as target:
            db.backup(target)
        try:
            with ConversationStore.open(copy) as other:
                for each in reversed([*other.conversations("shown"), *other.conversations("archived")]):
                    yield other.whole(each.id)
        except SchemaTooNewError as error:
            raise MalformedError("was written by a newer version of this program; update chatglm-slim-llm") from error
        except StorageError as error:
            raise MalformedError(f"is damaged ({error.__cause__ or 'a part of it is missing'})") from error
