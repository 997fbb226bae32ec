"""Answers of a chat model from documents: are they right, is what they cite, and is "not found" said where it is true?

    python -m benchmarks.retrieval_answers FOLDER [--model demo] [--every 12] [--out FILE]

``FOLDER`` holds files of questions in SQuAD's format, ``xquad.zh.json`` and ``xquad.en.json``
(github.com/google-deepmind/xquad). For every twelfth question of each language, three times through ``AnswerChain``:
- over all paragraphs of the language: exact match and F1 as SQuAD counts them (without citations), how often the
  right paragraph was in the prompt, and how often a citation points at a text that holds the answer,
- with the right paragraph alone found: the model's reading, apart from finding,
- with the right paragraph left out: how often it says that the documents do not tell.

The demo model has learned to read short made-up notes, and no more. So the same is measured on notes and names that
its training never saw (`training/reading.py`), 200 questions a language over the notes of all of them.
"""

from __future__ import annotations

import argparse
import json
import re
import string
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.retrieval import KnowledgeBase, Passage
from chatglm_slim_llm.retrieval.chains import AnswerChain
from chatglm_slim_llm.retrieval.citations import Answer
from training.names import Lang
from training.reading import ReadingWriter

LANGUAGES: tuple[Lang, ...] = ("zh", "en")
_CITATIONS = re.compile(r"\s*\[[\d,\s-]+\]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = set(string.punctuation + "，。、；：？！“”‘’（）《》〈〉【】…—·")


@dataclass(frozen=True)
class Question:
    """A question, the paragraph that answers it, and the answers that count."""

    text: str
    paragraph: int
    answers: tuple[str, ...]


def load(path: Path) -> tuple[list[str], list[Question]]:
    """Paragraphs and questions of a file in SQuAD's format."""
    paragraphs: list[str] = []
    questions = []
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for each in paragraph["qas"]:
                answers = tuple(answer["text"] for answer in each["answers"])
                questions.append(Question(each["question"], len(paragraphs), answers))
            paragraphs.append(paragraph["context"])
    return paragraphs, questions


class Only:
    """A finder that gives what it is told, or all but that."""

    def __init__(self, base: KnowledgeBase, *, alone: str | None = None, without: str | None = None) -> None:
        self._base, self._alone, self._without = base, alone, without

    def search(self, query: str, k: int = 4) -> Sequence[Passage]:
        """The passages of the base, by this rule."""
        if self._alone is not None:
            return [
                each for each in self._base.search(query, k=self._base.counts()["chunks"]) if each.id == self._alone
            ]
        return [each for each in self._base.search(query, k + 1) if each.id != self._without][:k]


def normalised(text: str, lang: str) -> list[str]:
    """Tokens as SQuAD compares them: without case, marks and English articles; Chinese by the character."""
    plain = "".join(" " if c in _MARKS else c for c in _CITATIONS.sub("", text).lower())
    if lang == "zh":
        return [c for c in plain if not c.isspace()]
    return _ARTICLES.sub(" ", plain).split()


def f1(found: list[str], wanted: list[str]) -> float:
    """How much two answers overlap, from 0 to 1."""
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def score(answer: Answer, question: Question, lang: str) -> dict[str, float]:
    """What is right about an answer."""
    found = normalised(answer.text, lang)
    wanted = [normalised(each, lang) for each in question.answers]
    cited = [each.passage.text for each in answer.cited]
    return {
        "exact_match": float(answer.is_found and found in wanted),
        "f1": max(f1(found, each) for each in wanted) if answer.is_found else 0.0,
        "in_prompt": float(any(each.passage.id == str(question.paragraph) for each in answer.passages_in_prompt)),
        "refused": float(not answer.is_found),
        "cites": float(bool(cited)),
        "cites_rightly": float(any(each in text for each in question.answers for text in cited)),
    }


def measure(path: Path, lang: str, llm: ChatGLMSlim, every: int, folder: Path) -> dict[str, dict[str, float]]:
    """The three ways for one language; means over the questions."""
    paragraphs, questions = load(path)
    return _ask(paragraphs, questions[::every], lang, llm, folder / f"{lang}.db")


def _ask(
    texts: list[str], questions: list[Question], lang: str, llm: ChatGLMSlim, path: Path
) -> dict[str, dict[str, float]]:
    with KnowledgeBase.open(path) as base:
        base.add_texts(texts, ids=[str(place) for place in range(len(texts))])
        ways: dict[str, list[dict[str, float]]] = {"all": [], "right one alone": [], "right one left out": []}
        for question in questions:
            key = str(question.paragraph)
            finders = (base, Only(base, alone=key), Only(base, without=key))
            for scores, finder in zip(ways.values(), finders, strict=True):
                scores.append(score(AnswerChain(finder, llm).invoke(question.text), question, lang))
    return {name: _means(scores) for name, scores in ways.items()}


def measure_notes(lang: Lang, llm: ChatGLMSlim, count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Made-up notes that the demo never saw: questions that one of them answers, and the same without that one."""
    writer = ReadingWriter(2025, held_out=True)
    readings = [writer.write(0.3, "value", lang) for _ in range(count)]
    notes, questions = [], []
    for reading in readings:
        lines = reading.prompt.split("\n")
        own = [line.split("] ", 1)[1] for line in lines if re.match(r"\[\d+\] ", line)]
        value, cited = reading.answer.rsplit(" [", 1)
        asked = lines[-1].split(":", 1)[-1].split("：", 1)[-1].strip()
        questions.append(Question(asked, len(notes) + int(cited.rstrip("]")) - 1, (value,)))
        notes += own
    return _ask(notes, questions, lang, llm, folder / f"notes-{lang}.db")


def _means(scores: list[dict[str, float]]) -> dict[str, float]:
    means = {key: round(sum(each[key] for each in scores) / len(scores), 3) for key in scores[0]}
    citing = [each["cites_rightly"] for each in scores if each["cites"]]
    return {"questions": len(scores), **means, "right_of_citing": round(sum(citing) / max(len(citing), 1), 3)}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--every", type=int, default=12, help="take each Nth question")
    parser.add_argument("--notes", type=int, default=200, help="questions on made-up notes, a language")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/retrieval_answers.json"))
    args = parser.parse_args()
    llm = ChatGLMSlim(model=args.model, temperature=0, max_tokens=64)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = {
            lang: measure(args.folder / f"xquad.{lang}.json", lang, llm, args.every, Path(folder)) for lang in LANGUAGES
        }
        for lang in LANGUAGES:
            result[f"notes {lang}"] = measure_notes(lang, llm, args.notes, Path(folder))
    report = {"model": args.model, "seconds": round(time.monotonic() - started, 1), **result}
    args.out.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(json.dumps(report, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
