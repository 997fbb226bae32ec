"""Random JSON schemas of every kind that replies can be held to."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

_KEYS = [
    "name",
    "id",
    "城市",
    "naïve key",
    'a"b',
    "back\\slash",
    "x，y",
    "emoji 👋",
    "line\nend",
    "<n>",
    "$ref",
    "tab\t",
    "",
]
_VALUES: list[Any] = [
    "red",
    "绿色",
    'say "hi"',
    0,
    1,
    -7,
    3.5,
    True,
    False,
    None,
    "",
    [1, 2],
    {"k": "v"},
    "a\\b",
    "，",
    [],
]
_PATTERNS = [
    "^[a-z]+$",
    r"^\d{3}-\d{4}$",
    "^(foo|bar|baz)+$",
    r"^[A-Z]{2}\d*$",
    "abc",
    r"^\S+@\S+$",
    "^[^aeiou]{2,5}$",
    r"^(?:\w+\.)+com$",
    r'^"quoted"$',
    r"^\\$",
    "^[一-龥]{1,4}$",
    "x$",
    "^y",
    "^(a|b(c|d)?)*$",
    r"^#[0-9a-fA-F]{6}$",
    r"^\d+(\.\d{1,2})?$",
]
_FORMATS = ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "password"]
_ANNOTATIONS: Schema = {
    "title": "T",
    "description": "not {JSON}",
    "examples": [1],
    "deprecated": True,
    "readOnly": False,
}


class SchemaMaker:
    """Makes one schema, with what it refers to."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._definitions: Schema = {}

    def make(self) -> Schema:
        """A whole document."""
        schema = self._any(3)
        return {**schema, "$defs": self._definitions} if self._definitions else schema

    def make_arguments(self) -> Schema:
        """A document that describes an object."""
        schema = self._object(2)
        return {**schema, "$defs": self._definitions} if self._definitions else schema

    def _any(self, depth: int) -> Schema:
        simple: list[Callable[[], Schema]] = [
            self._string,
            self._string,
            self._integer,
            self._number,
            self._values,
            self._flag,
        ]
        nested: list[Callable[[int], Schema]] = [self._object, self._object, self._array, self._union, self._map]
        nested += [self._tagged, self._merged, self._reference, self._optional, self._tuple]
        schema = (
            self._rng.choice(nested)(depth - 1)
            if depth > 0 and self._rng.random() < 0.7
            else self._rng.choice(simple)()
        )
        if self._rng.random() < 0.2:
            schema = {**_ANNOTATIONS, **schema}
        return schema

    def _may(self, chance: float = 0.5) -> bool:
        return self._rng.random() < chance

    def _string(self) -> Schema:
        schema: Schema = {"type": "string"}
        kind = self._rng.randrange(4)
        if kind == 0:
            schema["pattern"] = self._rng.choice(_PATTERNS) if self._may() else f"^{self._pattern(2)}$"
        elif kind == 1:
            schema["format"] = self._rng.choice(_FORMATS)
        elif kind == 2:
            schema["minLength"] = self._rng.randint(0, 4)
            schema["maxLength"] = self._rng.randint(4, 12)
        return schema

    def _pattern(self, depth: int) -> str:
        kind = self._rng.randrange(6 if depth else 3)
        if kind == 0:
            return self._rng.choice(["a", "Z", "0", "é", "中", r"\.", r"\"", r"\\", " ", "-", "/", r"\n"])
        if kind in (1, 2):
            return self._rng.choice(["[a-c]", r"\d", r"\w", "[^x-z]", r"[\w.-]", r"\s", r"\D", "."])
        if kind == 3:
            return self._pattern(depth - 1) + self._pattern(depth - 1)
        if kind == 4:
            return f"({self._pattern(depth - 1)}|{self._pattern(depth - 1)})"
        return f"(?:{self._pattern(depth - 1)}){self._rng.choice(['*', '+', '?', '{2}', '{1,3}', '{2,}'])}"

    def _integer(self) -> Schema:
        schema: Schema = {"type": "integer"}
        if self._may():
            schema[self._rng.choice(["minimum", "exclusiveMinimum"])] = self._rng.randint(-1200, 50)
        if self._may():
            schema[self._rng.choice(["maximum", "exclusiveMaximum"])] = self._rng.randint(
                60, 10 ** self._rng.randint(2, 12)
            )
        if self._may(0.2):
            schema["multipleOf"] = self._rng.choice([2, 3, 5, 7, 10])
        return schema

    def _number(self) -> Schema:
        schema: Schema = {"type": "number"}
        if self._may():
            schema[self._rng.choice(["minimum", "exclusiveMinimum"])] = self._rng.choice(
                [-2.5, 0, 0.001, 1, 3.14159, -1000]
            )
        if self._may():
            schema[self._rng.choice(["maximum", "exclusiveMaximum"])] = self._rng.choice([3.15, 4, 10.5, 99999, 1e9])
        if self._may(0.2):
            schema["multipleOf"] = self._rng.choice([0.5, 0.25, 0.01, 3, 0.1])
        return schema

    def _values(self) -> Schema:
        if self._may(0.3):
            return {"const": self._rng.choice(_VALUES)}
        return {"enum": self._rng.sample(_VALUES, self._rng.randint(1, 6))}

    def _flag(self) -> Schema:
        return {"type": self._rng.choice(["boolean", "null", ["boolean", "null"], ["integer", "string"]])}

    def _object(self, depth: int) -> Schema:
        names = self._rng.sample(_KEYS, self._rng.randint(0, 4))
        schema: Schema = {"type": "object", "properties": {name: self._any(depth - 1) for name in names}}
        schema["required"] = [name for name in names if self._may(0.6)]
        if self._may(0.3):
            schema["additionalProperties"] = self._rng.choice([False, False, True, self._any(0)])
        if self._may(0.1) and names:
            schema["minProperties"] = self._rng.randint(1, len(names))
        if self._may(0.1):
            schema["maxProperties"] = self._rng.randint(len(schema["required"]), len(names) + 1)
        return schema

    def _map(self, depth: int) -> Schema:
        value = self._any(depth - 1)
        kind = self._rng.randrange(4)
        if kind == 0:
            return {"type": "object", "patternProperties": {"^[a-z]{1,3}$": value}, "additionalProperties": False}
        schema: Schema = {"type": "object", "additionalProperties": value}
        if kind == 1:
            schema["propertyNames"] = self._rng.choice(
                [{"pattern": "^k_"}, {"enum": ["a", "b", "c"]}, {"maxLength": 4}]
            )
        if kind == 2:
            schema |= {"minProperties": self._rng.randint(0, 1), "maxProperties": self._rng.randint(1, 3)}
        return schema

    def _array(self, depth: int) -> Schema:
        schema: Schema = {"type": "array", "items": self._any(depth - 1)}
        if self._may():
            schema["minItems"] = self._rng.randint(0, 2)
        if self._may():
            schema["maxItems"] = self._rng.randint(2, 4)
        if self._may(0.15):
            schema |= {"items": {"enum": self._rng.sample(["a", "b", "c", 1, None], 4)}, "uniqueItems": True}
        return schema

    def _tuple(self, depth: int) -> Schema:
        first = [self._any(depth - 1) for _ in range(self._rng.randint(1, 3))]
        schema: Schema = {"type": "array", "prefixItems": first, "minItems": self._rng.randint(0, len(first))}
        schema["items"] = self._rng.choice([False, False, {"type": "boolean"}])
        return schema

    def _union(self, depth: int) -> Schema:
        return {"anyOf": [self._any(depth - 1) for _ in range(self._rng.randint(1, 3))]}

    def _optional(self, depth: int) -> Schema:
        return {"anyOf": [self._any(depth - 1), {"type": "null"}], "default": None}

    def _tagged(self, depth: int) -> Schema:
        options = []
        for tag in self._rng.sample(["cat", "dog", "鸟"], self._rng.randint(2, 3)):
            schema = self._object(depth - 1)
            schema["properties"] = {"kind": {"const": tag}, **schema["properties"]}
            schema["required"] = ["kind", *schema["required"]]
            schema.pop("maxProperties", None)
            options.append(schema)
        return {"oneOf": options, "discriminator": {"propertyName": "kind"}}

    def _merged(self, depth: int) -> Schema:
        more = {"properties": {"extra": self._any(depth - 1)}, "required": ["extra"]}
        return {"allOf": [self._open_object(depth), more], "description": "both"}

    def _open_object(self, depth: int) -> Schema:
        schema = self._object(depth - 1)
        for key in ("additionalProperties", "maxProperties", "minProperties"):
            schema.pop(key, None)
        return schema

    def _reference(self, depth: int) -> Schema:
        name = f"d{self._rng.randrange(3)}"
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name] = self._recursive(name) if self._may() else self._any(depth - 1)
            if "$ref" in self._definitions[name]:  # which would say nothing but "see there"
                self._definitions[name] = {"type": "string"}
        return {"$ref": f"#/$defs/{name}"}

    def _recursive(self, name: str) -> Schema:
        itself = {"$ref": f"#/$defs/{name}"}
        if self._may():
            return {
                "type": "object",
                "properties": {"value": self._any(0), "next": {"anyOf": [itself, {"type": "null"}]}},
                "required": ["value", "next"],
            }
        children = {"type": "array", "items": itself, "maxItems": 3}
        return {"type": "object", "properties": {"v": self._any(0), "children": children}, "required": ["children"]}
