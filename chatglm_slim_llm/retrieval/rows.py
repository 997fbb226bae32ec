"""Rows of a knowledge base: what is written together, and what is made of a row that was read.

The functions take part in a transaction that ``index.py`` holds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, Literal, cast

import numpy as np

from chatglm_slim_llm.retrieval.passages import Chunk, Passage, whole_number
from chatglm_slim_llm.retrieval.vectors import Vectors, pack_sentences
from chatglm_slim_llm.storage.text import storable

State = Literal["incoming", "ready", "skipped"]


@dataclass(frozen=True)
class IndexedChunk:
    """A chunk with what it is found by."""

    chunk: Chunk
    terms: str
    """Terms joined by spaces, a line for each sentence."""
    vectors: Vectors | None
    """The chunk's own vector and then its sentences', [1 + sentences, dimension]; ``None`` without an embedder."""
    key: str | None = None
    """The id that the user gave it; ``None`` lets the index choose."""


@dataclass(frozen=True)
class Document:
    """A file that the knowledge base knows."""

    id: int
    source: str
    path: Path | None
    state: State
    reason: str | None
    """Why it was skipped."""
    digest: str | None
    size_bytes: int | None
    mtime_ns: int | None
    indexed_at: float
    """Seconds since the epoch; it was read then or later."""


@dataclass(frozen=True)
class FileState:
    """What a file was like when it was read."""

    path: Path
    digest: str | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    seen_at: float | None = None
    """Seconds since the epoch before which it was not read; now if ``None``."""


class Names:
    """Stable ids of one document's chunks: the same text in the same file has the same id after the next sync."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[str, int] = {}

    def name(self, text: str) -> str:
        occurrence = self._seen[text] = self._seen.get(text, 0) + 1
        told = f"{self._source}\0{occurrence}\0{text}".encode("utf-8", "surrogatepass")
        return sha256(told).hexdigest()[:20]


def add_document(db: Connection, file: FileState | None, source: str, state: State, reason: str | None) -> int:
    """A new document; gives its id."""
    path, digest, size, mtime = (
        (os.fsencode(file.path), file.digest, file.size_bytes, file.mtime_ns) if file else (None, None, None, None)
    )
    seen_at = file.seen_at if file else None
    cursor = db.execute(
        "insert into documents (source, path, state, reason, digest, size_bytes, mtime_ns, indexed_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (source, path, state, reason, digest, size, mtime, time.time() if seen_at is None else seen_at),
    )
    return cast(int, cursor.lastrowid)


def ids_of_documents(db: Connection, path: Path) -> list[int]:
    """All documents of a file, the incoming one among them."""
    rows = db.execute("select id from documents where path = ?", (os.fsencode(path),)).fetchall()
    return [row["id"] for row in rows]


def add_chunks(db: Connection, document_id: int, chunks: Sequence[IndexedChunk], names: Names) -> list[str]:
    """New chunks of a document; gives their keys."""
    keys = []
    for each in chunks:
        chunk = each.chunk
        key = each.key or names.name(chunk.text)
        cursor = db.execute(
            "insert into chunks (key, document_id, text, heading, page, first_line, last_line, metadata, term_count)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                storable(key),
                document_id,
                storable(chunk.text),
                storable(chunk.heading),
                chunk.page,
                chunk.first_line,
                chunk.last_line,
                storable(json.dumps(dict(chunk.metadata), ensure_ascii=False)),  # paths of SQLite know no escapes
                len(each.terms.split()),
            ),
        )
        chunk_id = cast(int, cursor.lastrowid)
        db.execute("insert into chunk_terms (rowid, terms) values (?, ?)", (chunk_id, each.terms))
        if each.vectors is not None:
            put_vectors(db, chunk_id, each.vectors)
        keys.append(key)
    return keys


def put_vectors(db: Connection, chunk_id: int, rows: Vectors) -> None:
    """A chunk's own vector and its sentences', [1 + sentences, dimension]."""
    db.execute("insert or replace into vectors values (?, ?)", (chunk_id, rows[0].astype(np.float32).tobytes()))
    db.execute("insert or replace into sentence_vectors values (?, ?)", (chunk_id, pack_sentences(rows[1:])))


def forget_documents(db: Connection, document_ids: Iterable[int]) -> None:
    """Documents and all that hangs on them."""
    for document_id in document_ids:
        rows = db.execute("select id from chunks where document_id = ?", (document_id,)).fetchall()
        delete_chunks(db, [row["id"] for row in rows])
        db.execute("delete from documents where id = ?", (document_id,))


def delete_chunks(db: Connection, ids: Iterable[int]) -> None:
    """Chunks with their terms and vectors."""
    rows = [(id_,) for id_ in ids]
    for table, key in (
        ("chunk_terms", "rowid"),
        ("vectors", "chunk_id"),
        ("sentence_vectors", "chunk_id"),
        ("chunks", "id"),
    ):
        db.executemany(f"delete from {table} where {key} = ?", rows)


def ids_of_texts(db: Connection, keys: Iterable[str]) -> list[int]:
    """Chunks of no file with these keys."""
    sql = "select c.id from chunks c join documents d on d.id = c.document_id where c.key = ? and d.path is null"
    return [row["id"] for key in keys for row in db.execute(sql, (storable(key),)).fetchall()]


def value_of(db: Connection, key: str) -> Any:
    """A setting's value, ``None`` if there is none."""
    row = db.execute("select value from settings where key = ?", (key,)).fetchone()
    return row["value"] if row else None


def set_values(db: Connection, values: Mapping[str, object]) -> None:
    """Settings."""
    db.executemany("insert or replace into settings values (?, ?)", values.items())


def count_up(db: Connection, key: str) -> None:
    """A setting that is a counter."""
    db.execute("insert into settings values (?, 1) on conflict (key) do update set value = value + 1", (key,))


def to_document(row: Row) -> Document:
    """A row of documents."""
    return Document(
        row["id"],
        row["source"],
        None if row["path"] is None else to_path(row["path"]),
        row["state"],
        row["reason"],
        row["digest"],
        row["size_bytes"],
        row["mtime_ns"],
        row["indexed_at"],
    )


def to_passage(row: Row) -> Passage:
    """A row of chunks with its document's source and path."""
    metadata = json.loads(row["metadata"])
    if row["path"] is not None:
        place = {key: row[key] for key in ("source", "heading", "page", "first_line", "last_line") if row[key]}
        metadata = place | metadata
    return Passage(
        row["key"],
        row["text"],
        0.0,
        str(metadata.get("source", "")),
        row["heading"] or str(metadata.get("heading", "")),
        whole_number(metadata.get("page")),
        whole_number(metadata.get("first_line")),
        whole_number(metadata.get("last_line")),
        metadata,
    )


def to_path(raw: bytes) -> Path:
    """A path as the file system has it."""
    return Path(os.fsdecode(raw))
