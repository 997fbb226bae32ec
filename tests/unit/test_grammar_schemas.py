"""From schemas to grammars: what is held, what is refused, and what the shortest reply is."""

from __future__ import annotations

import datetime
import enum
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import jsonschema
import pytest
from pydantic import AnyUrl, BaseModel, Field, PositiveInt, TypeAdapter
from typing_extensions import TypedDict

from benchmarks.random_schemas import SchemaMaker
from benchmarks.schemas import validate
from chatglm_slim_llm.checkpoint import load_tokenizer
from chatglm_slim_llm.engine import CallsFormat, JsonFormat, check_format
from chatglm_slim_llm.engine.grammar.compiling import form_of
from chatglm_slim_llm.engine.grammar.guides import Guides
from chatglm_slim_llm.errors import SchemaError

DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"


@pytest.fixture(scope="module")
def guides() -> Guides:
    tokenizer = load_tokenizer(DEMO)
    return Guides(tokenizer, tokenizer.vocab_size)


def accepts(guides: Guides, schema: dict[str, Any], text: str) -> bool:
    guide = guides.get(JsonFormat(schema))
    tokens = [*guide.vocabulary(text), guide.vocabulary.eos_token_id]
    return guide.matcher.validate_tokens(tokens) == len(tokens)


def obj(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
TREE = {"$ref": "#/$defs/t", "$defs": {"t": obj("kids", kids={"type": "array", "items": {"$ref": "#/$defs/t"}})}}
CAT, DOG = obj("kind", kind={"const": "cat"}, n=INTEGER), obj("kind", kind={"const": "dog"}, s=STRING)

HELD: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (obj("b", a=STRING, b=INTEGER), ['{"a": "x", "b": 1}', '{"b": 1}'], ['{"b": 1, "a": "x"}', '{"a": "x"}', "{}"]),
    (obj("b", b=INTEGER), [], ['{"b":1}', '{ "b": 1}', '{"b": 1 }', '{"b": 1, "c": 2}', '{"b": 1.0}', '{"b": 01}']),
    (obj(a=INTEGER, b=INTEGER, c=INTEGER), ["{}", '{"b": 1}', '{"a": 1, "c": 2}'], ['{"c": 1, "a": 2}', '{, "a": 1}']),
    ({"type": "string"}, ['""', '"é\\n\\""', '"中👋"'], ["a", '"\n"', '"\\x"', '"\\u0041"', '"\\', "'a'"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"👋👋\\""'], ['"a"', '"abcd"', '"\\""']),
    ({"allOf": [obj("a", a=INTEGER), {"properties": {"a": {"minimum": 3}}}]}, ['{"a": 3}'], ['{"a": 2}', '{"a": "x"}']),
    (
        {"anyOf": [CAT, DOG]},
        ['{"kind": "cat", "n": 1}', '{"kind": "dog"}'],
        ['{"kind": "cat", "s": "x"}', '{"kind": 1}'],
    ),
    ({"oneOf": [CAT, DOG]}, ['{"kind": "dog", "s": "x"}'], ['{"kind": "cow"}']),
    (TREE, ['{"kids": [{"kids": []}]}'], ['{"kids": [1]}', '{"kids": [{}]}']),
    ({"enum": [1, "1", [1, {"a": None}], True]}, ["1", '"1"', '[1, {"a": null}]', "true"], ["2", "[1]", "false"]),
    ({"enum": [1, "a", 5, True], "type": "integer", "minimum": 2}, ["5"], ["1", '"a"', "true"]),
    ({"const": 'a"b\\'}, ['"a\\"b\\\\"'], ['"a"']),
    (
        {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 1},
        ["[1]", '[1, "a"]'],
        ["[]", '["a"]', '[1, "", 2]'],
    ),
    ({"type": "array", "items": INTEGER, "maxItems": 2}, ["[]", "[1]", "[1, 2]"], ["[1,2]", "[1, 2, 3]", '["a"]']),
    (
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2},
        ["[1, 3]"],
        ["[1, 1]", "[1]"],
    ),
    ({"additionalProperties": INTEGER, "propertyNames": {"pattern": "^k"}}, ['{"k": 1, "k2": 2}', "{}"], ['{"a": 1}']),
    (
        {"additionalProperties": INTEGER, "propertyNames": {"enum": ["a", "b"]}},
        ['{"a": 1, "b": 2}'],
        ['{"a": 1, "a": 2}'],
    ),
    (
        {"patternProperties": {"^n_": INTEGER}, "properties": {"n_x": {"maximum": 3}}},
        ['{"n_x": 3, "n_y": 9}'],
        ['{"n_x": 4}'],
    ),
    (
        {**obj(a=STRING), "additionalProperties": INTEGER},
        ['{"a": "x", "b": 1}', '{"b": 1}'],
        ['{"a": 1}', '{"b": "x"}'],
    ),
    (
        {"additionalProperties": INTEGER, "minProperties": 2},
        ['{"ab": 1, "b": 2}'],
        ["{}", '{"a": 1}', '{"a": 1, "a": 2}'],
    ),
    ({**obj(a=INTEGER, b=INTEGER), "minProperties": 1}, ['{"a": 1}', '{"b": 1}'], ["{}"]),
    ({**obj(a=INTEGER, b=INTEGER), "maxProperties": 1}, ["{}", '{"a": 1}'], ['{"a": 1, "b": 1}']),
    ({**obj(a=INTEGER), "dependentRequired": {"a": ["b"]}}, ['{"a": 1, "b": [null]}'], ['{"a": 1}']),
    ({"type": "integer", "multipleOf": 7, "minimum": 0}, ["0", "7", "21"], ["1", "-7", "8"]),
    ({"type": "integer", "multipleOf": 0.5, "minimum": 1}, ["1", "2"], ["1.5", "0"]),
    ({"type": "number", "multipleOf": 1}, ["1", "-2"], ["1.5"]),
    ({"type": "number", "multipleOf": 0.25}, ["1.5", "-0.25", "3", "0.50"], ["0.3", "1.255"]),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2024-13-01"', '"24-01-01"']),
    ({"type": ["string", "null"], "maxLength": 1}, ["null", '"a"'], ['"ab"', "1"]),
    ({"not_a_keyword": 1, "type": "null", "title": "T", "$comment": "c", "default": 5}, ["null"], ["5"]),
    ({}, ["{}", '{"a": [1.5, true, {"b": null}]}'], ["[]", "1", '"a"']),
    ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "const": 1}}}, ["1"], ["2"]),
    ({"$ref": "#it", "$defs": {"x": {"$anchor": "it", "const": 1}, "y": {"const": {"$anchor": "it"}}}}, ["1"], ["{}"]),
    ({"allOf": [obj(a=INTEGER)], "unevaluatedProperties": False}, ['{"a": 1}', "{}"], ['{"b": 1}']),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), HELD, ids=range(len(HELD)))
def test_the_grammar_takes_what_is_valid_and_nothing_else(
    schema: dict[str, Any], right: list[str], wrong: list[str], guides: Guides
) -> None:
    for text in right:
        validate(text, schema)
        assert accepts(guides, schema, text), text
    for text in wrong:
        assert not accepts(guides, schema, text), text


REFUSED = [
    (obj(a={"not": {}}), "#/properties/a: 'not' is not supported"),
    ({"if": {}, "then": {}}, "'if' is not supported"),
    ({"type": "array", "contains": {}}, "'contains' is not supported"),
    ({"type": "array", "items": STRING, "uniqueItems": True}, "'uniqueItems' is supported for"),
    (obj(**{"a/b~": {"$ref": "http://x/y"}}), "#/properties/a~1b~0: '$ref' to 'http://x/y' is not supported"),
    ({"$ref": "#/$defs/none"}, "points to '#/$defs/none', but there is nothing there"),
    ({"$ref": "#"}, "goes round in a circle"),
    ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "goes round in a circle"),
    ({"type": "string", "pattern": "(?=a)"}, "the pattern '(?=a)' cannot be used: '(?=' is not supported"),
    ({"type": "string", "format": "regex"}, "the format 'regex' is not supported"),
    ({"oneOf": [STRING, {"maxLength": 3, "type": "string"}]}, "'oneOf' is supported where no value can be two"),
    ({"oneOf": [INTEGER, {"type": "number"}]}, "'oneOf' is supported"),
    ({"oneOf": [obj(kind={"const": 1}), obj(kind={"const": 2})]}, "'oneOf' is supported"),
    ({"oneOf": [{"pattern": "^a"}, {"pattern": "^b"}]}, "'oneOf' is supported"),
    ({"patternProperties": {"a": {}, "b": {}}}, "'patternProperties' is supported with one pattern"),
    ({"type": "integer", "multipleOf": 0.123456789}, "'multipleOf' is supported up to whole steps of 1000"),
    (
        {"properties": {"a": {}}, "allOf": [{"unevaluatedProperties": False}]},
        "'unevaluatedProperties' is supported where",
    ),
    ({"type": "text"}, "there is no type 'text'"),
    ({"type": "array", "items": [{}]}, "use 'prefixItems'"),
    ({"minimum": 1, "exclusiveMinimum": True}, "'exclusiveMinimum' is a number since"),
    ({"type": "string", "minLength": -1}, "'minLength' has a value that cannot be used: -1"),
    ({"enum": "abc"}, "'enum' has a value that cannot be used"),
    ({"properties": {"a": 5}}, "#/properties/a: a schema is an object, true or false, not 5"),
    ({"allOf": []}, "'allOf' must be a list of schemas"),
    ({"const": float("nan")}, "the schema is no JSON"),
    ({"const": "\ud800"}, "the schema is no JSON"),
    ({"const": object}, "the schema is no JSON"),
    ({"properties": {"a": {"$id": "x"}}}, "'$id' is supported at the root only"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED)
def test_what_is_not_supported_is_refused_with_its_place(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=r"^#") as caught:
        check_format(JsonFormat(schema))
    assert message in str(caught.value)
    assert str(caught.value).startswith(caught.value.path)


IMPOSSIBLE = [
    {"type": "integer", "minimum": 3, "maximum": 2},
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
    {"allOf": [STRING, INTEGER]},
    {"enum": []},
    {"enum": [1, 2], "type": "string"},
    {**obj("b", a=STRING), "additionalProperties": False},
    obj("a", a=False),
    {"type": "array", "items": False, "minItems": 1},
    {"$ref": "#/$defs/n", "$defs": {"n": obj("next", next={"$ref": "#/$defs/n"})}},
    {"type": "string", "minLength": 5, "maxLength": 4},
    {"type": "string", "pattern": "^a$", "minLength": 2},
    {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
    {"type": "object", "minProperties": 2, "maxProperties": 1},
    {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 3},
    {"additionalProperties": {}, "propertyNames": {"pattern": "^a$"}, "minProperties": 2},
]


@pytest.mark.parametrize("schema", IMPOSSIBLE)
def test_what_no_value_can_meet_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="no value can meet the schema"):
        check_format(JsonFormat(schema))


def test_an_optional_part_that_no_value_can_meet_is_left_out(guides: Guides) -> None:
    endless = {"$ref": "#/$defs/n"}
    schema = {**obj("a", a=INTEGER, b=endless, c=False), "$defs": {"n": obj("next", next=endless)}}
    assert accepts(guides, schema, '{"a": 1}')
    assert not accepts(guides, schema, '{"a": 1, "b": {"next": ')
    pair = {"type": "array", "prefixItems": [INTEGER, endless, INTEGER], "$defs": schema["$defs"]}
    assert accepts(guides, pair, "[1]")
    assert not accepts(guides, pair, "[1, 2]")


@pytest.mark.parametrize("first", range(0, 150, 50))
def test_the_shortest_reply_is_valid_and_in_the_grammar(first: int, guides: Guides) -> None:
    for seed in range(first, first + 50):
        schema = SchemaMaker(random.Random(seed)).make()
        with suppress(SchemaError):  # a few contradict themselves
            form = form_of(JsonFormat(schema))
            validate(form.shortest, schema)
            assert accepts(guides, schema, form.shortest)


def test_values_beside_conditions_are_those_that_jsonschema_finds_valid() -> None:
    rng = random.Random(3)
    values = [SchemaMaker(rng)._values() for _ in range(40)]
    for seed in range(150):
        schema = {**SchemaMaker(random.Random(seed)).make(), "enum": rng.choice(values).get("enum", [0])}
        schema.pop("const", None)
        valid = [value for value in schema["enum"] if jsonschema.Draft202012Validator(schema).is_valid(value)]
        try:
            form = form_of(JsonFormat(schema))
        except SchemaError:
            assert not valid or "format" in str(schema) or "pattern" in str(schema), schema  # those are narrowed
        else:
            validate(form.shortest, schema)


class Color(enum.Enum):
    red = "red"
    blue = "蓝"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=0, description="how many")


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Node(BaseModel):
    value: int
    children: list[Node] = []
    parent: Node | None = None


@dataclass
class Point:
    x: float
    y: float = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


TYPES = [
    str | None,
    Color,
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Node,
    Point,
    Movie,
    dict[str, int],
    Annotated[dict[str, int], Field(min_length=2)],
    dict[Literal["a", "b"], int],
    dict[Annotated[str, Field(pattern="^[a-z]+$")], Color],
    tuple[int, str, bool],
    tuple[Point, ...],
    datetime.date,
    datetime.time,
    datetime.datetime,
    datetime.timedelta,
    uuid.UUID,
    AnyUrl,
    Decimal,
    PositiveInt,
    Annotated[int, Field(gt=3, lt=10, multiple_of=3)],
    Annotated[float, Field(ge=0.5, le=1.5)],
    Annotated[str, Field(min_length=3, max_length=5)],
    Annotated[list[Cat], Field(min_length=1, max_length=3)],
    set[Literal["a", "b"]],
    Literal[1, "a", None, True],
    bytes,
    Any,
]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_schemas_of_python_types_are_held(kind: Any, guides: Guides) -> None:
    adapter = TypeAdapter(kind)
    form = form_of(JsonFormat(adapter.json_schema()))
    adapter.validate_json(form.shortest)
    assert accepts(guides, adapter.json_schema(), form.shortest)


# --- calls ---


def test_a_call_is_written_as_json_dumps_writes_it(guides: Guides) -> None:
    tools = {"天气": obj("city", city=STRING), "now": {}, "any": {"type": "object"}, 'a"b': obj()}
    guide = guides.get(CallsFormat(tools, may_be_words=False))

    def accepted(text: str) -> bool:
        tokens = [*guide.vocabulary(text), guide.vocabulary.eos_token_id]
        return guide.matcher.validate_tokens(tokens) == len(tokens)

    now = '{"name": "now", "arguments": {}}'
    assert accepted('{"name": "天气", "arguments": {"city": "北京"}}')
    assert accepted(f'{now}\n{{"name": "any", "arguments": {{"x": [1]}}}}\n{now}')
    assert accepted('{"name": "a\\"b", "arguments": {}}')
    for wrong in ("", "{}", f"{now}\n", f"{now} {now}", now.replace(" ", ""), now.replace("now", "later")):
        assert not accepted(wrong), wrong
    assert not accepted('{"name": "now", "arguments": {"a": 1}}')


def test_only_one_call_where_only_one_is_wanted(guides: Guides) -> None:
    guide = guides.get(CallsFormat({"now": {}}, may_be_words=False, may_be_several=False))
    call = guide.vocabulary('{"name": "now", "arguments": {}}')
    assert guide.matcher.validate_tokens([*call, *guide.vocabulary("\n")]) == len(call)


def test_a_tool_whose_arguments_are_no_object_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"^sum#: no value can meet"):
        check_format(CallsFormat({"sum": INTEGER}, may_be_words=True))
    with pytest.raises(SchemaError, match="no tools"):
        check_format(CallsFormat({}, may_be_words=True))
    with pytest.raises(SchemaError, match=r"^sum#/properties/a: 'not'"):
        check_format(CallsFormat({"sum": obj(a={"not": {}})}, may_be_words=True))


def test_tools_keep_their_definitions_apart(guides: Guides) -> None:
    def tool(schema: dict[str, Any]) -> dict[str, Any]:
        return {**obj("x", x={"$ref": "#/$defs/d"}), "$defs": {"d": schema}}

    guide = guides.get(CallsFormat({"a": tool(INTEGER), "b": tool(STRING)}, may_be_words=False))
    right = [*guide.vocabulary('{"name": "b", "arguments": {"x": "1"}}'), guide.vocabulary.eos_token_id]
    wrong = guide.vocabulary('{"name": "a", "arguments": {"x": "')
    assert guide.matcher.validate_tokens(right) == len(right)
    assert guide.matcher.validate_tokens(wrong) < len(wrong)


def test_guides_are_made_once_for_equal_formats(guides: Guides) -> None:
    schema = obj("a", a=STRING)
    assert guides.get(JsonFormat(schema)) is guides.get(JsonFormat(dict(schema)))
    assert guides.get(JsonFormat(schema)) is not guides.get(JsonFormat(obj("a", a=INTEGER)))
