"""Searching the history: titles and texts, one hit a conversation."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from chatglm_slim_llm.storage import index
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Conversation, Hit, Shelf
from chatglm_slim_llm.storage.rows import CONVERSATION, conversation_of
from chatglm_slim_llm.storage.shelves import ON_SHELF
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.words import Search, composed, fold, search_for

_BEFORE = 24
_EXCERPT_LENGTH = 120
_GAP = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def search(database: Database, query: str, shelf: Shelf | None, limit: int) -> list[Hit]:
    """Conversations with all words of ``query`` in their title or in one message.

    Titles come first, then whole words, then words that only begin so; among equals the one touched last.
    """
    wanted = search_for(storable(query))
    if wanted is None:
        return []
    with database.snapshot():
        found = _found(database, wanted)
        whole = set(_indexed(database, wanted.whole)) if wanted.whole != wanted.match else None
        hits: list[Hit] = []
        for conversation_id in _best_first(database, found, whole, shelf):
            hit = _hit(database, wanted, conversation_id, found[conversation_id])
            if hit is not None:
                hits.append(hit)
            if len(hits) == limit:
                break
    return hits


def _found(database: Database, wanted: Search) -> dict[int, list[int]]:
    """Messages by conversation, or ``TITLE``."""
    by_conversation: dict[int, list[int]] = defaultdict(list)
    for conversation_id, message_id in _indexed(database, wanted.match) if wanted.match else _scan(database, wanted):
        by_conversation[conversation_id].append(message_id)
    return by_conversation


def _indexed(database: Database, match: str) -> list[tuple[int, int]]:
    rows = database.query("select rowid from search_terms where search_terms match ?", (match,))
    return [index.address(row[0]) for row in rows]


def _scan(database: Database, wanted: Search) -> Iterator[tuple[int, int]]:
    """Signs, such as emoji, are in no index."""
    yield from map(
        tuple,
        database.query(
            "select conversation_id, id from messages where instr(content, ?1)"
            " union all select id, 0 from conversations where instr(title, ?1)",
            (wanted.longest,),
        ),
    )


def _best_first(
    database: Database, found: dict[int, list[int]], whole: set[tuple[int, int]] | None, shelf: Shelf | None
) -> list[int]:
    if not found:
        return []
    with_whole = None if whole is None else {conversation_id for conversation_id, _ in whole}
    rows = database.query(f"select id, updated_at from conversations where {ON_SHELF[shelf]}")
    ranked = [
        (index.TITLE in found[row_id], with_whole is None or row_id in with_whole, updated_at, row_id)
        for row_id, updated_at in rows
        if row_id in found
    ]
    return [row_id for *_, row_id in sorted(ranked, reverse=True)]


def _hit(database: Database, wanted: Search, conversation_id: int, message_ids: list[int]) -> Hit | None:
    conversation = conversation_of(
        database.query(f"select {CONVERSATION} from conversations where id = ?", (conversation_id,))[0]
    )
    for message_id in sorted(message_ids, reverse=True):  # TITLE comes last
        text = _text(database, conversation, message_id)
        if text is None or not _holds(wanted, text):
            continue
        excerpt, marks = _excerpt(wanted, text)
        return Hit(conversation, message_id or None, excerpt, marks)
    return None


def _text(database: Database, conversation: Conversation, message_id: int) -> str | None:
    if message_id == index.TITLE:
        return conversation.title
    rows = database.query("select content from messages where id = ?", (message_id,))
    return rows[0][0] if rows else None


def _holds(wanted: Search, text: str) -> bool:
    folded = fold(text)
    return all(pattern.search(folded) for pattern in wanted.patterns)


def _excerpt(wanted: Search, text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One line around the first place, and where the words stand in it."""
    whole = composed(text)
    at = min(found.start() for pattern in wanted.patterns if (found := pattern.search(fold(whole))))
    start = max(0, at - _BEFORE)
    space = whole.find(" ", start, at) if start else -1
    start = start if space < 0 else space + 1
    line = _GAP.sub(" ", whole[start : start + _EXCERPT_LENGTH]).strip()
    excerpt = "…" * (start > 0) + line + "…" * (start + _EXCERPT_LENGTH < len(whole))
    folded = fold(excerpt)
    spots = sorted(found.span() for pattern in wanted.patterns for found in pattern.finditer(folded))
    return excerpt, _merged(spots)


def _merged(spots: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in spots:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
