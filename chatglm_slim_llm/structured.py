"""`with_structured_output`: a chain of the chat model, held to a schema, and the parser for what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import BaseOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.wishes import as_openai, form_of, to_tool

if TYPE_CHECKING:
    from chatglm_slim_llm.llm import ChatGLMSlim

Method = Literal["json_schema", "function_calling", "json_mode"]


def structured(
    llm: ChatGLMSlim, schema: Any, method: Method, *, include_raw: bool, **bound: Any
) -> Runnable[LanguageModelInput, Any]:
    """A chain whose result is an object of ``schema``.

    Args:
        llm: writes the JSON.
        schema: a pydantic class, whose objects are the result, or a TypedDict or JSON schema, which give dicts; also
            a schema with its name, as providers' APIs have it. With ``json_mode`` it may be missing: then any JSON
            object will do.
        method: whether the reply is the JSON itself, or the arguments of a call.
        include_raw: whether to give ``raw``, ``parsed`` and ``parsing_error`` instead, and raise nothing.
        **bound: further options of each call.

    Raises:
        ConfigError: there is no such method, or the schema cannot be read.
    """
    if method not in get_args(Method):
        raise ConfigError(f"method is {method!r}; choose one of {', '.join(get_args(Method))}", key="method")
    if schema is None and method != "json_mode":
        raise ConfigError(f"schema is missing; method {method!r} needs one, only json_mode does not", key="schema")
    traced: dict[str, Any] = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema or {}}}
    model: Runnable[LanguageModelInput, Any]
    parser: BaseOutputParser[Any]
    if method == "function_calling":
        tool = as_openai(form_of(schema)) if isinstance(schema, Mapping) else schema
        name = to_tool(tool).name
        forced = {"type": "function", "function": {"name": name}}
        model = llm.bind_tools([tool], tool_choice=forced, parallel_tool_calls=False, **traced, **bound)
        parser = _calls_parser(schema, name)
    else:
        form = {"type": "json_object"} if schema is None else {"type": "json_schema", "json_schema": _named(schema)}
        model = llm.bind(response_format=form, **traced, **bound)
        parser = PydanticOutputParser(pydantic_object=schema) if _is_class(schema) else JsonOutputParser()
    return _with_raw(model, parser) if include_raw else model | parser


def _named(schema: Any) -> dict[str, Any]:
    form = form_of(schema)
    return {"name": form.name, "schema": dict(form.parameters)}


def _calls_parser(schema: Any, name: str) -> BaseOutputParser[Any]:
    if _is_class(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _is_class(schema: Any) -> bool:
    return isinstance(schema, type) and not isinstance(schema, Mapping) and is_basemodel_subclass(schema)


def _with_raw(
    model: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any]
) -> Runnable[LanguageModelInput, Any]:
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    message = RunnableMap(raw=RunnablePassthrough())  # the model is the first step: only that gets a call's options
    return model | message | parsed.with_fallbacks([failed], exception_key="parsing_error")
