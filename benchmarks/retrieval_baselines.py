"""What others do by default, written out plainly: full-text search of SQLite as it comes, and cosines of windows.

Each is a function from a question to the keys of what it finds, the best first.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence

import numpy as np

from chatglm_slim_llm.retrieval.embedders import Embedder
from chatglm_slim_llm.retrieval.splitting import estimate_tokens

Search = Callable[[str], list[str]]

DEPTH = 10
_WINDOW_TOKENS = 512


def full_text(texts: dict[str, str], tokenizer: str) -> Search:
    """FTS5 with one of its own tokenizers and its own BM25; any word of the question may match.

    Args:
        texts: by key.
        tokenizer: ``unicode61``, the default, or ``trigram``, which is what the manual names for Chinese. A question
            becomes every three characters of it in a row then, as words of two could not be found.
    """
    db = sqlite3.connect(":memory:")
    db.execute(f"create virtual table texts using fts5 (key unindexed, text, tokenize = '{tokenizer}')")
    db.executemany("insert into texts values (?, ?)", texts.items())

    def search(question: str) -> list[str]:
        words = re.findall(r"\w+", question)
        if tokenizer == "trigram":
            words = [word[start : start + 3] for word in words for start in range(len(word) - 2)]
        if not words:
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        sql = "select key from texts where texts match ? order by rank limit ?"
        return [key for (key,) in db.execute(sql, (wanted, DEPTH))]

    return search


def nearest(texts: dict[str, str], embedder: Embedder) -> Search:
    """Cosines of whole texts and nothing else."""
    keys = list(texts)
    vectors = embedder.passages(list(texts.values()))

    def search(question: str) -> list[str]:
        cosines = vectors @ embedder.queries([question])[0]
        return [keys[place] for place in np.argsort(-cosines, kind="stable")[:DEPTH]]

    return search


def windows(text: str, tokens: int = _WINDOW_TOKENS) -> list[tuple[int, int]]:
    """A text cut every ``tokens`` tokens whatever stands there, as starts and ends."""
    found, start = [], 0
    while start < len(text):
        low, high = 1, len(text) - start
        while low < high:  # the most characters that fit
            middle = (low + high + 1) // 2
            low, high = (middle, high) if estimate_tokens(text[start : start + middle]) <= tokens else (low, middle - 1)
        found.append((start, start + low))
        start += low
    return found


def overlapping(start: int, end: int, paragraphs: Sequence[tuple[int, int]]) -> list[int]:
    """Which paragraphs, given as starts and ends, a window has a part of."""
    return [place for place, (first, last) in enumerate(paragraphs) if first < end and start < last]
