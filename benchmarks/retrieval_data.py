"""Files of questions in SQuAD's format, as articles, and how well a ranking answers the questions."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Asked:
    """A question, the place of the paragraph that answers it, and the answers that count."""

    text: str
    paragraph: int
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Article:
    """A title and its paragraphs, none of which holds a line break."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Collection:
    """One language of the data."""

    lang: str
    articles: tuple[Article, ...]
    questions: tuple[Asked, ...]

    @property
    def paragraphs(self) -> list[str]:
        """Those of all articles, in order."""
        return [each for article in self.articles for each in article.paragraphs]


def load(folder: Path, lang: str) -> Collection:
    """Read ``xquad.<lang>.json``."""
    path = folder / f"xquad.{lang}.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing; its folder is to hold the files of google-deepmind/xquad")
    articles, questions, place = [], [], 0
    for article in json.loads(path.read_text("utf-8"))["data"]:
        paragraphs = article["paragraphs"]
        articles.append(Article(article["title"], tuple(" ".join(each["context"].split("\n")) for each in paragraphs)))
        for paragraph in paragraphs:
            for each in paragraph["qas"]:
                questions.append(Asked(each["question"], place, tuple(answer["text"] for answer in each["answers"])))
            place += 1
    return Collection(lang, tuple(articles), tuple(questions))


def place_of(found: Sequence[str], wanted: Container[str]) -> int | None:
    """The place, from 1, of the first thing found that was wanted; ``None`` if nothing was."""
    return next((place for place, each in enumerate(found, 1) if each in wanted), None)


def recall(places: Sequence[int | None], depth: int) -> float:
    """The share of questions whose answer is among the first ``depth``."""
    return sum(place is not None and place <= depth for place in places) / len(places)


def mean_reciprocal_rank(places: Sequence[int | None]) -> float:
    """The mean of 1/place; what was not found counts 0."""
    return sum(0.0 if place is None else 1 / place for place in places) / len(places)


def fused(rankings: Sequence[Sequence[str]], constant: int = 60) -> list[str]:
    """Rankings joined by reciprocal rank fusion, the best first.

    Source: Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, each in enumerate(ranking, 1):
            scores[each] = scores.get(each, 0.0) + 1 / (constant + place)
    return sorted(scores, key=lambda each: -scores[each])
