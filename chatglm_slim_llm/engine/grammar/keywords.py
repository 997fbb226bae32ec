"""The keywords of a JSON schema, one by one: what each makes a condition of, and those that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from chatglm_slim_llm.engine.grammar.conditions import TYPES, Conditions, Place
from chatglm_slim_llm.engine.grammar.numbers import Bound, is_usable
from chatglm_slim_llm.errors import SchemaError

_UNSUPPORTED = {
    "not": "describe what the value may be instead",
    "if": "use anyOf",
    "then": "use anyOf",
    "else": "use anyOf",
    "contains": "use prefixItems or minItems",
    "minContains": "use minItems",
    "maxContains": "use maxItems",
    "dependentSchemas": "use anyOf",
    "dependencies": "use dependentRequired or anyOf",
    "unevaluatedItems": "use items",
    "additionalItems": "use prefixItems with items",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
    "extends": "use allOf",
    "disallow": "describe what the value may be instead",
}


def plain_conditions(place: Place) -> Conditions:
    """The keywords that hold for the value itself."""
    schema: Mapping[str, Any] = place.schema
    for key, advice in _UNSUPPORTED.items():
        if key in schema:
            raise place.error(f"{key!r} is not supported; {advice}")
    if "$id" in schema and not place.path.endswith("#"):
        raise place.error("'$id' is supported at the root only")
    conditions = Conditions(place.path)
    for key, value in schema.items():
        if (read := _READERS.get(key)) is not None:
            try:
                conditions = read(conditions, place, value)
            except (TypeError, ValueError, AttributeError, InvalidOperation) as error:
                if isinstance(error, SchemaError):
                    raise
                raise place.error(f"{key!r} has a value that cannot be used: {value!r}") from error
    return replace(conditions, hints=frozenset(kind for keyword, kind in _ABOUT.items() if keyword in schema))


_ABOUT = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), "string"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems"), "array"),
    **dict.fromkeys(
        (
            *("properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties"),
            *("required", "minProperties", "maxProperties", "dependentRequired"),
        ),
        "object",
    ),
}


def _read_type(conditions: Conditions, place: Place, value: Any) -> Conditions:
    names = [value] if isinstance(value, str) else list(value)
    for name in names:
        if name not in TYPES | {"integer"}:
            raise place.error(f"there is no type {name!r}; use null, boolean, integer, number, string, array or object")
    types = frozenset("number" if name == "integer" else name for name in names)
    is_integer = "integer" in names and "number" not in names
    return replace(conditions, types=conditions.types & types, is_integer=is_integer)


def _read_values(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(values)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    number = Decimal(str(value))
    if not is_usable(number):
        raise ValueError
    return number


def _read_lower(conditions: Conditions, place: Place, value: Any) -> Conditions:
    if isinstance(place.schema.get("exclusiveMinimum"), bool):
        raise place.error("'exclusiveMinimum' is a number since Draft 6; true and false are not supported")
    return replace(conditions, lows=(*conditions.lows, Bound(_decimal(value))))


def _read_upper(conditions: Conditions, place: Place, value: Any) -> Conditions:
    if isinstance(place.schema.get("exclusiveMaximum"), bool):
        raise place.error("'exclusiveMaximum' is a number since Draft 6; true and false are not supported")
    return replace(conditions, highs=(*conditions.highs, Bound(_decimal(value))))


def _positive(value: Any) -> Decimal:
    number = _decimal(value)
    if number <= 0:
        raise ValueError
    return number


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise TypeError
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return tuple(value)


def _read_object(conditions: Conditions, place: Place, value: Any) -> Conditions:
    return conditions if place in conditions.objects else replace(conditions, objects=(*conditions.objects, place))


def _read_array(conditions: Conditions, place: Place, value: Any) -> Conditions:
    if isinstance(place.schema.get("items"), list):
        raise place.error("'items' as a list is not supported; use 'prefixItems'")
    return conditions if place in conditions.arrays else replace(conditions, arrays=(*conditions.arrays, place))


def _read_dependent(conditions: Conditions, place: Place, value: Any) -> Conditions:
    """What is needed in some cases is always there: allowed, and simpler than the cases."""
    needed = tuple(name for names in _mapping(value).values() for name in _names(names))
    return replace(conditions, required=(*conditions.required, *needed))


_READERS: dict[str, Callable[[Conditions, Place, Any], Conditions]] = {
    "type": _read_type,
    "const": lambda c, _, v: c.merged(Conditions(c.path, values=(v,))) or c,
    "enum": lambda c, _, v: c.merged(Conditions(c.path, values=_read_values(v))) or c,
    "minimum": _read_lower,
    "maximum": _read_upper,
    "exclusiveMinimum": lambda c, _, v: replace(c, lows=(*c.lows, Bound(_decimal(v), True))),
    "exclusiveMaximum": lambda c, _, v: replace(c, highs=(*c.highs, Bound(_decimal(v), True))),
    "multipleOf": lambda c, _, v: replace(c, multiples=(*c.multiples, _positive(v))),
    "pattern": lambda c, _, v: replace(c, patterns=(*c.patterns, _text(v))),
    "format": lambda c, _, v: replace(c, formats=(*c.formats, _text(v))),
    "minLength": lambda c, _, v: replace(c, least_characters=_count(v)),
    "maxLength": lambda c, _, v: replace(c, most_characters=_count(v)),
    "items": _read_array,
    "prefixItems": _read_array,
    "minItems": lambda c, _, v: replace(c, least_items=_count(v)),
    "maxItems": lambda c, _, v: replace(c, most_items=_count(v)),
    "uniqueItems": lambda c, _, v: replace(c, is_unique=bool(v)),
    "properties": lambda c, p, v: _read_object(c, p, _mapping(v)),
    "patternProperties": lambda c, p, v: _read_object(c, p, _mapping(v)),
    "additionalProperties": _read_object,
    "propertyNames": lambda c, p, v: replace(c, names=(*c.names, p.inside("propertyNames"))),
    "required": lambda c, _, v: replace(c, required=(*c.required, *_names(v))),
    "minProperties": lambda c, _, v: replace(c, least_properties=_count(v)),
    "maxProperties": lambda c, _, v: replace(c, most_properties=_count(v)),
    "dependentRequired": _read_dependent,
}
