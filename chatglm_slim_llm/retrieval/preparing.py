"""Chunks made ready for the index: their terms, and the vectors of each and of its sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chatglm_slim_llm.retrieval.embedders import Embedder, embeddable
from chatglm_slim_llm.retrieval.passages import Chunk
from chatglm_slim_llm.retrieval.rows import IndexedChunk
from chatglm_slim_llm.retrieval.splitting import sentences
from chatglm_slim_llm.retrieval.terms import passage_terms
from chatglm_slim_llm.retrieval.vectors import Vectors

_MOST_SENTENCES = 32
"""A chunk of more, such as a table, has the vectors of its first ones."""


def prepare(
    chunks: Sequence[Chunk], embedder: Embedder | None, keys: Sequence[str] | None = None
) -> list[IndexedChunk]:
    """Make chunks findable, by words alone if there is no embedder; all texts are embedded in one call."""
    vectors: Sequence[Vectors | None] = [None] * len(chunks)
    if embedder is not None:
        vectors = vectors_of([(chunk.heading, chunk.text) for chunk in chunks], embedder)
    names: Sequence[str | None] = keys if keys is not None else [None] * len(chunks)
    return [
        IndexedChunk(chunk, _terms(chunk), rows, name) for chunk, rows, name in zip(chunks, vectors, names, strict=True)
    ]


def vectors_of(texts: Sequence[tuple[str, str]], embedder: Embedder) -> list[Vectors]:
    """For each heading and text: the vector of both, then of each sentence, [1 + sentences, dimension].

    A text of one sentence has no further vector: it would be the same.
    """
    parts = [[_whole(heading, text), *_sentences(text)] for heading, text in texts]
    every = [embeddable(part) for group in parts for part in group]
    rows = embedder.passages(every) if every else np.empty((0, 0), np.float32)
    ends = np.cumsum([len(group) for group in parts])
    return [rows[end - len(group) : end] for group, end in zip(parts, ends, strict=True)]


def _whole(heading: str, text: str) -> str:
    return f"{heading}\n{text}" if heading else text


def _sentences(text: str) -> list[str]:
    found = sentences(text)
    return found[:_MOST_SENTENCES] if len(found) > 1 else []


def _terms(chunk: Chunk) -> str:
    lines = [passage_terms(line) for line in (chunk.heading, *sentences(chunk.text)) if line]
    return "\n".join(" ".join(line) for line in lines if line)
