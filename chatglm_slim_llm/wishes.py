"""What a call wishes the reply to be: words, tool calls or JSON; and how LangChain's many ways to say so are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.tools import BaseTool
from langchain_core.tools import Tool as SingleInputTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import is_typeddict

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.faults import fault_of, shorten
from chatglm_slim_llm.signatures import Schema, Tool, signature
from chatglm_slim_llm.typed_dicts import typed_dict_schema

if TYPE_CHECKING:
    from chatglm_slim_llm.engine import Format

WISH_OPTIONS = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
"""What a call may say beside its sampling options; `ChatGLMSlim.bind_tools` and `with_structured_output` bind them."""

ToolLike = dict[str, Any] | type | Callable[..., Any] | BaseTool
Choice = Literal["auto", "any", "none"]

_CHOICES: dict[str, Choice] = {"any": "any", "required": "any", "auto": "auto", "none": "none"}
_JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_OWN_KINDS = (None, "function", "custom", "object")
"""Of dicts that describe a tool; others are tools of a provider's servers."""
_AROUND_NAMED = ("json_schema", "function", "toolSpec", "json")
"""What holds a schema, as a rule with its name, in the APIs of OpenAI and Bedrock."""
_AROUND_SCHEMA = ("schema", "parameters", "input_schema", "inputSchema")
"""What holds a schema beside its name, in the APIs of OpenAI, Anthropic, Bedrock and MCP."""
_IN_SCHEMAS = ("properties", "enum", "const", "anyOf", "oneOf", "allOf", "$ref")
"""What only a schema has, beside its ``type``."""
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, NameError, RuntimeError)
"""What LangChain and pydantic raise at types of which they can make no schema."""

Use = Literal["tools", "response_format"]
"""What a schema is given for; also the option that gives it."""


@dataclass(frozen=True)
class Wish:
    """What one reply should be."""

    tools: tuple[Tool, ...] = ()
    """That the model is told of."""
    choice: Choice = "auto"
    """Who decides whether tools are called; ``none`` only without tools."""
    forced: str | None = None
    """The one tool that must be called."""
    several: bool = True
    """Whether one reply may make several calls."""
    schema: Schema | None = None
    """Of the JSON that the reply must be; ``{}`` for any object."""

    def format(self) -> Format | None:
        """What the engine holds the reply to; nothing for words."""
        if not self.tools and self.schema is None:
            return None
        from chatglm_slim_llm.engine import CallsFormat, JsonFormat

        if self.schema is not None:
            return JsonFormat(self.schema)
        callable_tools = {tool.name: tool.parameters for tool in self.tools if self.forced in (None, tool.name)}
        may_be_words = self.choice == "auto" and self.forced is None
        return CallsFormat(callable_tools, may_be_words=may_be_words, may_be_several=self.several)


def read_wish(options: Mapping[str, Any]) -> Wish:
    """Read the options of one call; others than `WISH_OPTIONS` are left alone.

    Raises:
        ConfigError: a tool cannot be described, two have one name, the choice names none of them, or tools and a form
            of the reply are wanted at once.
    """
    tools = _read_tools(options.get("tools") or ())
    choice, forced = read_choice(options.get("tool_choice"), [tool.name for tool in tools])
    schema = _read_response_format(options.get("response_format"))
    if choice == "none":
        tools = []
    if tools and schema is not None:
        raise ConfigError(
            "tools and response_format are given together, but a reply is either calls or one JSON value; give one of "
            "them, or in an agent ToolStrategy(schema) as its response_format",
            key="response_format",
        )
    several = options.get("parallel_tool_calls")
    if not isinstance(several, bool | None):
        raise ConfigError(f"parallel_tool_calls is {several!r}; it must be True or False", key="parallel_tool_calls")
    return Wish(tuple(tools), choice, forced, several is not False, schema)


def _read_tools(forms: Any) -> list[Tool]:
    """Each tool once, however often and in whatever form it is given."""
    if not isinstance(forms, Sequence) or isinstance(forms, str):
        raise ConfigError(f"tools is {shorten(forms)}; it must be a list of tools", key="tools")
    tools: dict[str, Tool] = {}
    for tool in map(to_tool, forms):
        if signature(tools.setdefault(tool.name, tool)) != signature(tool):
            raise ConfigError(f"two different tools are named {tool.name!r}; give each its own name", key="tools")
    return list(tools.values())


def to_tool(form: Any) -> Tool:
    """Any kind of tool that LangChain knows, as the model is told of it.

    Raises:
        ConfigError: it is of no known kind, runs on somebody's server, or takes something else than named arguments.
    """
    tool = _tool_of_dict(form) if isinstance(form, Mapping) else _tool_of_code(form)
    if not tool.name.strip():
        raise ConfigError(f"the tool {shorten(form)} has no name; give it one", key="tools")
    if tool.parameters.get("type", "object") != "object":
        raise ConfigError(
            f"the tool {tool.name!r} takes a value of type {tool.parameters['type']!r}; arguments have names, so its "
            "parameters must be an object",
            key="tools",
        )
    if fault := fault_of(tool.parameters):
        raise ConfigError(f"the tool {tool.name!r} has {fault}", key="tools")
    return tool


def _tool_of_dict(form: Mapping[str, Any]) -> Tool:
    kind = form.get("type")
    is_own = not isinstance(kind, str) or kind in (*_OWN_KINDS, *_JSON_TYPES)
    if not is_own and not any(key in form for key in (*_AROUND_NAMED, *_AROUND_SCHEMA)):
        raise ConfigError(
            f"the tool {shorten(form)} is of type {kind!r}, which runs on a provider's server; "
            "give a function or a description with name and parameters",
            key="tools",
        )
    told = _told(form, "tools")
    is_schema = told.schema is not None and _is_schema(told.schema)
    if not told.name and is_schema and "name" not in form:
        raise ConfigError(
            f"the tool {shorten(form)} has neither a name nor a title, by which the model would call it; add one",
            key="tools",
        )
    if not told.name and "name" not in form:
        raise _indescribable(form, "it has no name")
    holds_schema = is_schema or told.schema is not form or "type" in form
    return Tool(told.name, told.description, (holds_schema and told.schema) or {})


def _tool_of_code(form: Any) -> Tool:
    if _is_enum(form):
        raise _indescribable(form, "an enumeration takes no arguments; make it the type of one")
    try:
        if is_typeddict(form):
            return _named(typed_dict_schema(form), "tools")
        function = convert_to_openai_tool(form)["function"]
        return Tool(function["name"], function.get("description") or "", _parameters(form, function))
    except _UNREADABLE as error:
        raise _indescribable(form, _first_line(error)) from error


def _indescribable(form: Any, why: str) -> ConfigError:
    return ConfigError(
        f"the tool {shorten(form)} cannot be described to the model ({why}); give a function with "
        "type hints and a docstring, a BaseTool, a pydantic class, or a dict with name, description and parameters",
        key="tools",
    )


def _parameters(form: Any, function: Mapping[str, Any]) -> Schema:
    """The schema of the arguments; LangChain's own form of it loses what refers to itself."""
    if isinstance(form, BaseTool) and not (isinstance(form, SingleInputTool) and not form.args_schema):
        form = form.tool_call_schema  # without what is injected
    if isinstance(form, Mapping):
        return form
    if isinstance(form, type) and issubclass(form, BaseModel):
        return form.model_json_schema()
    if isinstance(form, type) and issubclass(form, BaseModelV1):
        return form.schema()
    return function.get("parameters") or {}


def as_openai(tool: Tool) -> dict[str, Any]:
    """A tool in the form in which LangChain passes tools on."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def read_choice(choice: Any, names: Sequence[str]) -> tuple[Choice, str | None]:
    """Who decides whether tools are called, and which of them must be, if one must.

    Raises:
        ConfigError: it is no choice, or of no tool that there is.
    """
    if isinstance(choice, Mapping):
        function = choice.get("function", {})
        named = choice.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
        if isinstance(named, str):
            return "any", _want_tool(named, names)
        if named is None and isinstance(function, Mapping):
            choice = choice.get("type", choice)
    if choice is None or choice is False:
        return "auto", None
    if choice is True:
        return "any", None
    if not isinstance(choice, str):
        raise ConfigError(
            f"tool_choice is {shorten(choice)}; it must be auto, any, none or a tool's name", key="tool_choice"
        )
    if choice in names:
        return "any", choice
    if choice in _CHOICES and (names or _CHOICES[choice] != "any"):
        return _CHOICES[choice], None
    return "any", _want_tool(choice, names)


def _want_tool(name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    close = get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
    raise ConfigError(f"tool_choice is {name!r}, but there is no such tool; {advice}", key="tool_choice")


def schema_of(form: Any) -> Schema:
    """The JSON schema of any form of a reply; see `form_of`.

    Raises:
        ConfigError: it is no form of a reply.
    """
    return form_of(form).parameters


def form_of(form: Any) -> Tool:
    """The form of a reply: its JSON schema, and the name and description of a tool that would take it.

    Args:
        form: a pydantic class, a TypedDict, a JSON schema, or what holds one of them with a name in the API of some
            provider, such as ``{"name": "Person", "strict": True, "schema": …}``.

    Raises:
        ConfigError: it is none of these.
    """
    told = _told(form, "response_format")
    if told.schema is None:
        raise _without_schema(form)
    if fault := fault_of(told.schema):
        raise ConfigError(f"the form of the reply, {shorten(form)}, has {fault}", key="response_format")
    return Tool(told.name or "reply", told.description, told.schema)


@dataclass(frozen=True)
class _Told:
    """What a class or a dict says, in whatever provider's form."""

    name: str
    description: str
    schema: Schema | None
    """Nothing in a dict that should hold one."""


def _told(form: Any, use: Use) -> _Told:
    if not isinstance(form, Mapping):
        named = _named(_schema_of_class(form, use), use)
        return _Told(named.name, named.description, named.parameters)
    name = _text(form, "name", use) or _text(form, "title", use)
    description = _text(form, "description", use)
    for key in _AROUND_NAMED:
        if not _is_schema(form) and isinstance(form.get(key), Mapping):
            return _told(form[key], use)
    kind = form.get("type")
    is_other = isinstance(kind, str) and kind not in _JSON_TYPES
    is_typed = "type" in form or _is_schema(form)
    is_around = "name" in form or is_other or not is_typed
    for key in _AROUND_SCHEMA:
        if is_around and form.get(key) is not None:
            if not isinstance(form[key], Mapping) and not callable(form[key]):
                raise ConfigError(
                    f"{_subject(form, use)} has {shorten(form[key])} where its schema should be; give an object under "
                    f"{key!r}",
                    key=use,
                )
            inner = _told(form[key], use)
            return _Told(name or inner.name, description or inner.description, inner.schema)
    if kind == "json_object":
        return _Told(name, description, {})
    is_none = is_other or (not is_typed and any(key in form for key in ("name", *_AROUND_SCHEMA)))
    return _Told(name, description, None if is_none else form)


def _is_schema(form: Mapping[str, Any]) -> bool:
    return any(key in form for key in _IN_SCHEMAS)


def _named(schema: Schema, use: Use) -> Tool:
    return Tool(_text(schema, "title", use), _text(schema, "description", use), schema)


def _text(form: Mapping[str, Any], key: str, use: Use) -> str:
    if isinstance(text := form.get(key), str | None):
        return text or ""
    raise ConfigError(f"{_subject(form, use)} has the {key} {shorten(text)}; it must be a text", key=use)


def _subject(form: Any, use: Use) -> str:
    return f"the tool {shorten(form)}" if use == "tools" else f"the form of the reply, {shorten(form)},"


def _schema_of_class(form: Any, use: Use) -> Schema:
    try:
        if _is_enum(form):
            raise ValueError("an enumeration is no object; make it a field of one")
        if isinstance(form, type) and issubclass(form, BaseModel):
            return form.model_json_schema()
        if isinstance(form, type) and issubclass(form, BaseModelV1):
            return form.schema()
        return typed_dict_schema(form) if is_typeddict(form) else convert_to_json_schema(form)
    except _UNREADABLE as error:
        if use == "tools":
            raise _indescribable(form, _first_line(error)) from error
        raise ConfigError(
            f"{shorten(form)} cannot be read as the form of a reply ({_first_line(error)}); give a pydantic class, "
            "a TypedDict or a JSON schema",
            key="response_format",
        ) from error


def _is_enum(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, Enum)


def _without_schema(form: Mapping[str, Any]) -> ConfigError:
    """What would be a schema that allows anything, since nothing in it is read."""
    kind = form.get("type")
    what = f" is of type {kind!r} and" if isinstance(kind, str) and kind not in _JSON_TYPES else ""
    return ConfigError(
        f"the form of the reply, {shorten(form)},{what} holds no schema; give a JSON schema itself, or "
        '{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}} with one inside',
        key="response_format",
    )


def _read_response_format(form: Any) -> Schema | None:
    """``{"type": "text"}`` or anything for `schema_of`."""
    if form is None or (isinstance(form, Mapping) and form.get("type") == "text"):
        return None
    return schema_of(form)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
