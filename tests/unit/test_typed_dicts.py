"""TypedDicts as the form of a reply and as tools: what LangChain reads out of them, and what only pydantic does."""

import datetime
import json
import typing
from typing import Annotated, Any, Literal, NotRequired, Optional, Required

import pytest
import typing_extensions
from jsonschema import validate
from pydantic import Field
from typing_extensions import ReadOnly

from chatglm_slim_llm.engine.formats import JsonFormat
from chatglm_slim_llm.engine.grammar.compiling import form_of as grammar_of
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.wishes import form_of, to_tool


class Point(typing.TypedDict):
    """A place."""

    x: Annotated[int, ..., "east"]
    y: Annotated[int, 0, "north"]


class Drawing(typing_extensions.TypedDict):
    """What was drawn.

    More of it.

    Args:
        at: where, which is told
            in two lines.
        colour (str): of the pen: ink
    """

    at: Point
    colour: Annotated[Literal["red", "black"], ..., "not told, as the docstring has another"]
    pairs: list[tuple[int, str]]
    others: dict[str, list[Point]] | None
    maybe: Optional[Point]  # noqa: UP045
    width: Annotated[int, Field(ge=3, description="in mm")]


class Tree(typing.TypedDict):
    value: int
    kids: "list[Tree]"


Typed = typing.TypedDict("Typed", {"a": NotRequired[int], "b": str, "class": ReadOnly[str]})
Extended = typing_extensions.TypedDict("Extended", {"a": NotRequired[int], "b": str, "class": ReadOnly[str]})
TypedPart = typing.TypedDict("TypedPart", {"a": int, "b": Required[str], "class": "Required[str]"}, total=False)
ExtendedPart = typing_extensions.TypedDict(
    "ExtendedPart", {"a": int, "b": Required[str], "class": "Required[str]"}, total=False
)


@pytest.mark.parametrize("kind", [Typed, Extended, TypedPart, ExtendedPart], ids=lambda kind: kind.__name__)
def test_what_is_required_is_said_key_by_key(kind: Any) -> None:
    for read in (form_of(kind), to_tool(kind)):
        assert (read.name, read.description) == (kind.__name__, "")
        assert read.parameters["properties"] == {
            "a": {"type": "integer"},
            "b": {"type": "string"},
            "class": {"type": "string"},
        }
        assert read.parameters["required"] == ["b", "class"]


def test_texts_beside_a_type_and_in_the_docstring_describe_it_also_inside() -> None:
    read = form_of(Drawing)
    assert (read.name, read.description) == ("Drawing", "What was drawn. More of it.")
    fields = read.parameters["properties"]
    assert fields["at"] == {"$ref": "#/$defs/Point", "description": "where, which is told in two lines."}
    assert fields["colour"] == {"type": "string", "enum": ["red", "black"], "description": "of the pen: ink"}
    assert fields["width"] == {"type": "integer", "minimum": 3, "description": "in mm"}
    point = read.parameters["$defs"]["Point"]
    assert point["description"] == "A place."
    assert point["properties"]["x"] == {"type": "integer", "description": "east"}
    assert point["properties"]["y"] == {"type": "integer", "description": "north", "default": 0}
    assert point["required"] == ["x"]
    assert to_tool(Drawing) == read


@pytest.mark.parametrize("kind", [Drawing, Tree, Typed, TypedPart], ids=lambda kind: kind.__name__)
def test_a_reply_can_be_held_to_it(kind: Any) -> None:
    read = form_of(kind)
    assert read.name == kind.__name__
    shortest = json.loads(grammar_of(JsonFormat(read.parameters)).shortest)
    validate(shortest, dict(read.parameters))
    assert set(read.parameters.get("required", kind.__annotations__)) == set(shortest)


def test_a_pair_has_two_items() -> None:
    items = form_of(Drawing).parameters["properties"]["pairs"]["items"]
    assert [item["type"] for item in items["prefixItems"]] == ["integer", "string"]
    assert (items["minItems"], items["maxItems"]) == (2, 2)


class Wrong(typing.TypedDict):
    a: Annotated[int, ..., 3]


class Unknown(typing.TypedDict):
    a: "Nowhere"  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("kind", "why"),
    [(Wrong, "the description of a is 3; it must be a text"), (Unknown, "name 'Nowhere' is not defined")],
)
def test_what_cannot_be_read_is_said(kind: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot be read as the form of a reply \({why}"):
        form_of(kind)
    with pytest.raises(ConfigError, match=rf"cannot be described to the model \({why}"):
        to_tool(kind)


def test_a_default_may_be_any_object() -> None:
    class Late(typing.TypedDict):
        at: Annotated[datetime.date, datetime.date(2024, 2, 29), "the day"]
        by: Annotated[Any, object(), "whom"]

    schema = form_of(Late).parameters
    assert schema["properties"]["at"] == {
        "type": "string",
        "format": "date",
        "default": "2024-02-29",
        "description": "the day",
    }
    assert schema["properties"]["by"] == {"description": "whom"}
    assert "required" not in schema
