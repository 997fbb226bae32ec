"""JSON schemas taken apart: every schema is a list of alternatives, each of them plain conditions that all must hold.

``$ref``, ``allOf``, ``anyOf`` and ``oneOf`` are gone after that. What is inside objects and arrays stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from chatglm_slim_llm.engine.grammar.numbers import Bound, is_usable
from chatglm_slim_llm.errors import SchemaError

TYPES = frozenset(("null", "boolean", "number", "string", "array", "object"))
_MOST_ALTERNATIVES = 400
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


@dataclass(frozen=True)
class Place:
    """A schema inside the whole one."""

    schema: Any
    path: str

    def inside(self, *keys: str | int) -> Place:
        """What stands there under these keys."""
        schema = self.schema
        for key in keys:
            schema = schema[key]
        escaped = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
        return Place(schema, "/".join([self.path, *escaped]))

    def error(self, message: str) -> SchemaError:
        """Says what is wrong here."""
        return SchemaError(message, path=self.path)


@dataclass(frozen=True)
class Conditions:
    """Plain conditions; a value is allowed if it keeps all that are about its type."""

    path: str
    types: frozenset[str] = TYPES
    """``number`` covers integers, and ``is_integer`` says that nothing else will do."""
    values: tuple[Any, ...] | None = None
    is_integer: bool = False
    lows: tuple[Bound, ...] = ()
    highs: tuple[Bound, ...] = ()
    multiples: tuple[Decimal, ...] = ()
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    least_characters: int = 0
    most_characters: int | None = None
    arrays: tuple[Place, ...] = ()
    """Schemas with ``items`` or ``prefixItems``."""
    least_items: int = 0
    most_items: int | None = None
    is_unique: bool = False
    objects: tuple[Place, ...] = ()
    """Schemas with ``properties``, ``patternProperties`` or ``additionalProperties``."""
    names: tuple[Place, ...] = ()
    required: tuple[str, ...] = ()
    least_properties: int = 0
    most_properties: int | None = None
    is_closed: bool = False
    """Has ``unevaluatedProperties``: nothing may be there that is not described."""
    hints: frozenset[str] = frozenset()
    """Types that the keywords are about, for where ``type`` is missing."""

    def merged(self, other: Conditions) -> Conditions | None:
        """Both; None if no value of any type can keep them."""
        values = self.values if other.values is None else other.values
        if self.values is not None and other.values is not None:
            values = tuple(value for value in self.values if any(same(value, one) for one in other.values))
        merged = Conditions(
            self.path,
            self.types & other.types,
            values,
            self.is_integer or other.is_integer,
            self.lows + other.lows,
            self.highs + other.highs,
            self.multiples + other.multiples,
            self.patterns + other.patterns,
            self.formats + other.formats,
            max(self.least_characters, other.least_characters),
            _smaller(self.most_characters, other.most_characters),
            self.arrays + other.arrays,
            max(self.least_items, other.least_items),
            _smaller(self.most_items, other.most_items),
            self.is_unique or other.is_unique,
            self.objects + other.objects,
            self.names + other.names,
            tuple(dict.fromkeys(self.required + other.required)),
            max(self.least_properties, other.least_properties),
            _smaller(self.most_properties, other.most_properties),
            self.is_closed or other.is_closed,
            self.hints | other.hints,
        )
        return merged if merged.types else None


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return (type(one) in (int, float) and type(other) in (int, float) and one == other) or (
        type(one) is type(other) and bool(one == other)
    )


class Reader:
    """Takes the schemas of one document apart."""

    def __init__(self, root: Any, are_apart: Callable[[Conditions, Conditions], bool]) -> None:
        """Read nothing yet.

        Args:
            root: the whole document, where ``$ref`` points into.
            are_apart: whether no value keeps both conditions; ``oneOf`` needs it.
        """
        self._root, self._are_apart = root, are_apart
        self._anchors: dict[str, Place] | None = None

    def alternatives(self, place: Place, via: tuple[str, ...] = ()) -> list[Conditions]:
        """What a value must keep one of.

        Raises:
            SchemaError: the schema is wrong or not supported.
        """
        schema = place.schema
        if isinstance(schema, bool):
            return [Conditions(place.path)] if schema else []
        if not isinstance(schema, Mapping):
            raise place.error(f"a schema is an object, true or false, not {schema!r}")
        found = [_plain_conditions(place)]
        for key in schema:
            if (choices := self._applied(place, key, via)) is not None:
                found = _product(found, choices, place)
        return found

    def conjunction(self, places: Iterable[Place]) -> list[Conditions]:
        """What a value must keep one of to keep all the schemas."""
        found: list[Conditions] | None = None
        for place in places:
            choices = self.alternatives(place)
            found = choices if found is None else _product(found, choices, place)
        return [Conditions("#")] if found is None else found

    def _applied(self, place: Place, key: str, via: tuple[str, ...]) -> list[Conditions] | None:
        match key:
            case "$ref":
                target = self._target(place)
                if target.path in via:
                    raise place.error(f"$ref goes round in a circle: {' -> '.join([*via, target.path])}")
                return self.alternatives(target, (*via, target.path))
            case "anyOf" | "oneOf":
                options = [self.alternatives(option, via) for option in _several(place, key)]
                if key == "oneOf":
                    self._want_apart(place, options)
                return [condition for option in options for condition in option]
            case "allOf":
                found = [Conditions(place.path)]
                for part in _several(place, key):
                    found = _product(found, self.alternatives(part, via), part)
                return found
        return None

    def _want_apart(self, place: Place, options: list[list[Conditions]]) -> None:
        for (first, one), (second, other) in combinations(enumerate(options), 2):
            if not all(self._are_apart(a, b) for a in one for b in other):
                raise place.error(
                    f"'oneOf' is supported where no value can be two of its schemas, but {first} and {second} may have "
                    "one in common; use anyOf, or give each a required property with another const"
                )

    def _target(self, place: Place) -> Place:
        reference = place.schema["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise place.error(f"'$ref' to {reference!r} is not supported; it must point into the schema: '#/$defs/x'")
        target = Place(self._root, "#")
        steps = unquote(reference[1:]).split("/")
        if steps[0]:
            return self._anchor(steps[0], place)
        for step in steps[1:]:
            key: str | int = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target.schema, list) and str(key).isdigit():
                key = int(key)
            try:
                target = target.inside(key)
            except (KeyError, IndexError, TypeError):
                raise place.error(f"'$ref' points to {reference!r}, but there is nothing there") from None
        return target

    def _anchor(self, name: str, place: Place) -> Place:
        if self._anchors is None:
            self._anchors = {}
            _collect_anchors(Place(self._root, "#"), self._anchors)
        if name not in self._anchors:
            raise place.error(f"'$ref' points to '#{name}', but there is no such $anchor")
        return self._anchors[name]


def _collect_anchors(place: Place, anchors: dict[str, Place]) -> None:
    if isinstance(place.schema, Mapping):
        if isinstance(name := place.schema.get("$anchor"), str):
            anchors[name] = place
        for key in place.schema:
            _collect_anchors(place.inside(key), anchors)
    elif isinstance(place.schema, list):
        for index in range(len(place.schema)):
            _collect_anchors(place.inside(index), anchors)


def _several(place: Place, key: str) -> list[Place]:
    schemas = place.schema[key]
    if not isinstance(schemas, list) or not schemas:
        raise place.error(f"'{key}' must be a list of schemas")
    return [place.inside(key, index) for index in range(len(schemas))]


def _product(found: list[Conditions], choices: list[Conditions], place: Place) -> list[Conditions]:
    if len(found) * len(choices) > _MOST_ALTERNATIVES:
        raise place.error(f"there are more than {_MOST_ALTERNATIVES} combinations of alternatives; simplify the schema")
    return [both for one in found for other in choices if (both := one.merged(other)) is not None]


def _plain_conditions(place: Place) -> Conditions:
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
    "unevaluatedProperties": lambda c, _, v: replace(c, is_closed=True),
    "propertyNames": lambda c, p, v: replace(c, names=(*c.names, p.inside("propertyNames"))),
    "required": lambda c, _, v: replace(c, required=(*c.required, *_names(v))),
    "minProperties": lambda c, _, v: replace(c, least_properties=_count(v)),
    "maxProperties": lambda c, _, v: replace(c, most_properties=_count(v)),
    "dependentRequired": _read_dependent,
}
