"""How schemas and tools are told to the model."""

from __future__ import annotations

import doctest

import pytest
from pydantic import BaseModel, Field

from chatglm_slim_llm import signatures
from chatglm_slim_llm.signatures import Tool, ask_for_json, describe, language, list_tools, signature, tool_result


class Node(BaseModel):
    """A tree."""

    name: str = Field(description="the\n  name")
    kids: list[Node] = []


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(signatures).failed == 0


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["integer", "null"]}, "integer | null"),
        ({"enum": ["红", 2, None]}, '"红" | 2 | null'),
        ({"const": "x"}, '"x"'),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "[string, integer]"),
        ({"type": "object"}, "object"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "{[key]: integer}"),
        ({"properties": {"a b": {}, "日": {}}, "required": ["日"]}, '{"a b"?: any, 日: any}'),
        ({"allOf": [{"$ref": "#/$defs/A~1B"}], "$defs": {"A/B": {"type": "boolean"}}}, "boolean"),
        ({}, "any"),
    ],
)
def test_a_schema_becomes_one_line(schema: dict[str, object], told: str) -> None:
    assert describe(schema) == told


def test_a_schema_that_contains_itself_is_cut_off() -> None:
    told = describe(Node.model_json_schema())
    assert told.startswith("{name: string (the name), kids?: {name: string (the name), kids?: ")
    assert len(told) < 200


def test_a_reference_to_nothing_or_to_itself_is_no_end_of_the_world() -> None:
    assert describe({"$ref": "#/$defs/none"}) == "any"
    assert len(describe({"$ref": "#"})) < 100
    assert signature(Tool("f", "", {"$ref": "#"})) == "f()"
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}
    assert signature(Tool("f", "", circle)) == "f()"


def test_parameters_behind_a_reference_are_listed() -> None:
    assert signature(Tool("f", "", Node.model_json_schema())).startswith("f(name: string (the name), kids?: {")


def test_tools_are_listed_a_line_each_in_the_language_of_the_conversation() -> None:
    tools = [Tool("now", "The\ntime."), Tool("add", "", {"properties": {"a": {"type": "integer"}}, "required": ["a"]})]
    assert list_tools(tools, "en").splitlines()[:3] == ["Tools:", "now(): The time.", "add(a: integer)"]
    assert list_tools(tools, "zh").splitlines()[0] == "工具："
    assert (language(["hi", "天气"]), language(["こんにちは"]), language([])) == ("zh", "en", "en")


def test_results_and_formats_are_told_in_both_languages() -> None:
    assert tool_result("f", "3", "en") == "Result of f: 3"
    assert tool_result("f", "no", "zh", failed=True) == "f 出错：no"
    assert ask_for_json({"type": "integer"}, "en") == "Answer with JSON: integer"
