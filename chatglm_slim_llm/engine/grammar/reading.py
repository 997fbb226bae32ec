"""JSON schemas taken apart: every schema is a list of alternatives, each of them plain conditions that all must hold.

``$ref``, ``allOf``, ``anyOf`` and ``oneOf`` are gone after that. What is inside objects and arrays stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import combinations, product
from typing import Any
from urllib.parse import unquote

from chatglm_slim_llm.engine.grammar.conditions import Conditions, Place
from chatglm_slim_llm.engine.grammar.keywords import plain_conditions

_MOST_ALTERNATIVES = 400
_NO_SCHEMAS = {"enum", "const", "default", "examples"}


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
        found = [plain_conditions(place)]
        for key in schema:
            if (choices := self._applied(place, key, via)) is not None:
                found = _product(found, choices, place)
        if schema.get("unevaluatedProperties", True) is not True:
            found = [replace(conditions, is_closed=True) for conditions in found]
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
        if "'dependentRequired'" in repr(place.schema["oneOf"]):  # it is narrowed: see `keywords.py`
            raise place.error("'dependentRequired' is not supported inside 'oneOf'; use anyOf")
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
            if name in anchors:
                raise place.error(f"there is another '$anchor' {name!r}: {anchors[name].path}")
            anchors[name] = place
        for key in place.schema:
            if key not in _NO_SCHEMAS:
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
    pairs = list(product(found, choices))
    if any((a.is_closed and b.describes_properties) or (b.is_closed and a.describes_properties) for a, b in pairs):
        raise place.error(
            "'unevaluatedProperties' is supported where all properties are described in the same schema or inside it"
        )
    return [both for one, other in pairs if (both := one.merged(other)) is not None]
