"""How often the paragraph that answers a question is found first, or among the first five, and how fast.

Vectors are kept in a folder, so that a slow embedder makes each but once; the times are those of searching, and that
of making a question's vector is told beside them.
"""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from benchmarks.retrieval_baselines import DEPTH, Search, full_text, nearest, overlapping, windows
from benchmarks.retrieval_data import Asked, Collection, fused, mean_reciprocal_rank, place_of, recall
from chatglm_slim_llm.retrieval import KnowledgeBase, Passage
from chatglm_slim_llm.retrieval.embedders import DEFAULT, Embedder, FromLangChain, embedder
from chatglm_slim_llm.retrieval.finding import Mode

Record = dict[str, Any]
_FUSED_DEPTH = 100


class Kept(Embeddings):
    """An embedder whose vectors are made once and kept in a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self._path = folder / f"vectors-{name}.pickle"
        self._own: Embedder = embedder(name)
        self._known: dict[tuple[str, str], list[float]] = {}
        if self._path.exists():
            self._known = pickle.loads(self._path.read_bytes())  # which `keep` wrote

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Those of passages."""
        new = list(dict.fromkeys(text for text in texts if ("passage", text) not in self._known))
        for start in range(0, len(new), 64):
            some = new[start : start + 64]
            for text, row in zip(some, self._own.passages(some), strict=True):
                self._known["passage", text] = list(map(float, row))
        return [self._known["passage", text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """That of a question."""
        if ("query", text) not in self._known:
            self._known["query", text] = list(map(float, self._own.queries([text])[0]))
        return self._known["query", text]

    def time_of_a_query_s(self, texts: Sequence[str]) -> float:
        """The median over these, made anew."""
        took = []
        for text in texts:
            started = time.perf_counter()
            self._own.queries([text])
            took.append(time.perf_counter() - started)
        return statistics.median(took)

    def keep(self) -> None:
        """Write the file."""
        self._path.write_bytes(pickle.dumps(self._known))


class Run:
    """Everything that is measured with one embedder."""

    def __init__(self, name: str, data: dict[str, Collection], folder: Path) -> None:
        self._kept = Kept(name, folder)
        self._name, self._data, self._folder = name, data, folder
        self.rows: list[Record] = []

    def all(self, *, with_words: bool) -> list[Record]:
        """Every row; those of words alone are the same for all embedders."""
        for lang in self._data:
            self._paragraphs(lang, lang, ("keyword", "vector", "hybrid") if with_words else ("vector", "hybrid"))
            self._as_files(lang)
            self._plain(lang, with_words=with_words)
            self._kept.keep()
        for asked, held in (("zh", "en"), ("en", "zh")):
            self._paragraphs(asked, held, ("vector", "hybrid"))
        for asked in self._data:
            self._paragraphs(asked, "both", ("hybrid",))
        some = [each.text for each in self._data["zh"].questions[:25] + self._data["en"].questions[:25]]
        took_s = self._kept.time_of_a_query_s(some)
        for row in self.rows:
            row["embedding_ms"] = 0.0 if row["embedder"] == "none" else round(1000 * took_s, 2)
        self._kept.keep()
        return self.rows

    def _paragraphs(self, asked: str, held: str, modes: Sequence[Mode]) -> None:
        """A paragraph is a passage; in the mixed collection that of either language answers."""
        langs = list(self._data) if held == "both" else [held]
        base = self._new_base(f"paragraphs-{held}")
        texts = {f"{lang} {place}": text for lang in langs for place, text in enumerate(self._data[lang].paragraphs)}
        base.add_texts(list(texts.values()), ids=list(texts))

        def wanted(question: Asked) -> set[str]:
            return {f"{lang} {question.paragraph}" for lang in langs}

        about = {"asked": asked, "held": held, "as": "paragraphs"}
        for mode in modes:
            found = [self._timed(base, each, mode) for each in self._data[asked].questions]
            keys = [[passage.id for passage in passages] for passages, _ in found]
            self._add(about | {"way": mode}, asked, keys, wanted, [took for _, took in found])
        if "hybrid" in modes and held == asked:
            self._rrf(base, about, asked, wanted)
        base.close()

    def _rrf(self, base: KnowledgeBase, about: Record, asked: str, wanted: Callable[[Asked], set[str]]) -> None:
        """Our own two rankings under the usual rule, to show what the fusion is worth."""
        keys = []
        for each in self._data[asked].questions:
            both = [base.search(each.text, k=_FUSED_DEPTH, mode=mode) for mode in ("keyword", "vector")]
            keys.append(fused([[passage.id for passage in ranking] for ranking in both]))
        self._add(about | {"way": "ours by RRF, k = 60"}, asked, keys, wanted)

    def _as_files(self, lang: str) -> None:
        """Each article is a Markdown file; a chunk counts if it has a part of the paragraph."""
        folder = self._folder / f"articles-{lang}"
        folder.mkdir(exist_ok=True)
        spans = {}
        for place, article in enumerate(self._data[lang].articles):
            path = folder / f"{place:02}.md"
            path.write_text("\n\n".join([f"# {article.title}", *article.paragraphs]) + "\n", "utf-8")
            first = sum(len(each.paragraphs) for each in self._data[lang].articles[:place])
            spans[str(path)] = first
        base = self._new_base(f"files-{lang}")
        base.add([folder])
        questions = self._data[lang].questions
        found = [self._timed(base, each, "hybrid") for each in questions]
        keys = [[_marks(passage, spans) for passage in passages] for passages, _ in found]
        about = {"asked": lang, "held": lang, "as": "files", "chunks": base.counts()["chunks"]}
        self._add_marked(about | {"way": "hybrid"}, questions, keys, found)
        base.close()

    def _plain(self, lang: str, *, with_words: bool) -> None:
        """The baselines."""
        texts = {f"{lang} {place}": text for place, text in enumerate(self._data[lang].paragraphs)}
        own = FromLangChain(self._kept, self._name)
        searches: dict[str, Search] = {"cosine of the paragraph": nearest(texts, own)}
        if with_words:
            searches |= {f"FTS5 {each}": full_text(texts, each) for each in ("unicode61", "trigram")}
        about = {"asked": lang, "held": lang, "as": "paragraphs"}
        for name, search in searches.items():
            keys = [search(each.text) for each in self._data[lang].questions]
            self._add(about | {"way": name}, lang, keys, lambda question: {f"{lang} {question.paragraph}"})
        self._windows(lang, own)

    def _windows(self, lang: str, own: Embedder) -> None:
        """Cosines of 512-token windows of the same articles."""
        texts, marks, first = {}, {}, 0
        for place, article in enumerate(self._data[lang].articles):
            whole, spans = "", []
            for paragraph in article.paragraphs:
                whole += "\n\n" * bool(whole)
                spans.append((len(whole), len(whole) + len(paragraph)))
                whole += paragraph
            for start, end in windows(whole):
                texts[f"{place} {start}"] = whole[start:end]
                marks[f"{place} {start}"] = frozenset(first + each for each in overlapping(start, end, spans))
            first += len(article.paragraphs)
        search = nearest(texts, own)
        questions = self._data[lang].questions
        names = [search(each.text) for each in questions]
        keys = [[(marks[name], texts[name]) for name in row] for row in names]
        about = {"asked": lang, "held": lang, "as": "files", "chunks": len(texts), "way": "cosine of 512-token windows"}
        self._add_marked(about, questions, keys)

    def _new_base(self, name: str) -> KnowledgeBase:
        path = self._folder / f"{self._name}-{name}.db"
        for leftover in self._folder.glob(f"{path.name}*"):
            leftover.unlink()
        return KnowledgeBase.open(path, embedder=self._kept)

    def _timed(self, base: KnowledgeBase, question: Asked, mode: Mode) -> tuple[list[Passage], float]:
        self._kept.embed_query(question.text)
        started = time.perf_counter()
        found = base.search(question.text, k=DEPTH, mode=mode)
        return found, time.perf_counter() - started

    def _add_marked(
        self,
        about: Record,
        questions: Sequence[Asked],
        keys: Sequence[Sequence[tuple[frozenset[int], str]]],
        found: Sequence[tuple[object, float]] = (),
    ) -> None:
        """A row of pieces that know which paragraphs they have a part of; told too: whether they hold the answer."""
        places, strict = [], []
        for question, row in zip(questions, keys, strict=True):
            hits = [question.paragraph in marks for marks, _ in row]
            full = [hit and any(a in text for a in question.answers) for hit, (_, text) in zip(hits, row, strict=True)]
            places.append(hits.index(True) + 1 if any(hits) else None)
            strict.append(full.index(True) + 1 if any(full) else None)
        with_answer = {f"answer_at_{depth}": round(recall(strict, depth), 4) for depth in (1, 5)}
        self.rows.append(self._row(about, places, [took for _, took in found]) | with_answer)

    def _add(
        self,
        about: Record,
        asked: str,
        keys: Sequence[Sequence[str]],
        wanted: Callable[[Asked], set[str]],
        took_s: Sequence[float] = (),
    ) -> None:
        questions = self._data[asked].questions
        places = [place_of(row, wanted(question)) for row, question in zip(keys, questions, strict=True)]
        self.rows.append(self._row(about, places, took_s))

    def _row(self, about: Record, places: Sequence[int | None], took_s: Sequence[float]) -> Record:
        is_words = about["way"] == "keyword" or about["way"].startswith("FTS5")
        row: Record = {"embedder": "none" if is_words else self._name} | about | {"questions": len(places)}
        row |= {f"recall_at_{depth}": round(recall(places, depth), 4) for depth in (1, 5)}
        row["mrr_at_10"] = round(mean_reciprocal_rank(_within(places)), 4)
        if took_s:
            row |= {f"p{share}_ms": round(1000 * float(np.percentile(took_s, share)), 1) for share in (50, 95)}
        return row


def _within(places: Sequence[int | None]) -> list[int | None]:
    return [place if place is not None and place <= DEPTH else None for place in places]


def _marks(passage: Passage, first_of: dict[str, int]) -> tuple[frozenset[int], str]:
    """The paragraphs that a chunk has a part of: the title is line 1, and paragraph n of an article is line 2n + 3."""
    first, last = passage.first_line or 1, passage.last_line or 1
    lines = range(max(first, 3), last + 1)
    return frozenset(first_of[passage.source] + (line - 3) // 2 for line in lines if line % 2), passage.text


def measure(data: dict[str, Collection], folder: Path, name: str) -> list[Record]:
    """All rows of an embedder; those of words alone are measured with the default one."""
    return Run(name, data, folder).all(with_words=name == DEFAULT)
