"""One use of a tool: its arguments are looked at, a person is asked, it runs with a deadline, its result is shortened.

Whatever a tool does, the model is told what came of it and goes on; nothing here raises.
"""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, Tool
from pydantic import BaseModel, ValidationError
from pydantic.v1 import BaseModel as BaseModelV1

from chatglm_slim_llm.aside import POLL_S, Loop, TooLateError, begin, each_as, waiting, why
from chatglm_slim_llm.hosting.assistant import Piece, ToolUse
from chatglm_slim_llm.storage import ToolState
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.toolbox import Tools

SECONDS = 60.0
"""How long a tool may take."""
_REFUSED = "the person did not allow this; do without it"
_LONGEST_NAME = 100
_MOST_CHARACTERS = 20
"""Of a token, in what is looked at; a text of one word has more, and is cut."""

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """How long a result may be."""

    tokens: int
    count: Callable[[str], int]


class ToolRunner:
    """Runs the tools that a model calls.

    Args:
        seconds: how long each may take.
        doing: called with the tool that is at work, and with nothing after it.
    """

    def __init__(self, *, seconds: float = SECONDS, doing: Callable[[str], object] = lambda who: None) -> None:
        self._seconds, self._doing = seconds, doing
        self._loop = Loop()
        self._asked: dict[str, queue.SimpleQueue[bool]] = {}

    def permit(self, use_id: str, allowed: bool) -> None:
        """Answer whether a tool may be used; of a use that does not ask, nothing."""
        if (answer := self._asked.get(use_id)) is not None:
            answer.put(allowed)

    def use(self, call: ToolCall, tools: Tools, room: Room) -> Generator[Piece, None, ToolMessage]:
        """Do what a call wants, telling of each step; gives what the model is to be told."""
        tool = next((each for each in tools.tools if each.name == call["name"]), None)
        if tool is None:
            return (yield from self.failed(call, _unknown(call["name"], tools), room))
        use = yield from self._use(_use_of(call, "running"), tool, call, tools.plugin_of.get(tool.name, ""))
        return (yield from self._told(use, call, room))

    def failed(self, call: ToolCall, why: str, room: Room) -> Generator[Piece, None, ToolMessage]:
        """Tell of a call that cannot be done."""
        return (yield from self._told(_use_of(call, "failed", why), call, room))

    def _told(self, use: ToolUse, call: ToolCall, room: Room) -> Generator[Piece, None, ToolMessage]:
        use = replace(use, result=shortened(storable(use.result), room))
        yield Piece(tool=use)
        status = "success" if use.state == "done" else "error"
        return ToolMessage(use.result, tool_call_id=call["id"], name=call["name"], status=status)

    def _use(self, use: ToolUse, tool: BaseTool, call: ToolCall, plugin: str) -> Generator[Piece, None, ToolUse]:
        who = f"the tool {tool.name} of the plugin tools.{plugin}"
        try:
            yield from self._silently(lambda: begin(lambda: _check(tool, call["args"]), who), who)
        except Exception as error:
            return replace(
                use, state="failed", result=f"{tool.name} does not take these arguments: {_complaint(error)}"
            )
        if not _only_reads(tool):
            is_allowed = yield from self._ask(replace(use, state="asked"))
            if not is_allowed:
                return replace(use, state="refused", result=_REFUSED)
        yield Piece(tool=use)
        try:
            state, result = yield from self._run(tool, call, who)
        except TooLateError:
            return replace(use, state="failed", result=f"{tool.name} gave no result in {self._seconds:g} s")
        except Exception as error:
            return replace(use, state="failed", result=f"{tool.name} failed: {why(error)}")
        return replace(use, state=state, result=result)

    def _ask(self, use: ToolUse) -> Generator[Piece, None, bool]:
        answer = self._asked[use.id] = queue.SimpleQueue()  # first, as the answer may come at once
        try:
            yield Piece(tool=use)
            while True:
                try:
                    return answer.get(timeout=POLL_S)
                except queue.Empty:
                    yield Piece()
        finally:
            del self._asked[use.id]

    def _run(self, tool: BaseTool, call: ToolCall, who: str) -> Generator[Piece, None, tuple[ToolState, str]]:
        if _has_only_async(tool):
            return _outcome((yield from self._silently(lambda: self._loop.begin(tool.ainvoke(_copy(call))), who)))
        try:
            return _outcome((yield from self._silently(lambda: begin(lambda: tool.invoke(_copy(call)), who), who)))
        except NotImplementedError:  # of a class of its own, which may have only the other way
            if type(tool)._arun is BaseTool._arun:
                raise
            return _outcome((yield from self._silently(lambda: self._loop.begin(tool.ainvoke(_copy(call))), who)))

    def _silently(self, start: Callable[[], Future[T]], who: str) -> Generator[Piece, None, T]:
        """Wait for what a plugin does."""
        self._doing(who)
        try:
            return (yield from each_as(waiting(start(), self._seconds), lambda _: Piece()))
        finally:
            self._doing("")


def _use_of(call: ToolCall, state: ToolState, result: str = "") -> ToolUse:
    return ToolUse(uuid.uuid4().hex, call["name"][:_LONGEST_NAME], _plain(call["args"]), state, result)


def shortened(text: str, room: Room) -> str:
    """The text, or of a long one the beginning and the end."""
    if len(text) <= room.tokens * _MOST_CHARACTERS and room.count(text) <= room.tokens:
        return text
    keep = min(len(text) - 1, room.tokens * _MOST_CHARACTERS)
    while True:
        head, left_out = keep * 3 // 4, len(text) - keep
        short = f"{text[:head]} … ({left_out:,} characters left out) … {text[head + left_out :]}"
        if keep == 0 or room.count(short) <= room.tokens:
            return short
        keep = keep * 4 // 5


def _check(tool: BaseTool, arguments: Mapping[str, Any]) -> None:
    """Whether the arguments fit; where the tool has only a JSON schema, whoever serves it looks."""
    schema = tool.tool_call_schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        schema.model_validate(dict(arguments))
    elif isinstance(schema, type) and issubclass(schema, BaseModelV1):
        schema.parse_obj(dict(arguments))


def _complaint(error: Exception) -> str:
    """What does not fit, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return why(error)


def _outcome(given: object) -> tuple[ToolState, str]:
    if not isinstance(given, ToolMessage):
        raise TypeError(f"it gave {type(given).__name__}, but it must give a text, or data")
    text = str(given.text)
    if not text.strip() and given.content:
        raise TypeError("it gave something that is no text")
    return "failed" if given.status == "error" else "done", text


def _only_reads(tool: BaseTool) -> bool:
    return isinstance(tool.metadata, Mapping) and tool.metadata.get("readOnlyHint") is True


def _has_only_async(tool: BaseTool) -> bool:
    return isinstance(tool, StructuredTool | Tool) and tool.func is None and tool.coroutine is not None


def _copy(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_call", "id": call["id"], "name": call["name"], "args": deepcopy(call["args"])}


def _plain(arguments: Mapping[str, Any]) -> dict[str, object]:
    """Arguments as JSON takes them, to be shown and kept."""
    try:
        return dict(json.loads(json.dumps(arguments, default=str), parse_constant=str))
    except (TypeError, ValueError, RecursionError):
        return {"arguments": "(cannot be shown)"}


def _unknown(name: str, tools: Tools) -> str:
    names = [tool.name for tool in tools.tools]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
    return f"there is no tool {name[:_LONGEST_NAME]!r}; {hint}"
