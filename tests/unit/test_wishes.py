"""LangChain's many ways to say what a reply should be, read into one."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool, tool
from langchain_core.tools import Tool as SingleInputTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, Json, RootModel
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.signatures import Tool
from chatglm_slim_llm.wishes import as_openai, form_of, read_choice, read_wish, schema_of, to_tool


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
BEDROCK = {"toolSpec": {"name": "area", "description": "Area of a room.", "inputSchema": {"json": SCHEMA}}}
MCP = {"name": "area", "title": "Area", "description": "Area of a room.", "inputSchema": SCHEMA}
RESPONSES = {"type": "function", "name": "area", "description": "Area of a room.", "parameters": SCHEMA}
JSON_SCHEMA = {"name": "area", "description": "Area of a room.", "strict": True, "schema": SCHEMA}


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
        (BEDROCK, "area"),
        (MCP, "area"),
        (RESPONSES, "area"),
        (JSON_SCHEMA, "area"),
        ({"type": "json_schema", "json_schema": JSON_SCHEMA}, "area"),
        ({"name": "area", "description": "Area of a room.", "parameters": AreaDict}, "area"),
        ({"name": "area", "description": "Area of a room.", **SCHEMA}, "area"),
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


def price(item: str) -> str:
    """Look up the price of an item."""
    return f"{item}: 3 yuan"


SINGLE = SingleInputTool(name="price", description="Look up the price of an item.", func=price)


@pytest.mark.filterwarnings("ignore:This API is in beta")
def test_a_tool_of_one_text_is_told_as_langchain_tells_it() -> None:
    for form in (SINGLE, RunnableLambda(price).as_tool(name="price", description=SINGLE.description)):
        read = to_tool(form)
        assert as_openai(read) == convert_to_openai_tool(form)
        assert list(read.parameters["properties"]) == ["__arg1"]


def test_a_tool_of_one_text_may_have_a_schema_of_its_own() -> None:
    class Item(BaseModel):
        item: str

    form = SingleInputTool(name="price", description="Look up.", func=price, args_schema=Item)
    assert list(to_tool(form).parameters["properties"]) == ["item"]


class Node(BaseModel):
    """A tree."""

    value: int
    kids: list[Node] = []


@tool
def walk(root: Node) -> int:
    """Walk."""
    return root.value


@pytest.mark.parametrize("form", [Node, walk, as_openai(to_tool(Node))])
def test_what_refers_to_itself_stays_whole(form: Any) -> None:
    schema = to_tool(form).parameters
    kids = schema["$defs"]["Node"]["properties"]["kids"]
    assert kids["items"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        (3, "cannot be described to the model"),
        ({"x": 1}, "cannot be described to the model"),
        (None, "cannot be described to the model"),
        ("area", "cannot be described to the model"),
        ({"type": "web_search_20250305", "name": "web_search"}, "runs on a provider's server"),
        ({"name": "", "input_schema": SCHEMA}, "has no name"),
        ({"name": "f", "parameters": {"type": "string"}}, "takes a value of type 'string'"),
        ({"title": "f", "type": "string"}, "takes a value of type 'string'"),
        (RootModel[list[int]], "takes a value of type 'array'"),
        (SCHEMA, "has neither a name nor a title, by which the model would call it; add one"),
        ({"type": "function", "parameters": SCHEMA}, "has neither a name nor a title"),
        ({"type": "function", "function": "f"}, "cannot be described to the model"),
        ({"name": 3, "parameters": SCHEMA}, "the tool .* has the name 3; it must be a text"),
        ({"name": "f", "description": 7}, "the tool .* has the description 7; it must be a text"),
        ({"type": "function", "function": {"name": ["f"]}}, r"the tool .* has the name \['f'\]; it must be a text"),
        ({"name": "f", "parameters": ["a"]}, r"the tool .* has \['a'\] where its schema should be"),
    ],
)
def test_what_is_no_tool_is_said(form: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        to_tool(form)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"properties": ["a"]}, r"'properties' at #, which is \['a'\]; it must be an object of schemas"),
        ({"properties": {1: {"type": "string"}}}, "the key 1 at #/properties; every key must be a text"),
        ({2: 3}, "the key 2 at #; every key must be a text"),
        ({"required": 3}, "'required' at #, which is 3; it must be a list of texts"),
        ({"required": [3]}, r"'required' at #, which is \[3\]; it must be a list of texts"),
        ({"anyOf": SCHEMA}, "'anyOf' at #, which is .*; it must be a list of schemas"),
        ({"properties": {"a": {"enum": 3}}}, "'enum' at #/properties/a, which is 3; it must be a list"),
        (
            {"properties": {"a": {"const": object}}},
            "'const' at #/properties/a, which is .*; it must be a value of JSON",
        ),
        ({"$defs": {"a": {"items": {"properties": 1}}}}, r"'properties' at #/\$defs/a/items, which is 1"),
        ({"items": [{"oneOf": [{"properties": 1}]}]}, "'properties' at #/items/0/oneOf/0, which is 1"),
        (
            {"properties": {"a": {"type": "string", "contentMediaType": "application/json"}}},
            "JSON in the text at #/properties/a, which .*; give the type of what it holds",
        ),
    ],
)
def test_a_schema_that_is_none_is_said(schema: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"the tool 'f' has .*{complaint}") as caught:
        to_tool({"name": "f", "parameters": {"type": "object", **schema}})
    assert caught.value.key == "tools"
    for form in ({"type": "object", **schema}, {"name": "f", "schema": {"type": "object", **schema}}):
        with pytest.raises(ConfigError, match=f"the form of the reply, .*, has .*{complaint}") as caught:
            form_of(form)
        assert caught.value.key == "response_format"


def test_a_schema_that_contains_itself_as_an_object_is_said() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["items"] = schema
    with pytest.raises(ConfigError, match="has parts in parts that are nested too deeply"):
        schema_of(schema)


class Holds(BaseModel):
    """What pydantic reads out of a text."""

    inside: Json[int]


def test_json_in_a_text_is_refused() -> None:
    def store(inside: Json[int]) -> None:
        """Store it."""

    for form in (Holds, tool(store)):
        with pytest.raises(ConfigError, match=r"the tool .* has JSON in the text at #/properties/inside"):
            to_tool(form)
    with pytest.raises(ConfigError, match=r"the form of the reply, .*, has JSON in the text at #/properties/inside"):
        form_of(Holds)


class Colour(Enum):
    RED = "red"


def test_an_enumeration_is_no_form_and_no_tool() -> None:
    with pytest.raises(ConfigError, match=r"Colour.* cannot be read as the form of a reply .*make it a field of one"):
        schema_of(Colour)
    with pytest.raises(ConfigError, match=r"Colour.* cannot be described to the model .*make it the type of one"):
        to_tool(Colour)


@pytest.mark.parametrize("forms", ["area", area, 3])
def test_what_is_no_list_of_tools_is_said(forms: Any) -> None:
    with pytest.raises(ConfigError, match="it must be a list of tools"):
        read_wish({"tools": forms})


def test_other_options_that_cannot_be_read_are_said() -> None:
    with pytest.raises(ConfigError, match="parallel_tool_calls is 'yes'"):
        read_wish({"parallel_tool_calls": "yes"})
    for form in ({"type": "foo"}, {"type": "json_schema"}, {"name": "a", "schema": None}):
        with pytest.raises(ConfigError, match="holds no schema"):
            read_wish({"response_format": form})


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, ("auto", None)),
        (False, ("auto", None)),
        ("auto", ("auto", None)),
        ({"type": "auto"}, ("auto", None)),
        (True, ("any", None)),
        ("any", ("any", None)),
        ("required", ("any", None)),
        ({"type": "any"}, ("any", None)),
        ("none", ("none", None)),
        ("f", ("any", "f")),
        ({"type": "function", "function": {"name": "f"}}, ("any", "f")),
        ({"type": "tool", "name": "f"}, ("any", "f")),
    ],
)
def test_every_form_of_tool_choice_is_read(choice: Any, read: Any) -> None:
    assert read_choice(choice, ["f", "g"]) == read


@pytest.mark.parametrize("name", ["any", "auto", "none", "required"])
def test_a_tool_may_have_the_name_of_a_choice(name: str) -> None:
    for choice in (name, {"type": "tool", "name": name}, {"type": "function", "function": {"name": name}}):
        assert read_choice(choice, [name, "f"]) == ("any", name)
    tools = [{"name": name, "input_schema": SCHEMA}, ANTHROPIC]
    format = read_wish({"tools": tools, "tool_choice": {"type": "tool", "name": name}}).format()
    assert format is not None
    assert list(format.tools) == [name]


@pytest.mark.parametrize(
    ("choice", "names", "complaint"),
    [
        ("fnd", ["find", "go"], "'fnd', but there is no such tool; did you mean 'find'"),
        ("x", ["find", "go"], "there are: find, go"),
        ("any", [], "'any', but there is no such tool; there are: none"),
        (3, ["find"], "tool_choice is 3; it must be"),
        ({"x": 1}, ["find"], r"tool_choice is \{'x': 1\}; it must be"),
        ({"type": "function", "function": "find"}, ["find"], r"tool_choice is \{.*\}; it must be"),
        ({"type": "function", "function": {"name": 3}}, ["find"], r"tool_choice is \{.*\}; it must be"),
        ({"type": "tool", "name": 3}, ["find"], r"tool_choice is \{.*\}; it must be"),
        ({"type": ["tool"]}, ["find"], r"tool_choice is \['tool'\]; it must be"),
        ({"type": "allowed_tools", "allowed_tools": {}}, ["find"], "'allowed_tools', but there is no such tool"),
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
        ({"type": "json_object", "schema": None}, {}),
        ({"type": "json_object", "schema": SCHEMA}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}, SCHEMA),
        ({"type": "json_schema", "json_schema": SCHEMA}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"schema": {"not": {}}}}, {"not": {}}),
        ({"type": "json_schema", "name": "a", "schema": SCHEMA}, SCHEMA),
        ({"name": "a", "strict": True, "schema": SCHEMA}, SCHEMA),
        (OPENAI, SCHEMA),
        (ANTHROPIC, SCHEMA),
        (BEDROCK, SCHEMA),
        (MCP, SCHEMA),
        (RESPONSES, SCHEMA),
        (SCHEMA, SCHEMA),
        (Area, Area.model_json_schema()),
        (AreaV1, AreaV1.schema()),
    ],
)
def test_every_form_of_a_reply_is_read(form: Any, schema: Any) -> None:
    assert read_wish({"response_format": form}).schema == schema


@pytest.mark.parametrize("key", ["function", "json", "json_schema", "toolSpec", "schema", "parameters"])
def test_a_schema_with_a_word_that_json_schema_does_not_know_is_still_the_schema(key: str) -> None:
    for form in ({**SCHEMA, key: {"x": 1}}, {"enum": ["a", "b"], key: {"x": 1}}):
        assert schema_of(form) == form


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": 3, "schema": SCHEMA}, "name 3"),
        ({"name": ["a"], **SCHEMA, "schema": SCHEMA}, r"name \['a'\]"),
        ({"type": "json_schema", "json_schema": {"name": {}, "schema": SCHEMA}}, r"name \{\}"),
        ({"name": "area", "description": 3, "schema": SCHEMA}, "description 3"),
        ({"title": 3, **SCHEMA}, "title 3"),
        ({"description": {"en": "Area"}, **SCHEMA}, r"description \{'en': 'Area'\}"),
    ],
)
def test_a_form_is_named_and_described_by_texts(form: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"the form of the reply, .*, has the {said}; it must be a text"):
        form_of(form)


def test_a_typed_dict_becomes_a_schema() -> None:
    schema = schema_of(AreaDict)
    assert schema["properties"]["width"] == {"type": "number", "description": "in metres"}
    assert schema["required"] == ["width"]


def test_what_is_no_form_is_said() -> None:
    with pytest.raises(ConfigError, match="cannot be read as the form of a reply"):
        schema_of(3)
    for form in (
        {"name": "area", "schema": None},
        {"name": "area", "strict": True},
        {"schema": None},
        {"type": "text"},
    ):
        with pytest.raises(ConfigError, match="holds no schema"):
            schema_of(form)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (JSON_SCHEMA, ("area", "Area of a room.")),
        ({"type": "json_schema", "json_schema": JSON_SCHEMA}, ("area", "Area of a room.")),
        ({"type": "json_schema", **JSON_SCHEMA}, ("area", "Area of a room.")),
        (OPENAI, ("area", "Area of a room.")),
        (ANTHROPIC, ("area", "Area of a room.")),
        (BEDROCK, ("area", "Area of a room.")),
        (MCP, ("area", "Area of a room.")),
        (RESPONSES, ("area", "Area of a room.")),
        ({"name": "area", "description": "Area of a room.", **SCHEMA}, ("area", "Area of a room.")),
        ({"title": "area", "description": "Area of a room.", **SCHEMA}, ("area", "Area of a room.")),
        ({"name": "outer", "schema": {"title": "inner", "description": "Inner.", **SCHEMA}}, ("outer", "Inner.")),
        (SCHEMA, ("reply", "")),
        (Area, ("Area", "Area of a room.")),
        (AreaV1, ("AreaV1", "Area of a room.")),
        (AreaDict, ("AreaDict", "Area of a room.")),
    ],
)
def test_the_form_of_a_reply_can_be_told_as_a_tool(form: Any, told: tuple[str, str]) -> None:
    tool = form_of(form)
    assert (tool.name, tool.description) == told
    assert tool.parameters["properties"]["width"]["type"] == "number"
    assert tool.parameters == schema_of(form)


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
