"""Texts of patterns: whether one matches, and which is the shortest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from chatglm_slim_llm.engine.grammar.patterns import (
    Anchor,
    Chars,
    Choice,
    Pattern,
    PatternError,
    Ranges,
    Repeat,
    intersection,
)
from chatglm_slim_llm.engine.grammar.patterns import Sequence as InOrder

_MOST_STATES, _MOST_STEPS = 20_000, 20_000
_PREFERRED = [ord(c) for c in "a0A-_. /@:"]


@dataclass
class Automaton:
    """All ways through one pattern. State 0 is where it starts, state 1 where it has matched."""

    moves: list[list[tuple[Chars, int]]] = field(default_factory=lambda: [[], []])
    skips: list[list[int]] = field(default_factory=lambda: [[], []])

    @classmethod
    def of(cls, pattern: Pattern) -> Automaton:
        """Raises `PatternError` if it is too large."""
        automaton = cls()
        automaton._add(pattern, 0, 1)
        return automaton

    def _state(self) -> int:
        if len(self.moves) > _MOST_STATES:
            raise PatternError("it is too large; make its repetitions smaller, or use maxLength instead")
        self.moves.append([])
        self.skips.append([])
        return len(self.moves) - 1

    def _add(self, pattern: Pattern, start: int, end: int) -> None:
        match pattern:
            case Chars():
                self.moves[start].append((pattern, end))
            case Choice(options):
                for option in options:
                    self._add(option, start, end)
            case InOrder(parts):
                for part in parts:
                    following = self._state()
                    self._add(part, start, following)
                    start = following
                self.skips[start].append(end)
            case Repeat(body, least, most):
                self._repeat(body, least, most, start, end)
            case Anchor():
                raise PatternError("an anchor stands where none is supported")

    def _repeat(self, body: Pattern, least: int, most: int | None, start: int, end: int) -> None:
        for _ in range(least):
            following = self._state()
            self._add(body, start, following)
            start = following
        if most is None:
            loop = self._state()
            self.skips[start].append(loop)
            self._add(body, loop, loop)
            start = loop
        for _ in range((most or least) - least):
            following = self._state()
            self.skips[start].append(end)
            self._add(body, start, following)
            start = following
        self.skips[start].append(end)

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """These and what is reached from them without a character."""
        found = set(states)
        waiting = list(found)
        while waiting:
            new = [state for state in self.skips[waiting.pop()] if state not in found]
            found.update(new)
            waiting += new
        return frozenset(found)

    def step(self, states: frozenset[int], code: int, *, is_strict: bool = True) -> frozenset[int]:
        """Where one character leads; not strict takes those that only may belong to a class as well."""
        return self.closure(
            end
            for state in states
            for chars, end in self.moves[state]
            if _contains(chars.certain if is_strict else chars.possible, code)
        )

    def classes(self, states: frozenset[int]) -> set[Ranges]:
        """The sets of characters that lead on."""
        return {chars.certain for state in states for chars, _ in self.moves[state] if chars.certain}

    def after(self, text: str, *, is_strict: bool = True) -> frozenset[int]:
        """Where the text leads."""
        states = self.closure([0])
        for character in text:
            states = self.step(states, ord(character), is_strict=is_strict)
        return states

    def matches(self, text: str, *, is_strict: bool = True) -> bool:
        """Whether the whole text does."""
        return 1 in self.after(text, is_strict=is_strict)


_Ways = tuple[tuple[frozenset[int], ...], str | None]
"""Where each pattern stands, and the text so far if it may still become one that is taken."""


def shortest(
    automata: Sequence[Automaton], least: int, most: int | None, taken: Iterable[str] = (), start: str = ""
) -> str | None:
    """The shortest text of at least ``least`` characters that all of them match and that is not ``taken``.

    It begins with ``start``.
    """
    unwanted = frozenset(taken)
    level: dict[_Ways, str] = {(tuple(automaton.after(start) for automaton in automata), start): start}
    length = len(start)
    seen = {(ways, min(length, least)) for ways in level}
    while level and len(seen) < _MOST_STEPS and (most is None or length <= most):
        if length >= least:
            for (at, _), text in level.items():
                if text not in unwanted and all(1 in states for states in at):
                    return text
        length += 1
        level = _next_level(automata, level, unwanted)
        level = {ways: text for ways, text in level.items() if (ways, min(length, least)) not in seen}
        seen.update((ways, min(length, least)) for ways in level)
    return None


def _next_level(automata: Sequence[Automaton], level: dict[_Ways, str], unwanted: frozenset[str]) -> dict[_Ways, str]:
    """One character further. A text that leaves more ways open is never worse, so one of each class is enough."""
    reached: dict[_Ways, str] = {}
    for (at, _), text in level.items():
        rivals = [taken for taken in unwanted if taken.startswith(text) and taken != text]
        avoided = {ord(taken[len(text)]) for taken in rivals}
        for code in _representatives([a.classes(states) for a, states in zip(automata, at, strict=True)], avoided):
            after = tuple(a.step(states, code) for a, states in zip(automata, at, strict=True))
            longer = text + chr(code)
            reached.setdefault((after, longer if code in avoided else None), longer)
    return reached


def _representatives(classes: list[set[Ranges]], avoided: set[int]) -> list[int]:
    """Of each class one character that is not avoided, and all that are."""
    common = classes[0]
    for others in classes[1:]:
        common = {both for one in common for other in others if (both := intersection(one, other))}
    found = {code for ranges in common for code in avoided if _contains(ranges, code)}
    found.update(code for ranges in common if (code := _representative(ranges, avoided)) is not None)
    return sorted(found, key=_liking)


def _representative(ranges: Ranges, avoided: set[int]) -> int | None:
    liked = (code for code in _PREFERRED if _contains(ranges, code))
    others = (code for first, last in ranges for code in range(first, last + 1))
    return next((code for code in chain(liked, others) if code not in avoided), None)


def _liking(code: int) -> tuple[int, int]:
    return (_PREFERRED.index(code) if code in _PREFERRED else len(_PREFERRED), code)


def _contains(ranges: Ranges, code: int) -> bool:
    return any(first <= code <= last for first, last in ranges)
