"""From a question to the chunks that answer it: keywords, vectors, and the rule that joins them.

A chunk is as good as itself and its best sentence, by words and by meaning:

    score = (BM25 of the chunk + weight of the question's terms in its best sentence) / (weight of 11 rare terms)
          + mean of the cosines of the chunk and of its best sentence, from 0 for unrelated texts to 1 for the same

Words decide where there are any to match, as names and numbers do; meaning decides among chunks that share them, and
across languages. Where a chunk is written in another script than the question, a shared word is mostly chance and
counts a third, or the share of the question that it is if that is more: a number or a name may be all that was asked.
The constants were chosen on XQuAD (`docs/retrieval.md`); near them the result hardly changes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chatglm_slim_llm.retrieval.embedders import Fingerprint
from chatglm_slim_llm.retrieval.index import Ids, Index
from chatglm_slim_llm.retrieval.terms import begins_pairs, is_cjk, terms
from chatglm_slim_llm.retrieval.vectors import Vectors, VectorTable

Mode = Literal["hybrid", "keyword", "vector"]

_SATURATION = 0.9
"""BM25's k1: how soon a term that comes again adds nothing."""
_LENGTH = 0.4
"""BM25's b: how much long chunks are held back."""
_RARE_TERMS = 11
_OTHER_SCRIPT = 0.3
_CANDIDATES = 100
"""How many chunks of each way are looked at closely."""
_COMMON_SHARE = 0.1
_ALWAYS_LOOKED_UP = 2000
_LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class Meaning:
    """A question as a vector, and what its cosines mean."""

    vector: Vectors
    unrelated: float
    """Cosine of texts that have nothing to do with each other."""
    epoch: int
    """The index's ``vectors_epoch`` whose vectors it can be compared with."""

    @classmethod
    def of(cls, vector: Vectors, fingerprint: Fingerprint, epoch: int) -> Meaning:
        """A question's vector by the embedder of this fingerprint."""
        return cls(vector, min(fingerprint.unrelated, 1 - _LEAST_SPREAD), epoch)

    def closeness(self, cosine: float) -> float:
        """0 for unrelated texts, 1 for the same."""
        return (cosine - self.unrelated) / (1 - self.unrelated)


class Finder:
    """Ranks the chunks of an index; follows what this and other processes change in it."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._generation = -1
        self._epoch = -1
        self._visible: Ids = np.empty(0, np.int64)
        self._mean_length = 0.0
        self._table = VectorTable()

    def find(
        self, question: str, count: int, mode: Mode, meaning: Meaning | None, among: Ids | None = None
    ) -> list[tuple[int, float]]:
        """The best chunks of a question.

        Args:
            question: as it was asked.
            count: how many to find at most.
            mode: by words, by meaning, or by both.
            meaning: the question's vector; ``None`` finds by words alone.
            among: only these ids, ascending; ``None`` for all.

        Returns:
            Ids and scores, the best first.
        """
        with self._index.snapshot(), self._lock:
            self._follow()
            if meaning is not None and meaning.epoch != self._epoch:
                meaning = None  # another process has just thrown those vectors away
            visible = self._visible if among is None else np.intersect1d(self._visible, among, assume_unique=True)
            wide = max(_CANDIDATES, count)
            words = Words(question, self._index, len(self._visible), self._mean_length)
            found: dict[int, float] = {}
            cosines: dict[int, float] = {}
            if mode != "vector":
                found = dict.fromkeys(words.candidates(wide, visible), 0.0)
            if mode != "keyword" and meaning is not None and len(self._table):
                nearest = self._table.nearest(meaning.vector, wide, self._index.vectors_of, among)
                cosines = nearest | self._cosines([id_ for id_ in found if id_ not in nearest], meaning)
            ids = list(found | cosines)
            if mode != "vector":
                found = words.scores(ids)
            if mode != "keyword" and meaning is not None:
                for id_, closeness in self._closeness(cosines, meaning).items():
                    found[id_] = found.get(id_, 0.0) + closeness
        return sorted(found.items(), key=lambda each: (-each[1], each[0]))[:count]

    def _cosines(self, ids: Sequence[int], meaning: Meaning) -> dict[int, float]:
        return {id_: float(vector @ meaning.vector) for id_, vector in self._index.vectors_of(ids).items()}

    def _closeness(self, cosines: Mapping[int, float], meaning: Meaning) -> dict[int, float]:
        """The mean closeness of each chunk and its best sentence."""
        best = dict(cosines)
        for id_, vectors in self._index.sentence_vectors_of(list(cosines), len(meaning.vector)).items():
            if len(vectors):
                best[id_] = float((vectors @ meaning.vector).max())
        return {id_: meaning.closeness((cosine + best[id_]) / 2) for id_, cosine in cosines.items()}

    def _follow(self) -> None:
        """Take in what has changed since the last search; only new vectors are read."""
        generation = self._index.generation
        if generation == self._generation:
            return
        self._visible, self._mean_length = self._index.visible()
        epoch = self._index.vectors_epoch
        if epoch != self._epoch:
            self._table = VectorTable()
        self._table.keep(self._visible)
        missing = np.setdiff1d(self._visible, self._table.ids, assume_unique=True)
        if len(missing):
            for ids, vectors in self._index.vectors_after(int(missing[0]) - 1):
                wanted = np.isin(ids, missing, assume_unique=True)
                self._table.add(ids[wanted], vectors[wanted], room_for=len(self._visible))
        self._generation, self._epoch = generation, epoch


class Words:
    """A question's terms, weighed by how few chunks hold them."""

    def __init__(self, question: str, index: Index, chunks: int, mean_length: float) -> None:
        self._index = index
        self._terms = set(terms(question))
        self._in_cjk = _is_mostly_cjk(self._terms)
        self._mean_length = max(mean_length, 1.0)
        self._chunks = chunks
        self._counts = index.term_counts(self._terms)
        self._weights = {term: _weight(count, chunks) for term, count in self._counts.items()}
        unknown = len(self._terms) - len(self._counts)
        self._whole_weight = sum(self._weights.values()) + unknown * _weight(0, chunks)
        self._singles = set(filter(begins_pairs, self._weights))
        self._scale = _RARE_TERMS * _weight(1, max(chunks, 1))

    def candidates(self, count: int, among: Ids) -> list[int]:
        """The chunks whose terms of the question weigh most together.

        Terms that very many chunks hold are left to ``scores``: they cost most and say least.
        """
        if not len(among):
            return []
        weights = np.zeros(len(among), np.float32)
        for term in self._selective():
            ids = self._index.chunks_with(term)
            places = np.searchsorted(among, ids)
            places[places == len(among)] = 0
            weights[places[among[places] == ids]] += self._weights[term]
        hits = np.flatnonzero(weights)
        best = hits[np.argsort(-weights[hits], kind="stable")[:count]]
        return [int(id_) for id_ in among[best]]

    def _selective(self) -> list[str]:
        ordered = sorted(self._counts, key=lambda term: self._counts[term])
        limit = max(self._chunks * _COMMON_SHARE, _ALWAYS_LOOKED_UP)
        return [term for term in ordered if self._counts[term] <= limit] or ordered[:1]

    def scores(self, ids: Sequence[int]) -> dict[int, float]:
        """How well chunks match by words, in units of eleven rare terms."""
        return {id_: self._score(lines) / self._scale for id_, lines in self._index.terms_of(ids).items()}

    def _score(self, lines: str) -> float:
        counts: dict[str, int] = {}
        best_sentence, length, cjk = 0.0, 0, 0
        for line in lines.split("\n"):
            words = line.split(" ")
            length += len(words)
            cjk += sum(map(is_cjk, words))
            hits = self._hits(words)
            for word in hits:
                counts[word] = counts.get(word, 0) + 1
            best_sentence = max(best_sentence, sum(self._weights[word] for word in set(hits)))
        held_back = _SATURATION * (1 - _LENGTH + _LENGTH * length / self._mean_length)
        whole = sum(
            self._weights[word] * count * (_SATURATION + 1) / (count + held_back) for word, count in counts.items()
        )
        if (cjk * 2 > length) == self._in_cjk:
            return whole + best_sentence
        held = sum(self._weights[word] for word in counts) / self._whole_weight
        return (whole + best_sentence) * max(_OTHER_SCRIPT, held)

    def _hits(self, words: Sequence[str]) -> list[str]:
        hits = [word for word in words if word in self._weights]
        if self._singles:
            hits += [word[0] for word in words if len(word) > 1 and word[0] in self._singles]
        return hits


def _weight(chunks_with_term: int, chunks: int) -> float:
    """Inverse document frequency; above 0, however common a term is."""
    with_term = min(chunks_with_term, chunks)  # those of a document that is being written are counted already
    return math.log1p((chunks - with_term + 0.5) / (with_term + 0.5))


def _is_mostly_cjk(found: set[str]) -> bool:
    return sum(map(is_cjk, found)) * 2 > len(found)
