"""What a call wishes the reply to be: words, tool calls or JSON; and how LangChain's many ways to say so are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.signatures import Schema, Tool, signature

if TYPE_CHECKING:
    from chatglm_slim_llm.engine import Format

WISH_OPTIONS = ("tools", "tool_choice", "parallel_tool_calls", "response_format", "strict")
"""What a call may say beside its sampling options; `ChatGLMSlim.bind_tools` and `with_structured_output` bind them."""

ToolLike = dict[str, Any] | type | Callable[..., Any] | BaseTool

_ANY, _AUTO, _NONE = "any", "auto", "none"
_CHOICES = {"any": _ANY, "required": _ANY, "auto": _AUTO, "none": _NONE}


@dataclass(frozen=True)
class Wish:
    """What one reply should be."""

    tools: tuple[Tool, ...] = ()
    """That the model is told of."""
    choice: str = _AUTO
    """``auto``, ``any``, or the name of the one tool that must be called."""
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
        callable_tools = {tool.name: tool.parameters for tool in self.tools if self.choice in (_AUTO, _ANY, tool.name)}
        return CallsFormat(callable_tools, may_be_words=self.choice == _AUTO, may_be_several=self.several)


def read_wish(options: Mapping[str, Any]) -> Wish:
    """Read the options of one call; others than `WISH_OPTIONS` are left alone.

    Raises:
        ConfigError: a tool cannot be described, two have one name, the choice names none of them, or tools and a form
            of the reply are wanted at once.
    """
    tools = _read_tools(options.get("tools") or ())
    choice = read_choice(options.get("tool_choice"), [tool.name for tool in tools])
    schema = _read_response_format(options.get("response_format"))
    if choice == _NONE:
        tools = []
    if tools and schema is not None:
        raise ConfigError(
            "tools and response_format are given together, but a reply is either calls or one JSON value; give one of "
            "them, or in an agent ToolStrategy(schema) as its response_format",
            key="response_format",
        )
    several = options.get("parallel_tool_calls")
    return Wish(tuple(tools), choice, several is None or bool(several), schema)


def _read_tools(forms: Sequence[Any]) -> list[Tool]:
    """Each tool once, however often and in whatever form it is given."""
    tools: dict[str, Tool] = {}
    for tool in map(to_tool, forms):
        if signature(tools.setdefault(tool.name, tool)) != signature(tool):
            raise ConfigError(f"two different tools are named {tool.name!r}; give each its own name", key="tools")
    return list(tools.values())


def to_tool(tool: Any) -> Tool:
    """Any kind of tool that LangChain knows, as the model is told of it.

    Raises:
        ConfigError: it is of no known kind.
    """
    try:
        function = convert_to_openai_tool(tool)["function"]
        return Tool(str(function["name"]), function.get("description") or "", function.get("parameters") or {})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"the tool {_shorten(tool)} cannot be described to the model ({error}); give a function with type hints "
            "and a docstring, a BaseTool, a pydantic class, or a dict with name, description and parameters",
            key="tools",
        ) from error


def read_choice(choice: Any, names: Sequence[str]) -> str:
    """Which of the tools must be called: ``auto``, ``any``, ``none``, or a name.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(choice, Mapping):
        kind = choice.get("type")
        choice = kind if kind in _CHOICES else choice.get("name") or (choice.get("function") or {}).get("name")
    if choice is None or choice is False:
        return _AUTO
    if choice is True:
        return _ANY
    if not isinstance(choice, str):
        raise ConfigError(f"tool_choice is {choice!r}; it must be auto, any, none or a tool's name", key="tool_choice")
    if choice not in names:
        if choice in _CHOICES and (names or choice not in ("any", "required")):
            return _CHOICES[choice]
        close = get_close_matches(choice, names, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
        raise ConfigError(f"tool_choice is {choice!r}, but there is no such tool; {advice}", key="tool_choice")
    return choice


def schema_of(form: Any) -> Schema:
    """The JSON schema of a pydantic class, a TypedDict, a function in OpenAI's form, or a schema itself.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(form, Mapping):
        return _schema_of_dict(form)
    try:
        if isinstance(form, type) and issubclass(form, BaseModel):
            return form.model_json_schema()
        if isinstance(form, type) and issubclass(form, BaseModelV1):
            return form.schema()
        return convert_to_json_schema(form)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{_shorten(form)} cannot be read as the form of a reply ({error}); give a pydantic class, a TypedDict or "
            "a JSON schema",
            key="response_format",
        ) from error


def _schema_of_dict(form: Mapping[str, Any]) -> Schema:
    if "function" in form:
        form = form["function"]
    for key in ("parameters", "input_schema"):  # a function as OpenAI's or Anthropic's API has it
        if "name" in form and isinstance(form.get(key), Mapping):
            schema: Schema = form[key]
            return schema
    return form


def _read_response_format(form: Any) -> Schema | None:
    """``{"type": "json_object"}``, ``{"type": "json_schema", "json_schema": {"schema": …}}``, or as for `schema_of`."""
    if form is None:
        return None
    if isinstance(form, Mapping):
        kind, inner = form.get("type"), form.get("json_schema")
        if kind == "text":
            return None
        if kind == "json_object":
            return {}
        if kind == "json_schema" and isinstance(inner, Mapping):
            return schema_of(inner.get("schema", inner))
    return schema_of(form)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
