"""Numbers and strings that keep conditions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import lcm

from chatglm_slim_llm.engine.grammar.conditions import Conditions
from chatglm_slim_llm.engine.grammar.nodes import Text, automaton_of
from chatglm_slim_llm.engine.grammar.numbers import Number
from chatglm_slim_llm.engine.grammar.patterns import Pattern, PatternError, parse, parse_whole
from chatglm_slim_llm.engine.grammar.text_formats import PATTERNS, WITHOUT_MEANING
from chatglm_slim_llm.errors import SchemaError

_LARGEST_STEP = 1000
"""A grammar keeps apart as many cases as the step is large."""


def text_of(conditions: Conditions) -> Text:
    """Strings that keep the conditions.

    Raises:
        SchemaError: a pattern or format cannot be used.
    """
    patterns = [pattern_of(source, conditions.path) for source in conditions.patterns]
    patterns += [p for name in conditions.formats if (p := _format(name, conditions.path)) is not None]
    return Text(tuple(patterns), conditions.least_characters, conditions.most_characters)


def number_of(conditions: Conditions) -> Number:
    """Numbers that keep the conditions."""
    low = max(conditions.lows, key=lambda bound: (bound.value, bound.is_exclusive), default=None)
    high = min(conditions.highs, key=lambda bound: (bound.value, not bound.is_exclusive), default=None)
    return Number(conditions.is_integer, low, high, _common_multiple(conditions.multiples))


def written_number(conditions: Conditions) -> Number:
    """Those of the numbers that can be written.

    Raises:
        SchemaError: the steps of ``multipleOf`` are too large.
    """
    number = number_of(conditions).with_simple_multiple()
    if number.is_integer and number.multiple_of is not None and number.multiple_of > _LARGEST_STEP:
        raise SchemaError(
            f"'multipleOf' is supported up to whole steps of {_LARGEST_STEP}, and this one is {number.multiple_of}; "
            "use enum, or leave it out",
            path=conditions.path,
        )
    return number


def _common_multiple(multiples: Sequence[Decimal]) -> Decimal | None:
    if len(multiples) < 2:
        return multiples[0] if multiples else None
    places = max(max(0, -int(multiple.normalize().as_tuple().exponent)) for multiple in multiples)
    return Decimal(lcm(*(int(multiple.scaleb(places)) for multiple in multiples))).scaleb(-places)


def pattern_of(source: str, path: str) -> Pattern:
    """A pattern read; ``path`` is where it stands."""
    try:
        pattern = parse(source)
        automaton_of(pattern)
    except PatternError as error:
        raise SchemaError(f"the pattern {source!r} cannot be used: {error}", path=path) from None
    return pattern


def _format(name: str, path: str) -> Pattern | None:
    if name in WITHOUT_MEANING:
        return None
    if name not in PATTERNS:
        known = ", ".join(sorted(PATTERNS))
        raise SchemaError(f"the format {name!r} is not supported; use 'pattern', or one of {known}", path=path)
    return parse_whole(PATTERNS[name])
