"""`with_structured_output`: a chain of the chat model, held to a schema, and the parser for what it writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, BaseMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import BaseOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import is_typeddict

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.wishes import as_openai, form_of, schema_of, to_tool

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
    told = schema_of(schema) if is_typeddict(schema) else schema or {}  # LangChain's reader fails at some TypedDicts
    traced: dict[str, Any] = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": told}}
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
        parser = _ObjectParser(pydantic_object=schema) if _is_class(schema) else JsonOutputParser()
    return _with_raw(model, parser) if include_raw else model | parser


def _named(schema: Any) -> dict[str, Any]:
    form = form_of(schema)
    return {"name": form.name, "schema": dict(form.parameters)}


def _calls_parser(schema: Any, name: str) -> BaseOutputParser[Any]:
    if _is_class(schema):
        return _CallParser(tools=[schema], first_tool_only=True)
    return _ArgumentsParser(key_name=name, first_tool_only=True)


def _is_class(schema: Any) -> bool:
    return isinstance(schema, type) and not isinstance(schema, Mapping) and is_basemodel_subclass(schema)


def _with_raw(
    model: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any]
) -> Runnable[LanguageModelInput, Any]:
    """The reply is parsed once it is whole, also where it is streamed: what is wrong with it is told beside it."""

    def parsed(raw: BaseMessage, config: RunnableConfig) -> dict[str, Any]:
        try:
            return _beside(raw, parser.invoke(raw, config))
        except Exception as error:  # a validator of the schema may raise anything
            return _beside(raw, None, error)

    async def aparsed(raw: BaseMessage, config: RunnableConfig) -> dict[str, Any]:
        try:
            return _beside(raw, await parser.ainvoke(raw, config))
        except Exception as error:
            return _beside(raw, None, error)

    return model | RunnableLambda(parsed, aparsed)  # the model is the first step: only that gets a call's options


def _beside(raw: BaseMessage, parsed: Any, error: Exception | None = None) -> dict[str, Any]:
    return {"raw": raw, "parsed": parsed, "parsing_error": error}


class _ToTheEnd(BaseCumulativeTransformOutputParser[Any]):
    """Streams what can be read so far, and ends with the error of ``invoke`` where the whole cannot be.

    LangChain's parsers leave out what they cannot read, also when nothing more is to come.
    """

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        last = whole = parsed = None
        for chunk in input:
            whole = _joined(whole, chunk)
            if (parsed := self.parse_result([whole], partial=True)) not in (None, last):
                yield (last := parsed)
        if whole is not None and parsed is None:
            self.parse_result([whole])  # says why

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        last = whole = parsed = None
        async for chunk in input:
            whole = _joined(whole, chunk)
            if (parsed := await self.aparse_result([whole], partial=True)) not in (None, last):
                yield (last := parsed)
        if whole is not None and parsed is None:
            await self.aparse_result([whole])


def _joined(whole: Generation | None, chunk: str | BaseMessage) -> Generation:
    """What has come so far; a model that does not stream gives one message that is no chunk."""
    if not isinstance(chunk, BaseMessage):
        return Generation(text=chunk if whole is None else whole.text + chunk)
    if isinstance(whole, ChatGeneration) and isinstance(whole.message, BaseMessageChunk):
        return ChatGeneration(message=whole.message + chunk)
    return ChatGeneration(message=chunk)


class _ObjectParser(_ToTheEnd, PydanticOutputParser[Any]):
    """An object from the text of a reply."""


class _CallParser(_ToTheEnd, PydanticToolsParser):
    """An object from the arguments of a call."""


class _ArgumentsParser(_ToTheEnd, JsonOutputKeyToolsParser):
    """The arguments of a call."""
