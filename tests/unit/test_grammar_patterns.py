"""Patterns against Python's own `re`, on every short text of a few characters."""

from __future__ import annotations

import json
import random
import re
from itertools import product

import pytest

from chatglm_slim_llm.engine.grammar.automaton import Automaton, shortest
from chatglm_slim_llm.engine.grammar.lark import json_regex
from chatglm_slim_llm.engine.grammar.patterns import PatternError, parse

ALPHABET = 'ab1 -."é\\\n'
TEXTS = ["".join(text) for length in range(4) for text in product(ALPHABET, repeat=length)]
PATTERNS = [
    "^a+$",
    "a",
    "^(a|b1)*$",
    r"^\d{1,2}$",
    "^[^a]$",
    "^[a-b1-]*$",
    r"^[\w.]+$",
    "^a{2,}$",
    "(^a|b$)",
    "^(?:a|^b)$",
    r"^\s?\S$",
    "^.$",
    "",
    "^$",
    r"^\x61é$",
    r"^[\"\\]+$",
    "^a??b*?$",
    r"^[^\W\d_]$",
    "^(?P<name>a)(?:b)$",
    r"\.$",
    r"^\-\ a$",
]
DIALECTS = re.compile(r"\\[wWsSdD]|\.|\[\^")


def random_pattern(rng: random.Random, depth: int = 3) -> str:
    kind = rng.randrange(7 if depth else 2)
    if kind == 0:
        return re.escape(rng.choice("ab1-."))
    if kind == 1:
        return rng.choice(["[ab]", r"\d", "[^a]", "[1-9-]", r"\w", "."])
    inner = random_pattern(rng, depth - 1)
    if kind in (2, 3):
        return inner + random_pattern(rng, depth - 1)
    if kind == 4:
        return f"({inner}|{random_pattern(rng, depth - 1)})"
    if kind == 5:
        return f"(?:{inner}){rng.choice(['*', '+', '?', '{2}', '{0,2}', '{1,}'])}"
    return rng.choice(["^", ""]) + inner + rng.choice(["$", ""]) if depth == 3 else inner


ALL = PATTERNS + [random_pattern(random.Random(seed)) for seed in range(60)]


@pytest.mark.parametrize("source", ALL)
def test_a_text_that_surely_matches_does_and_one_that_does_may(source: str) -> None:
    automaton = Automaton.of(parse(source))
    found = re.compile(source)
    for text in TEXTS:
        really = found.search(text) is not None and not text.endswith("\n")  # to `re`, "$" is also before a line end
        if automaton.matches(text):
            assert really or text.endswith("\n"), text
        elif really and not DIALECTS.search(source):
            pytest.fail(f"{text!r} is missing")
        if really:
            assert automaton.matches(text, is_strict=False), text


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("least", [0, 2])
def test_the_shortest_text_is_as_short_as_any(source: str, least: int) -> None:
    automaton = Automaton.of(parse(source))
    found = shortest([automaton], least, 6)
    lengths = [len(text) for text in TEXTS if len(text) >= least and automaton.matches(text)]
    if found is not None:
        assert least <= len(found) <= min(lengths, default=6)
        assert re.search(source, found)
    else:
        assert not lengths


def test_the_shortest_text_keeps_several_patterns_and_what_is_taken() -> None:
    automata = [Automaton.of(parse(source)) for source in ("^[ab]*$", "b", "^(..)*$")]
    assert shortest(automata, 0, None) == "ab"
    found = shortest(automata, 0, None, ["ab"])
    assert found is not None
    assert re.fullmatch("[ab]*b[ab]*", found)
    assert found != "ab"
    assert shortest([Automaton.of(parse("^a?$"))], 0, None, ["", "a"]) is None
    assert shortest([Automaton.of(parse("^(a|b)c?$"))], 0, None, ["a", "b", "ac"]) == "bc"


@pytest.mark.parametrize("source", [source for source in ALL if source])
def test_the_regular_expression_for_json_matches_escaped_texts(source: str) -> None:
    pattern = parse(source)
    automaton = Automaton.of(pattern)
    in_json = re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda code: f"\\U{int(code[1], 16):08x}", json_regex(pattern)))
    for text in TEXTS:
        written = json.dumps(text, ensure_ascii=False)[1:-1]
        assert bool(in_json.fullmatch(written)) == automaton.matches(text), text


@pytest.mark.parametrize(
    "source",
    [
        "(?=a)b",
        "(?!a)b",
        "(?<=a)b",
        r"(a)\1",
        r"\bword",
        r"\p{L}",
        "a**",
        "(a",
        "a)",
        "[b-a]",
        "*a",
        "[]",
        "a^b",
        "(?i)a",
    ],
)
def test_what_is_wrong_or_not_supported_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        Automaton.of(parse(source))
