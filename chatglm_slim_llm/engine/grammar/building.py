"""From a JSON schema to rules of what is written.

What is written may be less than the schema allows, never more: properties come in the schema's order, and no others
unless it asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from math import lcm
from typing import Any

from chatglm_slim_llm.engine.grammar.conditions import TYPES, Conditions, Place, Reader, same
from chatglm_slim_llm.engine.grammar.nodes import (
    Array,
    Extra,
    Field,
    Literal,
    Node,
    Object,
    Subset,
    Text,
    automaton_of,
    dumps,
    shortest_text,
)
from chatglm_slim_llm.engine.grammar.numbers import Number
from chatglm_slim_llm.engine.grammar.patterns import Pattern, PatternError, parse, parse_whole
from chatglm_slim_llm.engine.grammar.text_formats import PATTERNS, WITHOUT_MEANING
from chatglm_slim_llm.errors import SchemaError

_MOST_RULES = 5_000
_MOST_ITEMS, _MOST_PAIRS, _LONGEST_NAME = 100, 50, 64
"""Where the schema sets no limit: lists, properties without names of their own, and their names."""
_DEEPEST = 3
"""How deep lists and objects of any content may stand in each other."""


class Builder:
    """Makes the rules of one document's schemas."""

    def __init__(self, root: Any, prefix: str = "") -> None:
        """Make nothing yet.

        Args:
            root: the whole document, where ``$ref`` points into.
            prefix: starts the names of its rules, so that those of several documents can stand in one grammar.
        """
        self._prefix = prefix
        self._reader = Reader(root, self._are_apart)
        self._rules: dict[str, tuple[Node, ...] | None] = {}  # None: being made
        self._places: dict[str, tuple[Place, ...]] = {}
        self._names: dict[str, str] = {}

    @property
    def rules(self) -> dict[str, tuple[Node, ...]]:
        """All that were made."""
        return {name: nodes or () for name, nodes in self._rules.items()}

    def rule(self, *places: Place) -> str:
        """The name of the rule for values that keep all these schemas.

        Raises:
            SchemaError: a schema is wrong or not supported.
        """
        wanted = [place for place in places if place.schema is not True and place.schema != {}]
        if not wanted:
            return self.anything(_DEEPEST)
        key = "\n".join(sorted({json.dumps(place.schema, default=str) for place in wanted}))
        if key not in self._names:
            if len(self._names) >= _MOST_RULES:
                raise wanted[0].error(f"the schema needs more than {_MOST_RULES} rules; simplify it")
            name = self._names[key] = f"{self._prefix}v{len(self._names)}"
            self._rules[name] = None
            self._rules[name] = self._alternatives(self._reader.conjunction(wanted))
        return self._names[key]

    def anything(self, depth: int) -> str:
        """The name of the rule for any JSON value."""
        name = f"any{depth}"
        if name not in self._rules:
            nodes: tuple[Node, ...] = (Literal("null"), Literal("true"), Literal("false"), Number(), Text())
            if depth:
                inner = self.anything(depth - 1)
                extra = Extra((Text(most=_LONGEST_NAME),), inner, most=_MOST_PAIRS)
                nodes += (Array(rest=inner, most=_MOST_ITEMS), Object(extra=extra))
            self._rules[name] = nodes
        return name

    def constant(self, value: Any) -> Node:
        """The node that is just this value."""
        match value:
            case list():
                return Array(tuple(map(self._constant_rule, value)), least=len(value), most=len(value))
            case dict():
                return Object(tuple(Field(str(key), self._constant_rule(one), True) for key, one in value.items()))
        try:
            return Literal(dumps(value))
        except ValueError:
            raise SchemaError(f"{value!r} cannot be written as JSON", path="#") from None

    def _constant_rule(self, value: Any) -> str:
        key = f"={dumps(value)}"
        if key not in self._names:
            name = self._names[key] = f"{self._prefix}c{len(self._names)}"
            self._rules[name] = (self.constant(value),)
        return self._names[key]

    # --- what is possible ---

    def is_possible(self, rule: str) -> bool:
        """Whether there is a value; true for a rule that is still being made."""
        nodes = self._rules[rule]
        return nodes is None or any(map(self._is_possible, nodes))

    def _is_possible(self, node: Node) -> bool:
        match node:
            case Array():
                return all(map(self.is_possible, node.first[: node.least]))
            case Object():
                return True  # what can never be met was left out when it was made
        return shortest_text(node, {}) is not None

    def _are_apart(self, one: Conditions, other: Conditions) -> bool:
        """Whether no value keeps both, without a look at patterns: what they match is narrowed here."""
        both = replace(one, patterns=(), formats=()).merged(replace(other, patterns=(), formats=()))
        return both is None or not any(map(self._is_possible, self._alternatives([both])))

    # --- one kind after the other ---

    def _alternatives(self, found: Iterable[Conditions]) -> tuple[Node, ...]:
        return tuple(dict.fromkeys(node for conditions in found for node in self._nodes(conditions)))

    def _nodes(self, conditions: Conditions) -> Iterable[Node]:
        types = conditions.types
        if conditions.values is not None:
            yield from (self.constant(value) for value in conditions.values if self.holds(conditions, value))
            return
        if types == TYPES and conditions.hints:
            types = conditions.hints
        if "null" in types:
            yield Literal("null")
        if "boolean" in types:
            yield from (Literal("true"), Literal("false"))
        if "number" in types and (number := _number(conditions).with_simple_multiple()).shortest() is not None:
            yield number
        if "string" in types:
            yield self._text(conditions)
        if "array" in types:
            yield from self._array(conditions)
        if "object" in types:
            yield from self._object(conditions)

    def _text(self, conditions: Conditions) -> Text:
        patterns = [_pattern(source, conditions.path) for source in conditions.patterns]
        patterns += [p for name in conditions.formats if (p := _format(name, conditions.path)) is not None]
        return Text(tuple(patterns), conditions.least_characters, conditions.most_characters)

    def _array(self, conditions: Conditions) -> Iterable[Node]:
        longest = max((len(place.schema.get("prefixItems", ())) for place in conditions.arrays), default=0)
        first = [self.rule(*_item_places(conditions, index)) for index in range(longest)]
        rest = self.rule(*_item_places(conditions, longest)) if _has_rest(conditions, longest) else None
        most = max(_MOST_ITEMS, conditions.least_items) if conditions.most_items is None else conditions.most_items
        for index, rule in enumerate(first):
            if not self.is_possible(rule):
                first, rest = first[:index], None
                break
        if rest is not None and not self.is_possible(rest):
            rest = None
        if rest is None:
            most = min(most, len(first))
        if most < conditions.least_items:
            return
        node = Array(tuple(first[:most]), rest, conditions.least_items, most)
        yield from self._unique(conditions, node) if conditions.is_unique else [node]

    def _unique(self, conditions: Conditions, node: Array) -> Iterable[Node]:
        if node.most is not None and node.most <= 1:
            yield node
            return
        choices = None if node.first or node.rest is None else self._rules[node.rest]
        if choices is None or not all(isinstance(choice, Literal) for choice in choices):
            raise SchemaError(
                "'uniqueItems' is supported for items of 'enum', 'const' or 'boolean' only; leave it out, or set "
                "maxItems to 1",
                path=conditions.path,
            )
        texts = tuple(choice.text for choice in choices if isinstance(choice, Literal))
        if len(texts) >= node.least:
            yield Subset(texts, node.least, node.most)

    def _object(self, conditions: Conditions) -> Iterable[Node]:
        names = [name for place in conditions.objects for name in place.schema.get("properties", ())]
        extra = self._extra(conditions, tuple(dict.fromkeys((*names, *conditions.required))))
        closed_keys: list[str] = []
        if isinstance(extra, list):
            closed_keys, extra = extra, None
        fields = []
        for name in dict.fromkeys((*names, *conditions.required, *closed_keys)):
            is_required = name in conditions.required
            if (rule := self._field_rule(conditions, name)) is not None and self.is_possible(rule):
                fields.append(Field(name, rule, is_required))
            elif is_required:
                return
        if (counted := _counted(conditions, fields, extra)) is not None:
            yield counted

    def _field_rule(self, conditions: Conditions, name: str) -> str | None:
        if conditions.names and not any(self.holds(one, name) for one in self._reader.conjunction(conditions.names)):
            return None
        return self.rule(*_property_places(conditions, name))

    def _extra(self, conditions: Conditions, taken: tuple[str, ...]) -> Extra | list[str] | None:
        """Properties without names of their own; a list if there are only certain names."""
        patterns = {pattern for place in conditions.objects for pattern in place.schema.get("patternProperties", ())}
        if len(patterns) > 1:
            raise SchemaError(
                "'patternProperties' is supported with one pattern only; write it as one with '|'", path=conditions.path
            )
        if not (patterns or _asks_for_more(conditions)):
            return None
        pattern = next(iter(patterns), None)
        rule = self.rule(*_property_places(conditions, None, pattern))
        if not self.is_possible(rule):
            return None
        keys = self._keys(conditions, pattern)
        if literals := [key.text for key in keys if isinstance(key, Literal)]:
            return [json.loads(text) for text in literals]
        texts = (
            replace(key, taken=taken, most=max(_LONGEST_NAME, key.least) if key.most is None else key.most)
            for key in keys
            if isinstance(key, Text)
        )
        found = tuple(text for text in texts if shortest_text(text, {}) is not None)
        return Extra(found, rule, most=_MOST_PAIRS) if found else None

    def _keys(self, conditions: Conditions, pattern: str | None) -> tuple[Node, ...]:
        wanted = Conditions(conditions.path, frozenset(["string"]), patterns=(pattern,) if pattern else ())
        allowed = self._reader.conjunction(conditions.names)
        return self._alternatives(both for one in allowed if (both := wanted.merged(one)) is not None)

    # --- values that are given ---

    def holds(self, conditions: Conditions, value: Any) -> bool:
        """Whether a given value keeps the conditions."""
        if not any(_is_a(value, kind) for kind in conditions.types):
            return False
        if conditions.values is not None and not any(same(value, one) for one in conditions.values):
            return False
        match value:
            case bool() | None:
                return True
            case int() | float():
                return _number(conditions).holds(Decimal(str(value)))
            case str():
                text = self._text(conditions)
                fits = text.least <= len(value) and (text.most is None or len(value) <= text.most)
                return fits and all(automaton_of(pattern).matches(value) for pattern in text.patterns)
            case list():
                return self._array_holds(conditions, value)
        return self._object_holds(conditions, value)

    def _keeps(self, places: Sequence[Place], value: Any) -> bool:
        return any(self.holds(conditions, value) for conditions in self._reader.conjunction(places))

    def _array_holds(self, conditions: Conditions, value: list[Any]) -> bool:
        most = conditions.most_items
        return (
            conditions.least_items <= len(value)
            and (most is None or len(value) <= most)
            and not (conditions.is_unique and any(same(a, b) for i, a in enumerate(value) for b in value[:i]))
            and all(self._keeps(_item_places(conditions, index), item) for index, item in enumerate(value))
        )

    def _object_holds(self, conditions: Conditions, value: dict[str, Any]) -> bool:
        most = conditions.most_properties
        return (
            conditions.least_properties <= len(value)
            and (most is None or len(value) <= most)
            and all(name in value for name in conditions.required)
            and all(self._keeps(conditions.names, name) for name in value)
            and all(self._keeps(_property_places(conditions, name), one) for name, one in value.items())
        )


def _is_a(value: Any, kind: str) -> bool:
    kinds = {"null": type(None), "boolean": bool, "number": int | float, "string": str, "array": list, "object": dict}
    return isinstance(value, kinds[kind]) and not (kind == "number" and isinstance(value, bool))


def _number(conditions: Conditions) -> Number:
    low = max(conditions.lows, key=lambda bound: (bound.value, bound.is_exclusive), default=None)
    high = min(conditions.highs, key=lambda bound: (bound.value, not bound.is_exclusive), default=None)
    return Number(conditions.is_integer, low, high, _common_multiple(conditions.multiples))


def _common_multiple(multiples: Sequence[Decimal]) -> Decimal | None:
    if len(multiples) < 2:
        return multiples[0] if multiples else None
    places = max(max(0, -int(multiple.normalize().as_tuple().exponent)) for multiple in multiples)
    return Decimal(lcm(*(int(multiple.scaleb(places)) for multiple in multiples))).scaleb(-places)


def _pattern(source: str, path: str) -> Pattern:
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


def _has_rest(conditions: Conditions, longest: int) -> bool:
    """Whether there may be more items than those with schemas of their own."""
    is_described = any("items" in place.schema for place in conditions.arrays)
    return is_described or not longest or conditions.least_items > longest


def _item_places(conditions: Conditions, index: int) -> list[Place]:
    """The schemas of the item at ``index``."""
    places = []
    for place in conditions.arrays:
        if index < len(place.schema.get("prefixItems", ())):
            places.append(place.inside("prefixItems", index))
        elif "items" in place.schema:
            places.append(place.inside("items"))
    return places


def _property_places(conditions: Conditions, name: str | None, pattern: str | None = None) -> list[Place]:
    """The schemas of the property ``name``; without a name, of those whose names match ``pattern``."""
    places = []
    for place in conditions.objects:
        found = []
        if name is not None and name in place.schema.get("properties", ()):
            found.append(place.inside("properties", name))
        for source in place.schema.get("patternProperties", ()):
            if source == pattern or (name is not None and _may_match(source, name, place)):
                found.append(place.inside("patternProperties", source))
        if not found and "additionalProperties" in place.schema:
            found = [place.inside("additionalProperties")]
        places += found
    return places


def _may_match(source: str, name: str, place: Place) -> bool:
    return automaton_of(_pattern(source, place.path)).matches(name, is_strict=False)


def _asks_for_more(conditions: Conditions) -> bool:
    """Whether properties without names are wanted: the schema speaks of them, or says nothing at all of properties."""
    if not conditions.objects:
        return not conditions.is_closed and not conditions.required
    return any(place.schema.get("additionalProperties", False) is not False for place in conditions.objects)


def _counted(conditions: Conditions, fields: list[Field], extra: Extra | None) -> Object | None:
    """The object with as many properties as are wanted."""
    least, most = conditions.least_properties, conditions.most_properties
    if most is not None and len(fields) > most:
        spare = most - sum(field.is_required for field in fields)
        if spare < 0:
            return None
        optional = [field for field in fields if not field.is_required][:spare]
        fields = [field for field in fields if field.is_required or field in optional]
    if extra is not None and most is not None:
        extra = replace(extra, most=most - len(fields)) if most > len(fields) else None
    missing = least - sum(field.is_required for field in fields)
    if missing == 1:
        return _with_one_more(fields, extra)
    for index, field in enumerate(fields):
        if missing > 0 and not field.is_required:
            fields[index] = replace(field, is_required=True)
            missing -= 1
    if missing > 0:
        if extra is None:
            return None
        if missing > 1:
            raise SchemaError(
                f"'minProperties' {least} is more than the properties that have names; name them, as the same name "
                "could be written twice",
                path=conditions.path,
            )
        extra = replace(extra, least=1)
    return Object(tuple(fields), extra)


def _with_one_more(fields: list[Field], extra: Extra | None) -> Object | None:
    if not any(field.is_required for field in fields):
        return Object(tuple(fields), extra, may_be_empty=False) if fields or extra else None
    for index, field in enumerate(fields):
        if not field.is_required:
            return Object((*fields[:index], replace(field, is_required=True), *fields[index + 1 :]), extra)
    return Object(tuple(fields), replace(extra, least=1)) if extra else None
