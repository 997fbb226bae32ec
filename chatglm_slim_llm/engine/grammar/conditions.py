"""Plain conditions that a value must keep, as a schema without references and alternatives states them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chatglm_slim_llm.engine.grammar.numbers import Bound
from chatglm_slim_llm.errors import SchemaError

TYPES = frozenset(("null", "boolean", "number", "string", "array", "object"))


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
    """Had ``unevaluatedProperties``: no property may be there but for those described so far."""
    hints: frozenset[str] = frozenset()
    """Types that the keywords are about, for where ``type`` is missing."""

    @property
    def describes_properties(self) -> bool:
        """Whether it makes a property possible."""
        return bool(self.objects or self.required)

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
