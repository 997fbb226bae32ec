"""LangChain's many ways to say what a reply should be, read into one."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.signatures import Tool
from chatglm_slim_llm.wishes import read_choice, read_wish, schema_of, to_tool


def area(width: float, height: float = 1.0) -> float:
    """Area of a room.

    Args:
        width: in metres.
        height: in metres.
    """
    return width * height


class Area(BaseModel):
    """Area of a room."""

    width: float
    height: float = 1.0


class AreaV1(BaseModelV1):
    """Area of a room."""

    width: float


class AreaDict(TypedDict):
    """Area of a room."""

    width: Annotated[float, ..., "in metres"]


SCHEMA = {"type": "object", "properties": {"width": {"type": "number"}}, "required": ["width"]}
OPENAI = {"type": "function", "function": {"name": "area", "description": "Area of a room.", "parameters": SCHEMA}}
ANTHROPIC = {"name": "area", "description": "Area of a room.", "input_schema": SCHEMA}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (area, "area"),
        (tool(area), "area"),
        (StructuredTool.from_function(area), "area"),
        (Area, "Area"),
        (AreaV1, "AreaV1"),
        (AreaDict, "AreaDict"),
        (OPENAI, "area"),
        (ANTHROPIC, "area"),
        ({"title": "area", "description": "Area of a room.", **SCHEMA}, "area"),
    ],
)
def test_every_kind_of_tool_is_read(form: Any, name: str) -> None:
    read = to_tool(form)
    assert (read.name, read.description[:15]) == (name, "Area of a room.")
    assert read.parameters["properties"]["width"]["type"] == "number"
    assert "width" in read.parameters["required"]


def test_a_tool_without_parameters_has_none() -> None:
    @tool
    def now() -> str:
        """The time."""
        return ""

    assert to_tool(now).parameters.get("properties") == {}


@pytest.mark.parametrize("form", [3, {"x": 1}, None, "area"])
def test_what_is_no_tool_is_said(form: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be described to the model"):
        to_tool(form)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, "auto"),
        (False, "auto"),
        ("auto", "auto"),
        ({"type": "auto"}, "auto"),
        (True, "any"),
        ("any", "any"),
        ("required", "any"),
        ({"type": "any"}, "any"),
        ("none", "none"),
        ("f", "f"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "tool", "name": "f"}, "f"),
    ],
)
def test_every_form_of_tool_choice_is_read(choice: Any, read: str) -> None:
    assert read_choice(choice, ["f", "g"]) == read


def test_a_tool_may_be_called_any() -> None:
    assert read_choice("any", ["any", "f"]) == "any"
    assert read_choice({"type": "tool", "name": "none"}, ["none"]) == "none"


@pytest.mark.parametrize(
    ("choice", "names", "complaint"),
    [
        ("fnd", ["find", "go"], "'fnd', but there is no such tool; did you mean 'find'"),
        ("x", ["find", "go"], "there are: find, go"),
        ("any", [], "'any', but there is no such tool; there are: none"),
        (3, ["find"], "tool_choice is 3; it must be"),
    ],
)
def test_a_choice_of_no_tool_is_said(choice: Any, names: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_choice(choice, names)


def test_a_wish_is_words_without_options() -> None:
    wish = read_wish({"temperature": 1})
    assert (wish.tools, wish.schema, wish.format()) == ((), None, None)
    assert read_wish({"tools": [OPENAI], "tool_choice": "none"}).tools == ()


def test_a_tool_that_is_given_twice_is_one_tool() -> None:
    assert [told.name for told in read_wish({"tools": [OPENAI, ANTHROPIC, Area, Area.model_json_schema()]}).tools] == [
        "area",
        "Area",
    ]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two different tools are named 'area'"):
        read_wish({"tools": [OPENAI, area]})


def test_tools_and_a_form_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="ToolStrategy"):
        read_wish({"tools": [OPENAI], "response_format": Area})


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}, SCHEMA),
        (OPENAI, SCHEMA),
        (ANTHROPIC, SCHEMA),
        (SCHEMA, SCHEMA),
        (Area, Area.model_json_schema()),
        (AreaV1, AreaV1.schema()),
    ],
)
def test_every_form_of_a_reply_is_read(form: Any, schema: Any) -> None:
    assert read_wish({"response_format": form}).schema == schema


def test_a_typed_dict_becomes_a_schema() -> None:
    schema = schema_of(AreaDict)
    assert schema["properties"]["width"] == {"type": "number", "description": "in metres"}
    assert schema["required"] == ["width"]


def test_what_is_no_form_is_said() -> None:
    with pytest.raises(ConfigError, match="cannot be read as the form of a reply"):
        schema_of(3)


def test_only_the_tools_that_may_be_called_bind_the_reply_but_all_are_told() -> None:
    class Other(BaseModel):
        """Other."""

        x: int = Field(gt=3)

    wish = read_wish({"tools": [area, Other], "tool_choice": "Other", "parallel_tool_calls": False})
    assert [told.name for told in wish.tools] == ["area", "Other"]
    format = wish.format()
    assert format is not None
    assert list(format.tools) == ["Other"]
    assert (format.may_be_words, format.may_be_several) == (False, False)
    assert isinstance(wish.tools[0], Tool)
