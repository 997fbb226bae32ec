"""Reading passages made up sentence by sentence, with a question and the exact words that answer it.

A passage set is a handful of facts (a name, a relation, a value), each worded by one of the relation's patterns and
spread over numbered passages with some idle sentences in between. The answer is always copied: "value [passage]".
"""

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.names import Lang, Names

Kind = Literal["value", "reverse", "missing"]


@dataclass(frozen=True)
class Relation:
    """One thing that can be said of a name, how it is said and how it is asked for."""

    subject: str
    """What kind of name it is said of: person, place or thing."""
    value: str
    """What kind of value it has: a method of `Names`."""
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...] = ()
    """Questions for the name, given the value."""


@dataclass(frozen=True)
class Fact:
    """One worded fact with its questions."""

    sentence: str
    question: str
    reverse: str | None
    name: str
    value: str


@dataclass(frozen=True)
class Reading:
    """One prompt, its answer, and every other question that the same passages answer."""

    prompt: str
    answer: str
    kind: Kind
    others: tuple[tuple[str, str], ...]


_TEXTS = tomllib.loads((Path(__file__).with_name("data") / "reading.toml").read_text("utf-8"))


def relations(lang: Lang) -> list[Relation]:
    """What can be said in one language."""
    return [
        Relation(
            entry["subject"],
            entry["value"],
            tuple(entry["statements"]),
            tuple(entry["questions"]),
            tuple(entry.get("reverse", ())),
        )
        for entry in _TEXTS[lang]["relations"]
    ]


def texts(lang: Lang) -> Iterator[str]:
    """Every fixed text of one language, patterns included."""
    own = _TEXTS[lang]
    for name in ("head", "ask", "not_found"):
        yield own[name]
    for name in ("attribute_statements", "attribute_questions", "idle"):
        yield from own[name]
    yield from own["attributes"].split()
    for relation in relations(lang):
        yield from (*relation.statements, *relation.questions, *relation.reverse)


class ReadingWriter:
    """Writes passages and questions from one side of the name split."""

    def __init__(self, seed: int, *, held_out: bool = False) -> None:
        self.rng = random.Random(seed)
        self.names = Names(self.rng, held_out)
        self.relations: dict[Lang, list[Relation]] = {"en": relations("en"), "zh": relations("zh")}

    def write(self, level: float = 1.0, kind: Kind | None = None, lang: Lang | None = None) -> Reading:
        """One prompt with its answer.

        Args:
            level: 0 gives one or two facts, 1 gives one to three sentences in each of up to four passages.
            kind: what is asked; None asks for a value or, more seldom, for a name.
            lang: the language of everything; None draws it.
        """
        rng = self.rng
        lang = lang or self.names.lang()
        kind = kind or rng.choices(("value", "reverse"), (0.79, 0.21))[0]
        count = rng.randint(1, 1 + round(7 * level))
        facts = self._facts(lang, count + 1)
        absent, facts = facts[-1], facts[:-1]
        numbered = self._spread(lang, facts)
        answers = [(fact.question, f"{fact.value} [{where}]") for fact, where in numbered]
        reverse = [(fact.reverse, f"{fact.name} [{where}]") for fact, where in numbered if fact.reverse is not None]
        if kind == "reverse" and not reverse:
            kind = "value"
        question, answer = {
            "value": rng.choice(answers),
            "reverse": rng.choice(reverse) if reverse else ("", ""),
            "missing": (absent.question, _TEXTS[lang]["not_found"]),
        }[kind]
        others = tuple(pair for pair in rng.sample(answers + reverse, len(answers + reverse)) if pair[0] != question)
        return Reading(_TEXTS[lang]["head"] + self._passages + _TEXTS[lang]["ask"] + question, answer, kind, others)

    def _facts(self, lang: Lang, count: int) -> list[Fact]:
        """Facts whose questions and values all differ; names repeat, so that a name alone does not decide."""
        names: dict[str, list[str]] = {"person": [], "place": [], "thing": []}
        seen: set[str] = set()
        facts: list[Fact] = []
        while len(facts) < count:
            fact, keys = self._fact(lang, names)
            if not seen & keys:
                seen |= keys
                facts.append(fact)
        return facts

    def _fact(self, lang: Lang, names: dict[str, list[str]]) -> tuple[Fact, set[str]]:
        rng = self.rng
        named_attribute = rng.random() < 0.4
        relation = rng.choice(self.relations[lang])
        subject = rng.choice(("person", "person", "place", "thing")) if named_attribute else relation.subject
        known = names[subject]
        if known and rng.random() < 0.4:
            name = rng.choice(known)
        else:
            name = {"person": self.names.person, "place": self.names.place, "thing": self.names.word}[subject](lang)
            known.append(name)
        if named_attribute:
            attribute = rng.choice(_TEXTS[lang]["attributes"].split()) if rng.random() < 0.8 else self.names.word(lang)
            value = self.names.any(lang)
            words = {"n": name, "a": attribute, "v": value}
            sentence = rng.choice(_TEXTS[lang]["attribute_statements"]).format(**words)
            question = rng.choice(_TEXTS[lang]["attribute_questions"]).format(**words)
            return Fact(sentence, question, None, name, value), {name + attribute, value}
        value = self._value(relation.value, lang)
        words = {"n": name, "v": value}
        sentence = rng.choice(relation.statements).format(**words)
        question = rng.choice(relation.questions).format(**words)
        reverse = rng.choice(relation.reverse).format(**words) if relation.reverse else None
        key = f"{name}/{self.relations[lang].index(relation)}"
        return Fact(sentence, question, reverse, name, value), {key, value}

    def _value(self, kind: str, lang: Lang) -> str:
        if kind == "number":
            return self.names.number()
        if kind == "code":
            return self.names.code()
        draw = {
            "person": self.names.person, "place": self.names.place, "thing": self.names.thing, "date": self.names.date,
        }  # fmt: skip
        return draw[kind](lang)

    def _spread(self, lang: Lang, facts: list[Fact]) -> list[tuple[Fact, int]]:
        """Put the facts into passages of one to three sentences; keeps the text in `_passages`."""
        rng = self.rng
        passages: list[list[str]] = [[]]
        numbered = []
        room = rng.randint(1, 3)
        for fact in facts:
            if len(passages[-1]) >= room:
                passages.append([])
                room = rng.randint(1, 3)
            if room > 1 and len(passages[-1]) < room - 1 and rng.random() < 0.12:
                passages[-1].append(rng.choice(_TEXTS[lang]["idle"]))
            passages[-1].append(fact.sentence)
            numbered.append((fact, len(passages)))
        joint = " " if lang == "en" else ""
        self._passages = "\n".join(f"[{i}] {joint.join(lines)}" for i, lines in enumerate(passages, 1))
        return numbered
