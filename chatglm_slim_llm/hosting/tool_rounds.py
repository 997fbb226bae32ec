"""An answer on whose way the model may call tools: they run, it reads what they gave, and goes on."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from typing import cast

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, message_chunk_to_message
from langchain_core.tools import BaseTool

from chatglm_slim_llm.aside import each_as
from chatglm_slim_llm.errors import ConfigError, MissingExtraError, PromptTooLongError, SchemaError
from chatglm_slim_llm.hosting.assistant import Piece, Request
from chatglm_slim_llm.hosting.model import Model, Said, messages_of
from chatglm_slim_llm.hosting.tool_use import Room, ToolRunner
from chatglm_slim_llm.toolbox import Tools

ROUNDS = 5
"""So often tools are used; then the model has to answer."""
_MOST_CALLS = 8
"""In one round."""
_SHARE_OF_ALL, _SHARE_OF_ONE = 2, 5
"""All results may fill a half of the context, and one a fifth."""
_LEAST_TOKENS = 48
"""With less room for another result, the model has to answer."""
_UNUSABLE = (ConfigError, MissingExtraError, NotImplementedError, PromptTooLongError, SchemaError)
"""What a model raises that cannot be told of these tools."""


class ToolRounds:
    """One answer; ``pieces`` is to be called once."""

    def __init__(self, model: Model, runner: ToolRunner, tools: Tools, request: Request, left_out: int) -> None:
        self._model, self._runner, self._all = model, runner, tools
        self._tools: Sequence[BaseTool] = ()
        self._request, self._asked, self._dropped_rounds = request, request, left_out
        self._messages: list[BaseMessage] = []
        self._room = model.context // _SHARE_OF_ALL
        self._has_words = False

    def pieces(self) -> Generator[Piece]:
        """The whole answer; closing the generator ends whatever is going on."""
        yield from self._choose()
        said = yield from self._first()
        for number in range(1, ROUNDS + 1):
            if not _calls(said):
                break
            yield from self._use(said)
            said = yield from self._say(may_call=number < ROUNDS and self._room >= _LEAST_TOKENS)
        if not self._has_words and said.message.tool_calls:
            yield Piece(notice="the model calls tools again and again, and says nothing; ask it in other words")
        yield last_piece(said, self._dropped_rounds)

    def _choose(self) -> Generator[Piece]:
        """Leave out the tools that this model cannot use."""
        tools = []
        for tool in self._all.tools:
            if complaint := self._model.complaint(tool):
                plugin = self._all.plugin_of[tool.name]
                yield Piece(notice=f"the tool {tool.name} of plugin tools.{plugin} is left out: {complaint}")
            else:
                tools.append(tool)
        self._tools = tools

    def _first(self) -> Generator[Piece, None, Said]:
        left_out = self._dropped_rounds
        try:
            self._fit(left_out)
            return (yield from self._say())
        except _UNUSABLE as error:
            if not self._tools or self._has_words:
                raise
            reason = _reason(error)
        yield Piece(notice=f"this answer is made without tools: {reason}")
        self._tools = ()
        self._fit(left_out)
        return (yield from self._say())

    def _fit(self, left_out: int) -> None:
        self._asked, dropped_rounds = self._model.fitted(self._request, self._tools)
        self._dropped_rounds = left_out + dropped_rounds
        self._messages = messages_of(self._asked)

    def _say(self, *, may_call: bool = True) -> Generator[Piece, None, Said]:
        had_words, is_first = self._has_words, True

        def piece(text: str) -> Piece:
            nonlocal is_first
            if is_first and had_words and text.strip():
                text, is_first = f"\n\n{text}", False
            self._has_words = self._has_words or bool(text.strip())
            return Piece(text)

        steps = self._model.stream(self._messages, self._asked, self._tools, may_call=may_call)
        return (yield from each_as(steps, piece))

    def _use(self, said: Said) -> Generator[Piece]:
        """Do all calls; the model is told of each."""
        calls = _calls(said)
        message = cast(AIMessage, message_chunk_to_message(said.message))
        broken = {call["id"] for call in calls[len(message.tool_calls) :]}
        self._messages.append(message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []}))
        for number, call in enumerate(calls):
            room = Room(max(min(self._room, self._model.context // _SHARE_OF_ONE), 1), self._model.count_tokens)
            if number >= _MOST_CALLS:
                told = yield from self._runner.failed(call, "too many calls at once", room)
            elif call["id"] in broken:
                told = yield from self._runner.failed(call, "its arguments are no JSON", room)
            else:
                told = yield from self._runner.use(call, self._all, room)
            self._messages.append(told)
            self._room -= self._model.count_tokens(str(told.content))


def _reason(error: Exception) -> str:
    if isinstance(error, PromptTooLongError):
        return "what is said of them leaves no room in the context; choose fewer"
    return str(error) or "the model takes none"


def last_piece(said: Said, left_out: int) -> Piece:
    """The piece that ends an answer."""
    return Piece("", said.reason, said.figures, dropped_rounds=left_out + said.dropped_rounds)


def _calls(said: Said) -> list[ToolCall]:
    """The calls that a whole message makes, each with an id; those that cannot be read come last."""
    if said.reason != "stop":
        return []
    message = said.message
    broken = [ToolCall(name=call["name"] or "", args={}, id=call["id"]) for call in message.invalid_tool_calls]
    return [
        ToolCall(name=call["name"], args=call["args"], id=call["id"] or f"call_{uuid.uuid4().hex}", type="tool_call")
        for call in [*message.tool_calls, *broken]
    ]
