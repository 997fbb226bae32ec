"""The knowledge base's file: documents, chunks, terms and vectors in and out of SQLite.

All SQL of retrieval is here and in ``rows.py``. What to index is decided by ``sync.py``, how to rank by ``finding.py``.
Every write that changes what can be found moves ``generation`` on, in the same transaction.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatglm_slim_llm.retrieval.embedders import Fingerprint
from chatglm_slim_llm.retrieval.passages import Passage
from chatglm_slim_llm.retrieval.rows import (
    Document,
    FileState,
    IndexedChunk,
    Names,
    add_chunks,
    add_document,
    count_up,
    delete_chunks,
    forget_documents,
    ids_of_documents,
    ids_of_texts,
    put_vectors,
    set_values,
    to_document,
    to_passage,
    to_path,
    value_of,
)
from chatglm_slim_llm.retrieval.schema import KNOWLEDGE_BASE
from chatglm_slim_llm.retrieval.terms import begins_pairs
from chatglm_slim_llm.retrieval.vectors import Vectors, unpack_sentences
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.text import storable

Ids = NDArray[np.int64]

_BLOCK = 4096
_FEW = 500  # parameters of one statement; old builds of SQLite allow 999
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))  # what `str.strip` takes; none is higher
_PASSAGE = (
    "select c.id, c.key, c.text, c.heading, c.page, c.first_line, c.last_line, c.metadata, d.source, d.path"
    " from chunks c join documents d on d.id = c.document_id"
)


class Index:
    """One knowledge base's file; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, KNOWLEDGE_BASE)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        self._database.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reading inside see the same state of the file."""
        with self._database.snapshot():
            yield

    # Settings and counts

    def setting(self, key: str) -> Any:
        """A setting's value, ``None`` if there is none."""
        rows = self._database.query("select value from settings where key = ?", (key,))
        return rows[0]["value"] if rows else None

    def set_settings(self, values: Mapping[str, object]) -> None:
        """Keep settings."""
        with self._database.transaction() as db:
            set_values(db, values)

    @property
    def generation(self) -> int:
        """Changes whenever what can be found does."""
        return int(self.setting("generation") or 0)

    @property
    def vectors_epoch(self) -> int:
        """Changes whenever all vectors are thrown away."""
        return int(self.setting("vectors_epoch") or 0)

    def visible(self) -> tuple[Ids, float]:
        """Ids of all chunks that may be found, ascending, and their mean number of terms.

        A blank text answers nothing, however near an embedder puts it. It stays in the file, for its id.
        """
        rows = self._database.query(
            "select group_concat(id), avg(term_count) from chunks"
            " where document_id not in (select id from documents where state <> 'ready')"
            " and (term_count > 0 or trim(text, ?) <> '')",
            (_WHITE_SPACE,),
        )
        return _ids(rows), float(rows[0][1] or 0.0) if rows else 0.0

    def counts(self) -> dict[str, int]:
        """Documents by state, and chunks; ``ready`` and ``skipped`` are told where there are none, too."""
        rows = self._database.query("select state, count(*) from documents where path is not null group by state")
        return {"ready": 0, "skipped": 0} | {row[0]: row[1] for row in rows} | {"chunks": len(self.visible()[0])}

    # Roots and documents

    def roots(self) -> list[Path]:
        """The files and folders that people asked for."""
        return [to_path(row["path"]) for row in self._database.query("select path from roots order by path")]

    def devices(self) -> dict[Path, int]:
        """The file system that each root was on."""
        return {to_path(row["path"]): row["device"] for row in self._database.query("select * from roots")}

    def add_roots(self, paths: Iterable[Path]) -> None:
        """Remember what people asked for."""
        with self._database.transaction() as db:
            db.executemany(
                "insert or replace into roots values (?, ?)",
                [(os.fsencode(path), path.stat().st_dev) for path in paths],
            )

    def remove_roots(self, paths: Iterable[Path]) -> None:
        """Forget what people asked for; the documents stay until they are removed."""
        with self._database.transaction() as db:
            db.executemany("delete from roots where path = ?", [(os.fsencode(path),) for path in paths])

    def documents(self) -> list[Document]:
        """The files that are there, or were skipped, by path."""
        rows = self._database.query(
            "select * from documents where path is not null and state <> 'incoming' order by path"
        )
        return [to_document(row) for row in rows]

    def skip(self, file: FileState, source: str, reason: str) -> None:
        """Remember that a file cannot be read; its old chunks go."""
        with self._changing() as db:
            forget_documents(db, ids_of_documents(db, file.path))
            add_document(db, file, source, "skipped", reason)

    def touch(self, document_id: int, file: FileState) -> None:
        """A file was written again with the same content."""
        with self._database.transaction() as db:
            db.execute(
                "update documents set size_bytes = ?, mtime_ns = ?, indexed_at = ? where id = ?",
                (file.size_bytes, file.mtime_ns, time.time() if file.seen_at is None else file.seen_at, document_id),
            )

    def remove_documents(self, document_ids: Sequence[int]) -> None:
        """Remove documents and all that hangs on them, together."""
        if document_ids:
            with self._changing() as db:
                forget_documents(db, document_ids)

    def remove_incoming(self) -> None:
        """Remove what a killed process left half written."""
        rows = self._database.query("select id from documents where state = 'incoming'")
        self.remove_documents([row["id"] for row in rows])

    def put_document(self, file: FileState, source: str, blocks: Iterable[Sequence[IndexedChunk]]) -> None:
        """Put a file's chunks in place of its old ones: found all together, or not at all.

        Each block is written as it comes; a document of one block takes one transaction.
        """
        document_id: int | None = None
        names = Names(source)
        for block, is_last in _with_last(blocks):
            with self._changing() if is_last else self._database.transaction() as db:
                if document_id is None:
                    document_id = add_document(db, file, source, "incoming", None)
                add_chunks(db, document_id, block, names)
                if is_last:
                    forget_documents(db, [id_ for id_ in ids_of_documents(db, file.path) if id_ != document_id])
                    db.execute("update documents set state = 'ready' where id = ?", (document_id,))

    # Texts that came from no file

    def put_texts(self, chunks: Sequence[IndexedChunk], epoch: int | None = None) -> list[str]:
        """Add texts; one whose id is there already takes the other's place. Gives the ids.

        Args:
            chunks: the texts.
            epoch: ``vectors_epoch`` when their vectors were made; vectors of an earlier one are left out.
        """
        with self._changing() as db:
            if epoch is not None and epoch != (value_of(db, "vectors_epoch") or 0):
                chunks = [replace(chunk, vectors=None) for chunk in chunks]
            keys = [chunk.key for chunk in chunks if chunk.key is not None]
            delete_chunks(db, ids_of_texts(db, keys))
            row = db.execute("select id from documents where path is null and state = 'ready'").fetchone()
            document_id = row["id"] if row else add_document(db, None, "", "ready", None)
            return add_chunks(db, document_id, chunks, Names(""))

    def delete_texts(self, keys: Sequence[str] | None) -> None:
        """Delete texts by their ids; ``None`` deletes all of them. Ids that are not there are no error."""
        with self._changing() as db:
            if keys is None:
                rows = db.execute("select id from documents where path is null").fetchall()
                forget_documents(db, [row["id"] for row in rows])
            else:
                delete_chunks(db, ids_of_texts(db, keys))

    # What search needs

    def passages(self, ids: Sequence[int]) -> dict[int, Passage]:
        """Chunks by id, those that are still there, with score 0."""
        rows = self._each(f"{_PASSAGE} where c.id in ({{}})", ids)
        return {row["id"]: to_passage(row) for row in rows}

    def passages_by_key(self, keys: Sequence[str]) -> list[Passage]:
        """Chunks by their stable ids, in the order asked for."""
        stored = {key: storable(key) for key in keys}
        rows = self._each(f"{_PASSAGE} where d.state = 'ready' and c.key in ({{}})", list(stored.values()))
        found = {row["key"]: to_passage(row) for row in rows}
        return [found[stored[key]] for key in keys if stored[key] in found]

    def around(self, key: str, before: int, after: int) -> list[Passage]:
        """A chunk with its neighbours of the same document, in the order of the text."""
        rows = self._database.query(
            "select c.id, c.document_id, d.path from chunks c join documents d on d.id = c.document_id"
            " where c.key = ? and d.state = 'ready'",
            (key,),
        )
        if not rows or rows[0]["path"] is None:
            return self.passages_by_key([key])
        here, document_id = rows[0]["id"], rows[0]["document_id"]
        ordered = f"{_PASSAGE} where c.document_id = ? and c.id"
        earlier = self._database.query(f"{ordered} <= ? order by c.id desc limit ?", (document_id, here, before + 1))
        later = self._database.query(f"{ordered} > ? order by c.id limit ?", (document_id, here, after))
        return [to_passage(row) for row in [*reversed(earlier), *later]]

    def term_counts(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many chunks each term is; terms that are in none are left out."""
        counts = {}
        for term in terms:
            if begins_pairs(term):
                counts[term] = len(self.chunks_with(term))
                continue
            rows = self._database.query("select doc from term_counts where term = ?", (term,))
            if rows:
                counts[term] = int(rows[0]["doc"])
        return {term: count for term, count in counts.items() if count}

    def chunks_with(self, term: str) -> Ids:
        """Ids of the chunks that hold a term; a single character of Chinese, at the beginning of a pair as well."""
        sql = "select group_concat(rowid) from chunk_terms where chunk_terms match ?"
        wanted = f'"{term}" *' if begins_pairs(term) else f'"{term}"'
        return _ids(self._database.query(sql, (wanted,)))

    def terms_of(self, ids: Sequence[int]) -> dict[int, str]:
        """Terms of chunks, a line for each sentence."""
        rows = self._each("select rowid, terms from chunk_terms where rowid in ({})", ids)
        return {row[0]: row[1] for row in rows}

    def vectors_of(self, ids: Sequence[int]) -> dict[int, Vectors]:
        """Vectors of chunks."""
        rows = self._each("select chunk_id, vector from vectors where chunk_id in ({})", ids)
        return {row[0]: np.frombuffer(row[1], np.float32) for row in rows}

    def sentence_vectors_of(self, ids: Sequence[int], dimension: int) -> dict[int, Vectors]:
        """Vectors of chunks' sentences, [sentence, dimension] each."""
        rows = self._each("select chunk_id, vectors from sentence_vectors where chunk_id in ({})", ids)
        return {row[0]: unpack_sentences(row[1], dimension) for row in rows}

    def vectors_after(self, chunk_id: int) -> Iterator[tuple[Ids, Vectors]]:
        """All vectors of chunks with a higher id, in blocks."""
        while True:
            rows = self._database.query(
                "select chunk_id, vector from vectors where chunk_id > ? order by chunk_id limit ?", (chunk_id, _BLOCK)
            )
            if not rows:
                return
            ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
            yield ids, np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(rows), -1)
            chunk_id = int(ids[-1])

    def matching(self, wanted: Mapping[str, object]) -> Ids:
        """Ids of the chunks that may be found and whose source, place or metadata have these values, ascending."""
        plain = {key: value for key, value in wanted.items() if _is_plain(key, value)}
        conditions, parameters = ["d.state = 'ready'"], []
        for key, value in plain.items():
            column = _COLUMNS.get(key)
            conditions.append(f"{column or 'json_extract(c.metadata, ?)'} is ?")
            parameters += [value] if column else [f'$."{key}"', value]
        rows = self._database.query(
            f"select c.id from chunks c join documents d on d.id = c.document_id where {' and '.join(conditions)}"
            " order by c.id",
            parameters,
        )
        ids = [row[0] for row in rows]
        odd = [(key, value) for key, value in wanted.items() if key not in plain]
        if odd:
            found = self.passages(ids)
            ids = sorted(id_ for id_ in found if all(found[id_].metadata.get(key) == value for key, value in odd))
        return np.array(ids, np.int64)

    # The embedder

    def fingerprint(self) -> Fingerprint | None:
        """What the vectors of this file were made by; ``None`` if it has none."""
        rows = self._database.query("select key, value from settings where key in ('embedder', 'dimension', 'probe')")
        found = dict(map(tuple, rows))  # read at once: another process may be replacing them
        if not found:
            return None
        return Fingerprint(found["embedder"], np.frombuffer(found["probe"], np.float32).reshape(-1, found["dimension"]))

    def begin_vectors(self, fingerprint: Fingerprint | None, *, if_none: bool = False) -> None:
        """Throw all vectors away and note what the next ones are made by.

        Args:
            fingerprint: of their embedder.
            if_none: do nothing if there is an embedder already; another process may have been faster.
        """
        with self._changing() as db:
            if if_none and db.execute("select 1 from settings where key = 'embedder'").fetchone():
                return
            db.execute("delete from vectors")
            db.execute("delete from sentence_vectors")
            db.execute("delete from settings where key in ('embedder', 'dimension', 'probe')")
            count_up(db, "vectors_epoch")
            if fingerprint is not None:
                probe = np.ascontiguousarray(fingerprint.probe, np.float32).tobytes()
                set_values(db, {"embedder": fingerprint.name, "dimension": fingerprint.dimension, "probe": probe})

    def without_vectors(self, limit: int) -> list[tuple[int, str, str]]:
        """Chunks that have no vector yet: id, heading and text."""
        rows = self._database.query(
            "select id, heading, text from chunks where id not in (select chunk_id from vectors) order by id limit ?",
            (limit,),
        )
        return [(row["id"], row["heading"], row["text"]) for row in rows]

    def count_without_vectors(self) -> int:
        """How many chunks have no vector."""
        rows = self._database.query("select (select count(*) from chunks) - (select count(*) from vectors)")
        return int(rows[0][0]) if rows else 0

    def put_vectors(self, vectors: Mapping[int, Vectors]) -> None:
        """Give chunks their vectors, and those of their sentences."""
        with self._changing() as db:
            for chunk_id, rows in vectors.items():
                is_there = db.execute("select 1 from chunks where id = ?", (chunk_id,)).fetchone()
                if is_there:  # it may have been deleted while its vectors were made
                    put_vectors(db, chunk_id, rows)

    # Records of LangChain's indexing API

    def query_records(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """Read from the table of records."""
        return self._database.query(sql, parameters)

    def change_records(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Change the table of records, all rows or none."""
        with self._database.transaction() as db:
            db.executemany(sql, rows)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._database.transaction() as db:
            yield db
            count_up(db, "generation")

    def _each(self, sql: str, values: Sequence[object]) -> Iterator[Row]:
        for start in range(0, len(values), _FEW):
            few = values[start : start + _FEW]
            yield from self._database.query(sql.format(", ".join("?" * len(few))), few)


_COLUMNS = {
    "source": "coalesce(json_extract(c.metadata, '$.source'), nullif(d.source, ''))",
    "page": "coalesce(c.page, json_extract(c.metadata, '$.page'))",
    "heading": "coalesce(nullif(c.heading, ''), json_extract(c.metadata, '$.heading'))",
    "first_line": "coalesce(c.first_line, json_extract(c.metadata, '$.first_line'))",
    "last_line": "coalesce(c.last_line, json_extract(c.metadata, '$.last_line'))",
}


def _is_plain(key: str, value: object) -> bool:
    """Whether SQLite compares such a value as Python does, under a key that its JSON paths can name."""
    if not key.isprintable() or set(key) & {'"', "\\"}:
        return False
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and -(1 << 63) <= value < 1 << 63)


def _ids(rows: Sequence[Row]) -> Ids:
    """Ids that SQLite has joined by commas, ascending: a row for each would take ten times as long."""
    joined = rows[0][0] if rows else None
    return np.sort(np.fromstring(joined, np.int64, sep=",")) if joined else np.empty(0, np.int64)


def _with_last(blocks: Iterable[Sequence[IndexedChunk]]) -> Iterator[tuple[Sequence[IndexedChunk], bool]]:
    held: Sequence[IndexedChunk] = ()
    is_first = True
    for block in blocks:
        if not is_first:
            yield held, False
        held, is_first = block, False
    yield held, True
