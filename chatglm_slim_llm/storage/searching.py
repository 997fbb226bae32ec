"""Searching the history: titles and texts, one hit a conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from chatglm_slim_llm.storage import index
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Conversation, Hit, Shelf
from chatglm_slim_llm.storage.rows import CONVERSATION, conversation_of
from chatglm_slim_llm.storage.shelves import ON_SHELF
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.words import Search, composed, fold, search_for

_BEFORE = 24
_EXCERPT_LENGTH = 120
_AT_ONCE = 50
"""Conversations that are looked at together."""
_FEW = 500
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
        ranked = _best_first(database, wanted, found, shelf)
        return list(islice(_hits(database, wanted, found, ranked), limit))


def _found(database: Database, wanted: Search) -> list[int]:
    """What holds all words, or may, as rows of the index in their order."""
    if wanted.match:
        return _indexed(database, wanted.match)
    rows = database.query(  # signs, such as emoji, are in no index
        "select conversation_id, id from messages where instr(content, ?1)"
        " union all select id, 0 from conversations where instr(title, ?1)",
        (wanted.longest,),
    )
    return sorted(index.row_id(conversation_id, message_id) for conversation_id, message_id in rows)


def _indexed(database: Database, match: str) -> list[int]:
    # As one row: a frequent word has tens of thousands, and each would cost more than finding it.
    rows = database.query("select group_concat(rowid) from search_terms where search_terms match ?", (match,))
    return sorted(map(int, rows[0][0].split(","))) if rows and rows[0][0] else []


def _best_first(database: Database, wanted: Search, found: list[int], shelf: Shelf | None) -> list[int]:
    """Conversations of the shelf in the order in which their hits are shown."""
    if not found:
        return []
    titles, conversations = index.titles_of(found), index.conversations_of(found)
    whole = index.conversations_of(_indexed(database, wanted.whole)) if wanted.may_begin_so else conversations
    ranked = [
        (row_id in titles, row_id in whole, updated_at, row_id)
        for row_id, updated_at in _on_shelf(database, shelf, conversations)
        if row_id in conversations
    ]
    return [conversation_id for *_, conversation_id in sorted(ranked, reverse=True)]


def _on_shelf(database: Database, shelf: Shelf | None, wanted: set[int]) -> list[tuple[Any, ...]]:
    """Conversations of a shelf and when they were touched; a few are asked for one by one."""
    sql = f"select id, updated_at from conversations where {ON_SHELF[shelf]}"
    if len(wanted) > _FEW:
        return database.tuples(sql)
    return database.tuples(f"{sql} and id in ({', '.join('?' * len(wanted))})", list(wanted))


def _hits(database: Database, wanted: Search, found: list[int], ranked: list[int]) -> Iterator[Hit]:
    """The hits of conversations, without those where the words stand apart in the text or the index is too old."""
    for start in range(0, len(ranked), _AT_ONCE):
        some = ranked[start : start + _AT_ONCE]
        messages = {each: index.messages_of(found, each) for each in some}
        newest = _contents(database, [ids[-1] for ids in messages.values()])
        for conversation in _conversations(database, some):
            if (hit := _hit(database, wanted, conversation, messages[conversation.id], newest)) is not None:
                yield hit


def _conversations(database: Database, ids: list[int]) -> list[Conversation]:
    places = ", ".join("?" * len(ids))
    rows = database.query(f"select {CONVERSATION} from conversations where id in ({places})", ids)
    return sorted(map(conversation_of, rows), key=lambda each: ids.index(each.id))


def _contents(database: Database, ids: list[int]) -> dict[int, str]:
    places = ", ".join("?" * len(ids))
    return dict(map(tuple, database.query(f"select id, content from messages where id in ({places})", ids)))


def _hit(
    database: Database, wanted: Search, conversation: Conversation, message_ids: list[int], newest: dict[int, str]
) -> Hit | None:
    for message_id in reversed(message_ids):  # the newest first, TITLE last
        if message_id == index.TITLE:
            text = composed(conversation.title)
        else:
            known = newest if message_id in newest else _contents(database, [message_id])
            text = composed(known.get(message_id, ""))
        folded = fold(text)
        firsts = [next(word.spans(folded), None) for word in wanted.words]
        spans = [span for span in firsts if span is not None]
        if len(spans) == len(firsts):
            return Hit(conversation, message_id or None, *_excerpt(wanted, text, min(spans)[0]))
    return None


def _excerpt(wanted: Search, text: str, at: int) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One line around the first place, and where the words stand in it."""
    start = max(0, at - _BEFORE)
    space = text.find(" ", start, at) if start else -1
    start = start if space < 0 else space + 1
    line = _GAP.sub(" ", text[start : start + _EXCERPT_LENGTH]).strip()
    excerpt = "…" * (start > 0) + line + "…" * (start + _EXCERPT_LENGTH < len(text))
    folded = fold(excerpt)
    return excerpt, _merged(sorted(span for word in wanted.words for span in word.spans(folded)))


def _merged(spots: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spots that overlap or touch, as one."""
    merged: list[tuple[int, int]] = []
    for start, end in spots:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
