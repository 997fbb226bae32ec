"""What `ChatGLMSlim` writes, as the events that ``llm`` shows and logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import llm
from llm.parts import StreamEvent

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.tool import ToolCallChunk


@dataclass
class _Call:
    """A call that is being written."""

    id: str
    name: str
    arguments: str = ""


class Events:
    """Makes events of one reply's chunks; the last one tells ``response`` what else there is to know."""

    def __init__(self, response: llm.Response | llm.AsyncResponse) -> None:
        self._response = response
        self._calls: dict[int, _Call] = {}

    def push(self, chunk: AIMessageChunk) -> Iterator[StreamEvent]:
        """The events of the next chunk."""
        if text := str(chunk.text):
            yield StreamEvent(type="text", chunk=text)
        for piece in chunk.tool_call_chunks:
            yield self._of_call(piece)
        if "finish_reason" in chunk.response_metadata:
            self._finish(chunk)

    def _of_call(self, piece: ToolCallChunk) -> StreamEvent:
        index = piece["index"] or 0
        if piece["name"] is not None:
            call = self._calls[index] = _Call(str(piece["id"]), piece["name"])
            return StreamEvent(type="tool_call_name", chunk=call.name, tool_call_id=call.id)
        call, arguments = self._calls[index], piece["args"] or ""
        call.arguments += arguments
        return StreamEvent(type="tool_call_args", chunk=arguments, tool_call_id=call.id)

    def _finish(self, last: AIMessageChunk) -> None:
        for call in self._calls.values():
            self._response.add_tool_call(llm.ToolCall(call.name, json.loads(call.arguments), call.id))
        about, usage = last.response_metadata, last.usage_metadata
        assert usage is not None
        dropped = about["dropped_rounds"]
        self._response.set_usage(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            details={"dropped_rounds": dropped} if dropped else None,
        )
        self._response.set_resolved_model(about["model_name"])
        self._response.response_json = dict(about)
