"""Whether a value that a schema gives itself, in ``enum`` or ``const``, keeps the conditions beside it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from chatglm_slim_llm.engine.grammar.conditions import Conditions, Place, same
from chatglm_slim_llm.engine.grammar.inside import item_places, property_places
from chatglm_slim_llm.engine.grammar.leaves import number_of, text_of
from chatglm_slim_llm.engine.grammar.nodes import automaton_of
from chatglm_slim_llm.engine.grammar.reading import Reader


def holds(reader: Reader, conditions: Conditions, value: Any) -> bool:
    """Whether a given value keeps the conditions."""
    if not any(_is_a(value, kind) for kind in conditions.types):
        return False
    if conditions.values is not None and not any(same(value, one) for one in conditions.values):
        return False
    match value:
        case bool() | None:
            return True
        case int() | float():
            return number_of(conditions).holds(Decimal(str(value)))
        case str():
            text = text_of(conditions)
            fits = text.least <= len(value) and (text.most is None or len(value) <= text.most)
            return fits and all(automaton_of(pattern).matches(value) for pattern in text.patterns)
        case list():
            return _array_holds(reader, conditions, value)
    return _object_holds(reader, conditions, value)


def _keeps(reader: Reader, places: Sequence[Place], value: Any) -> bool:
    return any(holds(reader, conditions, value) for conditions in reader.conjunction(places))


def _array_holds(reader: Reader, conditions: Conditions, value: list[Any]) -> bool:
    most = conditions.most_items
    return (
        conditions.least_items <= len(value)
        and (most is None or len(value) <= most)
        and not (conditions.is_unique and any(same(a, b) for i, a in enumerate(value) for b in value[:i]))
        and all(_keeps(reader, item_places(conditions, index), item) for index, item in enumerate(value))
    )


def _object_holds(reader: Reader, conditions: Conditions, value: dict[str, Any]) -> bool:
    most = conditions.most_properties
    return (
        conditions.least_properties <= len(value)
        and (most is None or len(value) <= most)
        and all(name in value for name in conditions.required)
        and all(_keeps(reader, conditions.names, name) for name in value)
        and all(_keeps(reader, property_places(conditions, name), one) for name, one in value.items())
    )


def _is_a(value: Any, kind: str) -> bool:
    kinds = {"null": type(None), "boolean": bool, "number": int | float, "string": str, "array": list, "object": dict}
    return isinstance(value, kinds[kind]) and not (kind == "number" and isinstance(value, bool))
