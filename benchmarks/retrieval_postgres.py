"""The same vectors in Postgres with pgvector, asked through LangChain: what the step to a server gives and costs.

Rows are copied into the table that ``PGVectorStore`` makes, as its own inserts take a statement a row; its index
(HNSW with the defaults) and its searches are LangChain's. Only vectors are searched: how near the index comes to the
exact answer is told with the times.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import HNSWIndex, HNSWQueryOptions
from pgvector.psycopg import register_vector
from psycopg.types.json import Json

from chatglm_slim_llm.retrieval.embedders import embedder
from chatglm_slim_llm.retrieval.index import Index
from chatglm_slim_llm.retrieval.vectors import VectorTable

Record = dict[str, Any]

_TABLE = "passages"
_DEPTH = 10


def measure(url: str, base: Path, questions: list[str], ef_search: tuple[int, ...] = (40, 100, 200)) -> Record:
    """Fill, index and search.

    Args:
        url: of a database with the extension ``vector``, as psycopg takes it; its table ``passages`` is replaced.
        base: the knowledge base to take vectors from.
        questions: what to ask.
        ef_search: how many candidates the index looks at, a run each.
    """
    index = Index(base)
    own = embedder("use")
    asked = [own.queries([question])[0] for question in questions]
    exact = _exact(index, asked)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("create extension if not exists vector")
        db.execute(f"drop table if exists {_TABLE}")
        engine = PGEngine.from_connection_string(url.replace("postgresql://", "postgresql+psycopg://"))
        engine.init_vectorstore_table(_TABLE, len(asked[0]))
        started = time.perf_counter()
        rows = _copy(db, index)
        copied_s = time.perf_counter() - started
        store = PGVectorStore.create_sync(engine, DeterministicFakeEmbedding(size=len(asked[0])), _TABLE)
        started = time.perf_counter()
        store.apply_vector_index(HNSWIndex())
        indexed_s = time.perf_counter() - started
        sizes = {name: round(_size(db, name) / 1e6) for name in ("table", "indexes")}
        pgvector = _one(db, "select extversion from pg_extension where extname = 'vector'")
        server = _one(db, "show server_version")
    searches = [_searches(engine, asked, exact, each) for each in ef_search]
    return {
        "chunks": rows,
        "server": server,
        "pgvector": pgvector,
        "copying_s": round(copied_s, 1),
        "indexing_s": round(indexed_s, 1),
        "size_mb": sizes,
        "searches": searches,
    }


def _exact(index: Index, asked: list[np.ndarray[Any, Any]]) -> list[set[str]]:
    """The keys of the nearest chunks, by comparing with every one."""
    table = VectorTable()
    visible = len(index.visible()[0])
    for ids, vectors in index.vectors_after(0):
        table.add(ids, vectors, room_for=visible)
    found = []
    for vector in asked:
        cosines = table.nearest(vector, _DEPTH, index.vectors_of)
        best = sorted(cosines, key=lambda id_: -cosines[id_])[:_DEPTH]
        found.append({str(id_) for id_ in best})
    return found


def _rows(index: Index) -> Iterator[tuple[int, str, np.ndarray[Any, Any]]]:
    for ids, vectors in index.vectors_after(0):
        passages = index.passages(ids.tolist())
        for id_, vector in zip(ids.tolist(), vectors, strict=True):
            yield id_, passages[id_].text.replace("\0", ""), vector


def _copy(db: psycopg.Connection[Any], index: Index) -> int:
    register_vector(db)
    count = 0
    sql = f"copy {_TABLE} (langchain_id, content, embedding, langchain_metadata) from stdin with (format binary)"
    with db.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(["uuid", "text", "vector", "json"])
        for id_, text, vector in _rows(index):
            copy.write_row((uuid.UUID(int=id_), text, vector, Json({"id": str(id_)})))
            count += 1
    return count


def _size(db: psycopg.Connection[Any], what: str) -> int:
    return int(_one(db, f"select pg_{what}_size('{_TABLE}')"))


def _one(db: psycopg.Connection[Any], sql: str) -> Any:
    row = db.execute(sql).fetchone()
    return row[0] if row else None


def _searches(engine: PGEngine, asked: list[np.ndarray[Any, Any]], exact: list[set[str]], ef_search: int) -> Record:
    store = PGVectorStore.create_sync(
        engine,
        DeterministicFakeEmbedding(size=len(asked[0])),
        _TABLE,
        index_query_options=HNSWQueryOptions(ef_search=ef_search),
    )
    took, shares = [], []
    for vector, wanted in zip(asked, exact, strict=True):
        started = time.perf_counter()
        found = store.similarity_search_by_vector(vector.tolist(), k=_DEPTH)
        took.append(time.perf_counter() - started)
        shares.append(len(wanted & {each.metadata["id"] for each in found}) / _DEPTH)
    p50, p95 = np.percentile(took, [50, 95])
    return {
        "ef_search": ef_search,
        "p50_s": round(float(p50), 4),
        "p95_s": round(float(p95), 4),
        "max_s": round(max(took), 4),
        "of_exact_top_10": round(statistics.mean(shares), 3),
    }
