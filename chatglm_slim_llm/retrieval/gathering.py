"""From a search to the passages that a prompt will hold: any finder, its neighbours, one threshold.

`KnowledgeBase` is a finder; `RetrieverFinder` makes one of any retriever of LangChain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from chatglm_slim_llm.retrieval.context import Count, distinct
from chatglm_slim_llm.retrieval.passages import Passage, whole_number
from chatglm_slim_llm.retrieval.quoting import quoted

_SHORTEST_OVERLAP = 12
_LONGEST_OVERLAP = 2000


class Finder(Protocol):
    """What finds passages for a question."""

    def search(self, query: str, k: int = 4) -> Sequence[Passage]:
        """The best ``k`` passages, the best first."""


@runtime_checkable
class KnowsNeighbours(Protocol):
    """A finder that can tell what stands beside a passage in its document."""

    def neighbours(self, passage: Passage, before: int = 1, after: int = 1) -> Sequence[Passage]:
        """Chunks around a passage, in the order of the document."""


class RetrieverFinder:
    """Any retriever of LangChain as a finder.

    A retriever decides itself how many it finds; more than asked for are left out. Scores come from the metadata
    (``score`` or ``relevance_score``); without them the rank stands for one.
    """

    def __init__(self, retriever: BaseRetriever) -> None:
        self._retriever = retriever

    def search(self, query: str, k: int = 4) -> list[Passage]:
        """The best ``k`` documents as passages."""
        documents = self._retriever.invoke(query)[:k]
        return [to_passage(document, rank) for rank, document in enumerate(documents, 1)]


def to_passage(document: Document, rank: int = 1) -> Passage:
    """A document of LangChain as a passage.

    Args:
        document: its metadata may tell ``source``, ``page``, ``heading``, ``first_line``, ``last_line`` and ``score``.
        rank: among what was found, counted from 1.
    """
    about: Mapping[str, Any] = document.metadata
    score = next((about[key] for key in ("score", "relevance_score") if key in about), 1 / rank)
    return Passage(
        id=document.id or hashlib.sha256(document.page_content.encode("utf-8", "replace")).hexdigest()[:16],
        text=document.page_content,
        score=float(score),
        source=str(about.get("source", "")),
        heading=str(about.get("heading", "")),
        page=whole_number(about.get("page")),
        first_line=whole_number(about.get("first_line")),
        last_line=whole_number(about.get("last_line")),
        metadata=about,
    )


def good_enough(passages: Sequence[Passage], threshold: float | None) -> bool:
    """Whether something was found: the best passage reaches the threshold."""
    return bool(passages) and (threshold is None or max(passage.score for passage in passages) >= threshold)


def least_score_of(finder: object, mode: str = "hybrid") -> float | None:
    """What the finder says that the best passage scores at least where there is an answer, if it says so."""
    least = getattr(finder, "least_score", None)
    return least(mode) if callable(least) else None


def widen(finder: object, hits: Sequence[Passage], *, reach: int, room: int, count: Count) -> list[Passage]:
    """Join hits with what stands beside them, the best first, as long as every hit keeps its place.

    What was found comes before what stands beside it: only tokens that the hits leave are spent on neighbours. A hit
    that a better one has taken in is not repeated.

    Args:
        finder: gives neighbours if it knows them; otherwise the hits stay as they are.
        hits: the best first.
        reach: chunks before and after each hit.
        room: tokens for all of them together.
        count: tokens of a text.
    """
    hits = distinct(hits)
    if reach < 1 or not isinstance(finder, KnowsNeighbours):
        return hits
    spare = room - sum(count(quoted(hit.text)) for hit in hits)
    taken: set[str] = set()
    widened: list[Passage] = []
    for hit in hits:
        if hit.id in taken:
            continue
        region = [
            *_others(finder.neighbours(hit, before=reach, after=0), hit, taken),
            hit,
            *_others(finder.neighbours(hit, before=0, after=reach), hit, taken),
        ]
        joined = join(region, hit)
        extra = count(quoted(joined.text)) - count(quoted(hit.text))
        if len(region) == 1 or extra > spare:
            widened.append(hit)
            taken.add(hit.id)
            continue
        spare -= extra
        taken |= {passage.id for passage in region}
        widened.append(joined)
    return widened


def join(region: Sequence[Passage], hit: Passage) -> Passage:
    """Neighbours as one passage that keeps the hit's name and score; what two of them share stands there once."""
    text = ""
    for passage in region:
        text = _joined(text, passage.text)
    firsts = [passage.first_line for passage in region if passage.first_line is not None]
    lasts = [passage.last_line for passage in region if passage.last_line is not None]
    return replace(hit, text=text, first_line=min(firsts, default=None), last_line=max(lasts, default=None))


def _others(found: Iterable[Passage], hit: Passage, taken: set[str]) -> list[Passage]:
    """Neighbours on the hit's own page and under its heading that no better passage has."""
    place = hit.page, hit.heading
    return [each for each in found if each.id != hit.id and each.id not in taken and (each.page, each.heading) == place]


def _joined(text: str, following: str) -> str:
    if not text:
        return following
    for size in range(min(len(text), len(following), _LONGEST_OVERLAP), _SHORTEST_OVERLAP - 1, -1):
        if text.endswith(following[:size]):
            return text + following[size:]
    return f"{text}\n{following}"
