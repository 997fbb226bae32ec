"""Small talk and facts about the program: questions in many wordings, each with one answer.

The wordings live in `data/*.toml`, where each fact keeps some of them back for the test. In training a wording is
disturbed a little each time, so that new wordings find the right answer too.
"""

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.names import Lang

DATA = Path(__file__).with_name("data")


_LANGS: tuple[Lang, Lang] = ("zh", "en")
_DISTURB = tomllib.loads((DATA / "disturb.toml").read_text("utf-8"))
_LOOSE = {lang: frozenset(_DISTURB[lang]["loose"].split()) for lang in _LANGS}


@dataclass(frozen=True)
class Fact:
    """One answer and the wordings that ask for it."""

    name: str
    lang: Lang
    answer: str
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Unknown:
    """Questions that the demo model cannot answer, and what it says instead."""

    lang: Lang
    reply: str
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """A prompt, complete with history, and the answer to its last question."""

    prompt: str
    answer: str


def load_facts(folder: Path = DATA) -> list[Fact]:
    """Every fact of both languages, in file order."""
    facts = []
    for lang in _LANGS:
        for entry in tomllib.loads((folder / f"chat_{lang}.toml").read_text("utf-8"))["fact"]:
            facts.append(
                Fact(entry["id"], lang, entry["answer"], tuple(entry["wordings"]), tuple(entry.get("held_out", ())))
            )
    return facts


def load_unknown(folder: Path = DATA) -> list[Unknown]:
    """The questions without an answer, one group a language."""
    groups = []
    for lang in _LANGS:
        content = tomllib.loads((folder / f"unknown_{lang}.toml").read_text("utf-8"))
        texts: dict[bool, list[str]] = {False: [], True: []}
        for entry in content["unknown"]:
            texts[bool(entry.get("held_out", False))].append(entry["text"])
        groups.append(Unknown(lang, content["reply"][0]["text"], tuple(texts[False]), tuple(texts[True])))
    return groups


def with_history(question: str, history: Sequence[tuple[str, str]]) -> str:
    """ChatGLM-6B's prompt: the question alone, or every round so far with the question last."""
    if not history:
        return question
    rounds = [f"[Round {i}]\n问：{asked}\n答：{answered}\n" for i, (asked, answered) in enumerate(history)]
    return "".join(rounds) + f"[Round {len(history)}]\n问：{question}\n答："


class ChatWriter:
    """Writes chat turns from the training wordings."""

    def __init__(
        self,
        seed: int,
        facts: Sequence[Fact],
        unknown: Sequence[Unknown],
        history: float = 0.2,
        unknown_share: float = 0.2,
    ) -> None:
        self.rng = random.Random(seed)
        self.history, self.unknown_share = history, unknown_share
        self.facts, self.unknown = facts, unknown
        self._deck: list[Fact] = []

    def write(self) -> Turn:
        """One turn, sometimes with one to four rounds of history, 5 % behind a system text."""
        rng = self.rng
        question, answer = self.ask()
        history = [self.ask() for _ in range(rng.choice((1, 1, 1, 2, 3, 4)))] if rng.random() < self.history else []
        prompt = with_history(question, history)
        if rng.random() < 0.05:
            prompt = rng.choice(_DISTURB["system"]) + "\n\n" + prompt
        return Turn(prompt, answer)

    def ask(self) -> tuple[str, str]:
        """One disturbed question with its answer; facts come round evenly."""
        rng = self.rng
        if rng.random() < self.unknown_share:
            group = rng.choice(self.unknown)
            return self._disturb(rng.choice(group.wordings), group.lang, drop=False), group.reply
        if not self._deck:
            self._deck = rng.sample(self.facts, len(self.facts))
        fact = self._deck.pop()
        return self._disturb(rng.choice(fact.wordings), fact.lang), fact.answer

    def _disturb(self, text: str, lang: Lang, *, drop: bool = True) -> str:
        """Drop or swap a word now and then, add courtesies, vary case and punctuation."""
        rng = self.rng
        if drop and rng.random() < 0.3:
            text = _drop_words(text, lang, rng)
        if rng.random() < 0.4:
            text = text.rstrip("?.!？。！ ")
            text += rng.choice(_DISTURB[lang]["ends"])
        if rng.random() < 0.25:
            text = rng.choice(_DISTURB[lang]["prefixes"]) + text
        if lang == "en" and rng.random() < 0.3:
            text = text.lower() if rng.random() < 0.5 else text[:1].upper() + text[1:]
        return text


def _drop_words(text: str, lang: Lang, rng: random.Random) -> str:
    """Leave out or swap one or two words (characters in Chinese), never those that name something."""
    units = list(text) if lang == "zh" else text.split(" ")
    loose = [i for i, unit in enumerate(units) if unit.lower().strip("?.,!") in _LOOSE[lang]]
    if loose and len(units) > 3:
        for i in rng.sample(loose, min(len(loose), rng.choice((1, 1, 2)))):
            units[i] = ""
        units = [unit for unit in units if unit]
    if len(units) > 3 and rng.random() < 0.3:
        i = rng.randrange(len(units) - 1)
        units[i], units[i + 1] = units[i + 1], units[i]
    return ("" if lang == "zh" else " ").join(units)
