"""The JSON schema of a TypedDict: pydantic's, with the texts that LangChain reads beside the types and in docstrings.

LangChain's own takes neither ``NotRequired`` nor tuples, and pydantic takes `typing.TypedDict` only since Python 3.12.
So each TypedDict, also inside of others, is first made anew as pydantic wants it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from textwrap import dedent
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict, Union, get_args, get_origin

import typing_extensions
from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import ReadOnly, is_typeddict

from chatglm_slim_llm.signatures import Schema

_SECTIONS = ("Args:", "Returns:", "Example:")
_OF_PYDANTIC = (FieldInfo, BaseMetadata, GroupedMetadata)


class _Fields(TypedDict):
    """What a field of a TypedDict says beside its type."""

    default: NotRequired[Any]
    description: NotRequired[str]


def typed_dict_schema(kind: Any) -> Schema:
    """The schema of a TypedDict, with its name as title.

    ``Annotated[int, 3, "how many"]`` is a field with a default and a description, ``...`` is no default, and what the
    docstring says under ``Args:`` goes before.

    Raises:
        ValueError: a text beside a type is none.
        TypeError: a type is none.
        NameError: a type cannot be found.
        RuntimeError: pydantic knows no schema for a type.
    """
    schema = TypeAdapter(_Remade().of(kind)).json_schema(schema_generator=_WithoutTitles)
    return {"title": kind.__name__, **schema}


class _WithoutTitles(GenerateJsonSchema):
    """The title of a field is its name once more; a default may be any object."""

    ignored_warning_kinds = GenerateJsonSchema.ignored_warning_kinds | {"non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Remade:
    """Types with every TypedDict inside them made anew, each once: one may contain itself."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def of(self, kind: Any) -> Any:
        if is_typeddict(kind):
            return self._made.get(kind) or self._make(kind)
        origin, inside = get_origin(kind), get_args(kind)
        if origin is None or origin is Literal:
            return kind
        if origin is Annotated:
            return Annotated[self.of(inside[0]), *inside[1:]]
        remade = tuple(map(self.of, inside))
        if all(one is other for one, other in zip(remade, inside, strict=True)):
            return kind
        return Union[remade] if origin is UnionType else origin[remade]  # noqa: UP007

    def _make(self, kind: Any) -> Any:
        made: Any = typing_extensions.TypedDict(kind.__name__, {})  # type: ignore[misc]
        self._made[kind] = made
        made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
        description, described = _read_docstring(inspect.cleandoc(kind.__doc__ or ""))
        made.__doc__ = description
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        made.__annotations__ = {
            name: self._field(name, hint, name in kind.__required_keys__, described.get(name))
            for name, hint in hints.items()
        }
        return made

    def _field(self, name: str, hint: Any, is_required: bool, described: str | None) -> Any:
        metadata: tuple[Any, ...] = ()
        while (origin := get_origin(hint)) in (Annotated, Required, NotRequired, ReadOnly):
            if origin is Annotated:
                metadata = (*hint.__metadata__, *metadata)
            elif origin is not ReadOnly:
                is_required = origin is Required
            hint = get_args(hint)[0]
        told: _Fields = {}
        if metadata and not isinstance(metadata[0], _OF_PYDANTIC):
            told, metadata = _told(name, *metadata[:2]), metadata[2:]
        if described:
            told["description"] = described
        is_required = is_required and "default" not in told
        kind: Any = Annotated[self.of(hint), *metadata, Field(**told)]
        return Required[kind] if is_required else NotRequired[kind]


def _told(name: str, default: Any, description: Any = None) -> _Fields:
    """What LangChain reads beside a type: a default, then a text."""
    if not isinstance(description, str | None):
        raise ValueError(f"the description of {name} is {description!r}; it must be a text")
    told: _Fields = {}
    if default is not ...:
        told["default"] = default
    if description:
        told["description"] = description
    return told


def _read_docstring(text: str) -> tuple[str, Mapping[str, str]]:
    """What it is for, and what it says of each field under ``Args:``."""
    blocks = text.split("\n\n")
    end = next((at for at, block in enumerate(blocks) if block.startswith(_SECTIONS)), len(blocks))
    arguments = next((block for block in blocks if block.startswith("Args:")), "")
    described: dict[str, str] = {}
    name = ""
    for line in dedent(arguments.partition("\n")[2]).splitlines():
        if name and line[:1].isspace():
            described[name] += f" {line.strip()}"
        elif ":" in line:
            head, _, about = line.partition(":")
            name = head.partition("(")[0].strip()
            described[name] = about.strip()
    return " ".join(blocks[:end]).strip(), described
