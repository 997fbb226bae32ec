"""Answers, and the numbers in them that point at passages.

Models write ``[1]``, ``[1][2]``, ``[1, 2]``, ``[1-3]``, ``【1】`` or ``［1］``. A number that was in the prompt is a
citation; one that was not is only reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chatglm_slim_llm.retrieval.context import NOT_FOUND, Numbered
from chatglm_slim_llm.retrieval.passages import Passage

_NUMBERS = r"\^?(\d{1,3}(?:\s*[-,;，、；–—~～]\s*\^?\d{1,3})*)\s*"
_CITATION = re.compile(rf"\[{_NUMBERS}\]|［{_NUMBERS}］|【{_NUMBERS}】")
_UNFINISHED = re.compile(r"[\[［【][^\[\]［］【】]{0,80}\Z")
_PART = re.compile(r"(\d{1,3})(?:\s*[-–—~～]\s*\^?(\d{1,3}))?")
_LONGEST_RANGE = 20


@dataclass(frozen=True)
class Citation:
    """One number in an answer, and the passage that it points at."""

    number: int
    passage: Passage
    """Its text is what the prompt held of it."""
    start: int
    end: int
    """``answer.text[start:end]`` is the mark, such as ``[1]``."""


@dataclass(frozen=True)
class Answer:
    """What was answered, and what it rests on; or a piece of that, as a stream gives it.

    Pieces add up: ``first + second`` is the answer so far, and the sum of a stream is what ``invoke`` returns. The
    first piece has the question and the passages, the others text, with citations as they are complete.
    """

    text: str = ""
    citations: tuple[Citation, ...] = ()
    passages_in_prompt: tuple[Numbered, ...] = ()
    is_found: bool = True
    """False: the passages do not tell, or there are none; then nothing is cited. Known when the answer is complete."""
    question_used: str = ""
    """The question as the model read it: a follow-up names what it is about."""
    unknown: tuple[int, ...] = ()
    """Numbers that the answer cites and the prompt did not have."""

    def __add__(self, other: Answer) -> Answer:
        if not isinstance(other, Answer):
            return NotImplemented
        return Answer(
            self.text + other.text,
            self.citations + other.citations,
            self.passages_in_prompt + other.passages_in_prompt,
            self.is_found and other.is_found,
            self.question_used + other.question_used,
            self.unknown + tuple(number for number in other.unknown if number not in self.unknown),
        )

    @property
    def cited(self) -> list[Numbered]:
        """The passages that are cited, by number."""
        numbers = {citation.number for citation in self.citations}
        return [each for each in self.passages_in_prompt if each.number in numbers]


class CitationReader:
    """Finds citations in an answer while it grows; a mark may be cut anywhere."""

    def __init__(self, numbered: Iterable[Numbered]) -> None:
        self._passages = {each.number: each.passage for each in numbered}
        self._tail = ""
        self._tail_start = 0
        self.text = ""
        """The answer so far."""
        self.has_cited = False

    def push(self, delta: str) -> Answer:
        """The next piece of the answer, with the citations that it completes."""
        self.text += delta
        self._tail += delta
        found: list[Citation] = []
        unknown: list[int] = []
        for mark in _CITATION.finditer(self._tail):
            start, end = self._tail_start + mark.start(), self._tail_start + mark.end()
            for number in _numbers(mark[mark.lastindex or 0]):
                if number in self._passages:
                    found.append(Citation(number, self._passages[number], start, end))
                elif number not in unknown:
                    unknown.append(number)
        self._forget()
        if found and is_refusal(self.text):  # it says that nothing was found, so nothing says where
            found = []
        self.has_cited |= bool(found)
        return Answer(delta, tuple(found), unknown=tuple(unknown))

    def end(self) -> Answer:
        """What there is to add when the answer is complete."""
        said = _letters(self.text)
        return Answer(is_found=self.has_cited or not (said == "" or said.startswith(_REFUSALS)))

    def _forget(self) -> None:
        unfinished = _UNFINISHED.search(self._tail)
        kept = unfinished[0] if unfinished else ""
        self._tail_start += len(self._tail) - len(kept)
        self._tail = kept


def read_citations(text: str, numbered: Sequence[Numbered]) -> Answer:
    """A complete text as an answer on these passages.

    Example:
        >>> answer = read_citations("1911 [1], perhaps [4].", [Numbered(1, passage, passage.text)])
        >>> [citation.number for citation in answer.citations], answer.unknown
        ([1], (4,))
    """
    reader = CitationReader(numbered)
    return Answer(passages_in_prompt=tuple(numbered)) + reader.push(text) + reader.end()


def is_refusal(text: str) -> bool:
    """Whether an answer says that the passages do not tell, and nothing else."""
    return _letters(_CITATION.sub("", text)) in _REFUSALS


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


_REFUSALS = tuple(map(_letters, NOT_FOUND.values()))


def _numbers(inside: str) -> Iterator[int]:
    """What is written between the brackets: ``1, 2`` or ``1-3``."""
    for first, last in _PART.findall(inside):
        low, high = int(first), int(last or first)
        yield from range(low, high + 1) if 0 <= high - low <= _LONGEST_RANGE else (low, high)
