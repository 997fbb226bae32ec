"""What a schema says of the items of a list and of the properties of an object."""

from __future__ import annotations

from dataclasses import replace

from chatglm_slim_llm.engine.grammar.conditions import Conditions, Place
from chatglm_slim_llm.engine.grammar.leaves import pattern_of
from chatglm_slim_llm.engine.grammar.nodes import Extra, Field, Object, automaton_of, shortest_text
from chatglm_slim_llm.engine.grammar.patterns import ANY, Repeat, Sequence


def has_rest(conditions: Conditions, longest: int) -> bool:
    """Whether there may be more items than those with schemas of their own."""
    is_described = any("items" in place.schema for place in conditions.arrays)
    return is_described or not longest or conditions.least_items > longest


def item_places(conditions: Conditions, index: int) -> list[Place]:
    """The schemas of the item at ``index``."""
    places = []
    for place in conditions.arrays:
        if index < len(place.schema.get("prefixItems", ())):
            places.append(place.inside("prefixItems", index))
        elif "items" in place.schema:
            places.append(place.inside("items"))
    return places


def property_places(conditions: Conditions, name: str | None, pattern: str | None = None) -> list[Place]:
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
    return automaton_of(pattern_of(source, place.path)).matches(name, is_strict=False)


def asks_for_more(conditions: Conditions) -> bool:
    """Whether properties without names are wanted: the schema speaks of them, or says nothing at all of properties."""
    if not conditions.objects:
        return not conditions.is_closed and not conditions.required
    return any(place.schema.get("additionalProperties", False) is not False for place in conditions.objects)


def counted(conditions: Conditions, fields: list[Field], extra: Extra | None) -> Object | None:
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
    if missing == 1 and not any(field.is_required for field in fields):
        return Object(tuple(fields), extra, may_be_empty=False) if fields or extra else None
    for index, field in enumerate(fields):
        if missing > 0 and not field.is_required:
            fields[index] = replace(field, is_required=True)
            missing -= 1
    if missing > 0:
        if extra is None or (extra.most is not None and extra.most < missing):
            return None
        fields += _different_fields(extra, missing)
        extra = None if extra.most is None or extra.most <= missing else replace(extra, most=extra.most - missing)
    return Object(tuple(fields), extra)


def _different_fields(extra: Extra, count: int) -> list[Field]:
    """Properties whose names differ in length, as nothing else keeps the same name from being written twice."""
    fields = []
    for rest in range(count):
        length = Sequence((Repeat(Repeat(ANY, count, count), 0, None), Repeat(ANY, rest, rest)))
        keys = [key if count == 1 else replace(key, patterns=(*key.patterns, length)) for key in extra.keys]
        possible = (key for key in keys if shortest_text(key, {}) is not None)
        fields.append(Field(next(possible, keys[0]), extra.rule, True))
    return fields
