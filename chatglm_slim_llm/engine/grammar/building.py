"""From a JSON schema to rules of what is written.

What is written may be less than the schema allows, never more: properties come in the schema's order, and no others
unless it asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from chatglm_slim_llm.engine.grammar.checking import holds
from chatglm_slim_llm.engine.grammar.conditions import TYPES, Conditions, Place
from chatglm_slim_llm.engine.grammar.inside import asks_for_more, counted, has_rest, item_places, property_places
from chatglm_slim_llm.engine.grammar.leaves import text_of, written_number
from chatglm_slim_llm.engine.grammar.nodes import (
    Array,
    Extra,
    Field,
    Literal,
    Node,
    Object,
    Subset,
    Text,
    dumps,
    shortest_text,
)
from chatglm_slim_llm.engine.grammar.numbers import Number
from chatglm_slim_llm.engine.grammar.reading import Reader
from chatglm_slim_llm.errors import SchemaError

_MOST_RULES = 5_000
_MOST_ITEMS, _MOST_PAIRS, _LONGEST_NAME, _LONGEST_PATTERNED = 100, 50, 64, 256
"""Where the schema sets no limit: lists, properties without names of their own, their names, strings with a pattern.

Free strings have none, as counting takes time at every token; the reply's own limit closes them.
"""
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
        return Literal(dumps(value))

    def _constant_rule(self, value: Any) -> str:
        key = f"={dumps(value)}"
        if key not in self._names:
            name = self._names[key] = f"{self._prefix}c{len(self._names)}"
            self._rules[name] = (self.constant(value),)
        return self._names[key]

    # --- what is possible ---

    def is_possible(self, rule: str) -> bool:
        """Whether there may be a value: true for a rule that is still being made, and for every pattern.

        What patterns match is narrowed here, and "no value is both" must hold for all that a validator sees in them.
        """
        nodes = self._rules[rule]
        return nodes is None or any(map(self._is_possible, nodes))

    def _is_possible(self, node: Node) -> bool:
        match node:
            case Array():
                return all(map(self.is_possible, node.first[: node.least]))
            case Object():
                return True  # what can never be met was left out when it was made
            case Text():
                return bool(node.patterns) or node.most is None or node.least <= node.most
        return shortest_text(node, {}) is not None

    def _are_apart(self, one: Conditions, other: Conditions) -> bool:
        """Whether no value keeps both."""
        both = one.merged(other)
        return both is None or not any(map(self._is_possible, self._alternatives([both])))

    # --- one kind after the other ---

    def _alternatives(self, found: Iterable[Conditions]) -> tuple[Node, ...]:
        return tuple(dict.fromkeys(node for conditions in found for node in self._nodes(conditions)))

    def _nodes(self, conditions: Conditions) -> Iterable[Node]:
        types = conditions.types
        if conditions.values is not None:
            yield from (self.constant(value) for value in conditions.values if holds(self._reader, conditions, value))
            return
        if types == TYPES and conditions.hints:
            types = conditions.hints
        if "null" in types:
            yield Literal("null")
        if "boolean" in types:
            yield from (Literal("true"), Literal("false"))
        if "number" in types and (number := written_number(conditions)).shortest() is not None:
            yield number
        if "string" in types:
            yield _limited(text_of(conditions))
        if "array" in types:
            yield from self._array(conditions)
        if "object" in types:
            yield from self._object(conditions)

    def _array(self, conditions: Conditions) -> Iterable[Node]:
        longest = max((len(place.schema.get("prefixItems", ())) for place in conditions.arrays), default=0)
        first = [self.rule(*item_places(conditions, index)) for index in range(longest)]
        rest = self.rule(*item_places(conditions, longest)) if has_rest(conditions, longest) else None
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
        if (counted_object := counted(conditions, fields, extra)) is not None:
            yield counted_object

    def _field_rule(self, conditions: Conditions, name: str) -> str | None:
        allowed = self._reader.conjunction(conditions.names)
        if not any(holds(self._reader, one, name) for one in allowed):
            return None
        return self.rule(*property_places(conditions, name))

    def _extra(self, conditions: Conditions, taken: tuple[str, ...]) -> Extra | list[str] | None:
        """Properties without names of their own; a list if there are only certain names."""
        patterns = {pattern for place in conditions.objects for pattern in place.schema.get("patternProperties", ())}
        if len(patterns) > 1:
            raise SchemaError(
                "'patternProperties' is supported with one pattern only; write it as one with '|'", path=conditions.path
            )
        if not (patterns or asks_for_more(conditions)):
            return None
        pattern = next(iter(patterns), None)
        rule = self.rule(*property_places(conditions, None, pattern))
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


def _limited(node: Text) -> Text:
    """A pattern's text of a sensible length, if it has such."""
    if node.most is not None or not node.patterns:
        return node
    limited = replace(node, most=_LONGEST_PATTERNED)
    return node if shortest_text(limited, {}) is None else limited
