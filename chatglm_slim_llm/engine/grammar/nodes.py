"""JSON values that may be written, as rules: a rule is a list of alternatives, and names others for what is inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from chatglm_slim_llm.engine.grammar.automaton import Automaton, shortest
from chatglm_slim_llm.engine.grammar.numbers import Number
from chatglm_slim_llm.engine.grammar.patterns import ANY, Pattern, Repeat


@dataclass(frozen=True)
class Literal:
    """This JSON text."""

    text: str


@dataclass(frozen=True)
class Text:
    """A string that all the patterns match."""

    patterns: tuple[Pattern, ...] = ()
    least: int = 0
    most: int | None = None
    taken: tuple[str, ...] = ()
    """What it may not be."""


@dataclass(frozen=True)
class Array:
    """A list: the first items of their own rules, the others of ``rest``."""

    first: tuple[str, ...] = ()
    rest: str | None = None
    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Subset:
    """A list of some of these JSON texts, in their order, so that none comes twice."""

    texts: tuple[str, ...]
    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Field:
    """A property; its name, or what the name must be."""

    name: str | Text
    rule: str
    is_required: bool


@dataclass(frozen=True)
class Extra:
    """Properties with other names."""

    keys: tuple[Text, ...]
    rule: str
    most: int | None = None


@dataclass(frozen=True)
class Object:
    """Its fields in their order, then the extra ones."""

    fields: tuple[Field, ...] = ()
    extra: Extra | None = None
    may_be_empty: bool = True


Node = Literal | Number | Text | Array | Subset | Object
Rules = Mapping[str, tuple[Node, ...]]


def dumps(value: Any) -> str:
    """JSON as it is written here."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def shortest_texts(rules: Rules) -> dict[str, str]:
    """The shortest JSON of each rule; rules that can never end are left out."""
    found: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for name, nodes in rules.items():
            texts = [text for node in nodes if (text := shortest_text(node, found)) is not None]
            best = min(texts, key=len, default=None)
            if best is not None and (name not in found or len(best) < len(found[name])):
                found[name], changed = best, True
    return found


def shortest_text(node: Node, found: Mapping[str, str]) -> str | None:
    """The shortest JSON of a node, given those of the rules that are known."""
    match node:
        case Literal(text):
            return text
        case Number():
            return node.shortest()
        case Text():
            string = _shortest_string(node)
            return None if string is None else dumps(string)
        case Subset():
            texts = sorted(range(len(node.texts)), key=lambda i: len(node.texts[i]))[: node.least]
            return _join("[]", (node.texts[i] for i in sorted(texts)), node.least)
        case Array():
            rules = [*node.first, *[node.rest] * max(0, node.least - len(node.first))][: node.least]
            return _join("[]", (found.get(rule or "") for rule in rules), node.least)
    return _shortest_object(node, found)


@cache
def _shortest_string(node: Text) -> str | None:
    return completed(node, "")


def completed(node: Text, start: str) -> str | None:
    """The shortest text of the node that begins with ``start``, or None."""
    automata = [automaton_of(pattern) for pattern in node.patterns or (Repeat(ANY, 0, None),)]
    return shortest(automata, node.least, node.most, node.taken, start)


@cache
def automaton_of(pattern: Pattern) -> Automaton:
    """All ways through a pattern."""
    return Automaton.of(pattern)


def _shortest_object(node: Object, found: Mapping[str, str]) -> str | None:
    pairs = [_shortest_pair(field.name, field.rule, found) for field in node.fields if field.is_required]
    if not pairs and not node.may_be_empty:
        options = [(field.name, field.rule) for field in node.fields]
        options += [(key, node.extra.rule) for key in node.extra.keys] if node.extra is not None else []
        texts = [text for name, rule in options if (text := _shortest_pair(name, rule, found)) is not None]
        pairs = [min(texts, key=len, default=None)]
    return _join("{}", pairs, len(pairs))


def _shortest_pair(name: str | Text, rule: str, found: Mapping[str, str]) -> str | None:
    key = _shortest_string(name) if isinstance(name, Text) else name
    return None if key is None or rule not in found else f"{dumps(key)}: {found[rule]}"


def _join(brackets: str, texts: Iterable[str | None], count: int) -> str | None:
    known = [text for text in texts if text is not None]
    return f"{brackets[0]}{', '.join(known)}{brackets[1]}" if len(known) == count else None
