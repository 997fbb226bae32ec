"""The chat models that ``llm`` lists: prompts in, events out; `ChatGLMSlim` does the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import llm
from llm.parts import StreamEvent

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.llm_plugin.boundary import keep, llm_errors
from chatglm_slim_llm.llm_plugin.events import Events
from chatglm_slim_llm.llm_plugin.options import DefaultOptions, SlimOptions

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk, BaseMessage

    from chatglm_slim_llm.llm import ChatGLMSlim


class _Described:
    """What both kinds of model say of themselves."""

    can_stream = True
    supports_schema = True
    supports_tools = True

    def __init__(self, model_id: str, model: str | None = None) -> None:
        """Read nothing yet.

        Args:
            model_id: how ``llm`` calls it.
            model: the checkpoint; the user's default if missing.
        """
        self.model_id, self._model = model_id, model
        self.Options = DefaultOptions if model is None else SlimOptions

    def __str__(self) -> str:
        return f"ChatGLM-Slim: {self.model_id}"


class Slim(_Described, llm.Model):  # type: ignore[misc]  # the options depend on the object
    """A ChatGLM-6B(-Slim) checkpoint, or the demo model, answering in this process."""

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None = None
    ) -> Generator[str | StreamEvent]:
        """One reply; closing the generator ends the work after the current token."""
        with llm_errors():
            call = _prepare(prompt, self._model)
            events = Events(response)
            with closing(call.chunks()) as chunks:
                for chunk in chunks:
                    yield from events.push(chunk)


class AsyncSlim(_Described, llm.AsyncModel):  # type: ignore[misc]  # as above
    """`Slim` for an event loop, which never waits for the model."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
    ) -> AsyncGenerator[str | StreamEvent, None]:
        """One reply; closing the generator ends the work after the current token."""
        with llm_errors():
            call = await asyncio.to_thread(_prepare, prompt, self._model)  # it imports LangChain
            events = Events(response)
            async with aclosing(call.achunks()) as chunks:
                async for chunk in chunks:
                    for event in events.push(chunk):
                        yield event


@dataclass(frozen=True)
class _Call:
    """A prompt as `ChatGLMSlim` is asked."""

    llm: ChatGLMSlim
    messages: list[BaseMessage]
    wish: dict[str, Any]
    """The form of the reply, as keywords."""

    def chunks(self) -> Generator[AIMessageChunk]:
        return cast("Generator[AIMessageChunk]", self.llm.stream(self.messages, **self.wish))

    def achunks(self) -> AsyncGenerator[AIMessageChunk]:
        return cast("AsyncGenerator[AIMessageChunk]", self.llm.astream(self.messages, **self.wish))


def _prepare(prompt: llm.Prompt, model: str | None) -> _Call:
    """Everything that can be wrong with a prompt's options is said here, before anything is loaded."""
    from chatglm_slim_llm.llm import ChatGLMSlim
    from chatglm_slim_llm.llm_plugin.messages import to_langchain

    assert isinstance(prompt.options, SlimOptions)
    chosen = {} if model is None else {"model": model}
    slim = ChatGLMSlim(allow_download=False, **prompt.options.given() | chosen)
    keep(slim.load_options())
    return _Call(slim, to_langchain(prompt), _wish(prompt))


def _wish(prompt: llm.Prompt) -> dict[str, Any]:
    if prompt.tools and prompt.schema:
        raise ConfigError(
            "a schema and tools are given together, but a reply is either calls or one JSON value; give one of them",
            key="schema",
        )
    if prompt.schema:
        return {"response_format": {"type": "json_schema", "json_schema": {"schema": prompt.schema}}}
    if prompt.tools:
        return {"tools": [_as_openai(tool) for tool in prompt.tools if isinstance(tool, llm.Tool)]}
    return {}


def _as_openai(tool: llm.Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": function}
