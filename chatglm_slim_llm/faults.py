"""What is wrong with a JSON schema before anybody reads it: parts that are none, and a promise that nobody can keep.

What the keywords ask for, and which of them a reply can be held to, is the business of `engine/grammar/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_OF_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_OF_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_OF_ONE = ("items", "additionalProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains")


def fault_of(schema: Any) -> str | None:
    """What a schema has that cannot be used, with its place and what is wanted instead; nothing if all can be."""
    try:
        return next(iter(_faults(schema, "#")), None)
    except RecursionError:
        return "parts in parts that are nested too deeply; point to what contains itself with $ref"


def _faults(schema: Any, path: str) -> Iterable[str]:
    if not isinstance(schema, Mapping):
        return  # true or false
    yield from _keys(schema, path)
    for key, value in schema.items():
        if (wanted := _WANTED.get(key)) is not None and not wanted[0](value):
            yield f"{key!r} at {path}, which is {shorten(value)}; it must be {wanted[1]}"
    if schema.get("contentMediaType") == "application/json":
        yield (
            f"JSON in the text at {path}, which no reply can be held to; give the type of what it holds, such as int "
            "in place of pydantic's Json[int]"
        )
    for inner, place in _inside(schema):
        yield from _faults(inner, f"{path}/{place}")


def _keys(schema: Mapping[Any, Any], path: str) -> Iterable[str]:
    places = [(schema, path), *((schema.get(key), f"{path}/{key}") for key in _OF_NAMED)]
    for named, place in places:
        for key in named if isinstance(named, Mapping) else ():
            if not isinstance(key, str):
                yield f"the key {key!r} at {place}; every key must be a text"


def _inside(schema: Mapping[str, Any]) -> Iterable[tuple[Any, str]]:
    for key in _OF_NAMED:
        if isinstance(named := schema.get(key), Mapping):
            yield from ((inner, f"{key}/{name}") for name, inner in named.items())
    for key in (*_OF_SEVERAL, *_OF_ONE):
        if isinstance(several := schema.get(key), list | tuple):
            yield from ((inner, f"{key}/{at}") for at, inner in enumerate(several))
        elif key in _OF_ONE:
            yield schema.get(key), key


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, default=dict)
    except (TypeError, ValueError):
        return False
    return True


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_OF_NAMED, (lambda value: isinstance(value, Mapping), "an object of schemas")),
    **dict.fromkeys(_OF_SEVERAL, (_is_list, "a list of schemas")),
    "required": (lambda value: _is_list(value) and all(isinstance(name, str) for name in value), "a list of texts"),
    "enum": (lambda value: _is_list(value) and _is_json(value), "a list of values of JSON"),
    "const": (_is_json, "a value of JSON"),
}


def shorten(value: Any) -> str:
    """A value as an error tells it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
