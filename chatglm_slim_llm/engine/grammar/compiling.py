"""From the form that a reply must have to a grammar; no tokens yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatglm_slim_llm.engine.formats import CALL_START, CallsFormat, Format, JsonFormat
from chatglm_slim_llm.engine.grammar.building import Builder
from chatglm_slim_llm.engine.grammar.conditions import Place
from chatglm_slim_llm.engine.grammar.lark import Grammar, quote
from chatglm_slim_llm.engine.grammar.nodes import Node, Object, Rules, Text, dumps, shortest_texts
from chatglm_slim_llm.errors import SchemaError

_MOST_CALLS = 16


@dataclass(frozen=True)
class Form:
    """What a reply must be."""

    grammar: str
    """In Lark; before everything else it takes one space, which the decoder drops."""
    shortest: str
    """The shortest reply."""
    pieces: tuple[str, ...]
    """Short texts of the values inside; they help to end a reply soon."""
    texts: tuple[Text, ...]
    """The strings inside that are not free."""
    may_be_words: bool = False


def form_of(wanted: Format) -> Form:
    """Make the grammar.

    Raises:
        SchemaError: a schema is wrong, not supported, or cannot be met.
    """
    try:
        return _json_form(wanted) if isinstance(wanted, JsonFormat) else _calls_form(wanted)
    except RecursionError:
        raise SchemaError("the schema is nested too deeply", path="#") from None


def check_format(wanted: Format) -> None:
    """Raise what `form_of` raises, if it does."""
    form_of(wanted)


def key_of(wanted: Format) -> str:
    """The same for formats that want the same."""
    if isinstance(wanted, JsonFormat):
        return json.dumps(["json", wanted.schema], default=str)
    return json.dumps(["calls", wanted.tools, wanted.may_be_words, wanted.may_be_several], default=str)


def _json_form(wanted: JsonFormat) -> Form:
    schema = _plain(wanted.schema, "#") or {"type": "object"}
    builder = Builder(schema)
    rule = builder.rule(Place(schema, "#"))
    known = _known(builder, rule, "#")
    return Form(Grammar(builder.rules, known).text(f'" "? {rule}'), known[rule], _pieces(known), _texts(builder.rules))


def _calls_form(wanted: CallsFormat) -> Form:
    if not wanted.tools:
        raise SchemaError("there are no tools to call", path="#")
    rules: dict[str, tuple[Node, ...]] = {}
    known: dict[str, str] = {}
    calls: dict[str, str] = {}  # the text before the arguments -> their rule
    for index, (name, given) in enumerate(wanted.tools.items()):
        schema = _plain(given, f"{name}#")
        builder = Builder(schema, f"t{index}")
        rule = _arguments(builder, name, schema)
        known |= _known(builder, rule, f"{name}#")
        rules |= builder.rules
        calls[f'{CALL_START}{dumps(name)[1:-1]}", "arguments": '] = rule
    grammar = Grammar(rules, known)
    grammar.add("call", [f'{quote(start)} {rule} "}}"' for start, rule in calls.items()])
    several = f' ("\\n" call){{0,{_MOST_CALLS - 1}}}' if wanted.may_be_several else ""
    shortest = min((f"{start}{known[rule]}}}" for start, rule in calls.items()), key=len)
    return Form(grammar.text(f'" "? call{several}'), shortest, _pieces(known), _texts(rules), wanted.may_be_words)


def _plain(schema: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The schema as JSON has it: with lists instead of tuples, and so on."""
    try:
        text = json.dumps(schema, default=dict, ensure_ascii=False, allow_nan=False)
        text.encode()  # half a surrogate pair can be in a Python text, but not in a reply
        plain = json.loads(text)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"the schema is no JSON: {error}", path=path) from error
    if not isinstance(plain, dict):
        raise SchemaError(f"a schema is an object, not {schema!r}", path=path)
    return plain


def _arguments(builder: Builder, name: str, schema: dict[str, Any]) -> str:
    root = Place(schema, f"{name}#")
    only_object = {"type": "object"} if schema else {"type": "object", "properties": {}}
    return builder.rule(root, Place(only_object, f"{name}#"))


def _known(builder: Builder, rule: str, path: str) -> dict[str, str]:
    known = shortest_texts(builder.rules)
    if rule not in known:
        raise SchemaError("no value can meet the schema: its conditions contradict each other, or never end", path=path)
    return known


def _pieces(known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(set(known.values()), key=len))


def _texts(rules: Rules) -> tuple[Text, ...]:
    nodes = [node for alternatives in rules.values() for node in alternatives]
    objects = [node for node in nodes if isinstance(node, Object)]
    keys = [key for node in objects if node.extra is not None for key in node.extra.keys]
    keys += [field.name for node in objects for field in node.fields if isinstance(field.name, Text)]
    found = [*(node for node in nodes if isinstance(node, Text)), *keys]
    return tuple(dict.fromkeys(text for text in found if text.patterns or text.least))
