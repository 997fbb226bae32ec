"""What the engine says, as LangChain's chunks and messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from chatglm_slim_llm.call_reader import CallPiece, CallReader
from chatglm_slim_llm.engine import CallsFormat, Delta, Format, Polisher, Statistics


class Chunks:
    """Makes a chunk of each delta of one reply.

    Args:
        format: what the reply is held to.
        about: goes into the metadata of the last chunk.
        fix_punctuation: whether words are post-processed as the original does it. JSON never is.
    """

    def __init__(self, format: Format | None, about: Mapping[str, Any], *, fix_punctuation: bool) -> None:
        self._reader = CallReader() if isinstance(format, CallsFormat) else None
        self._words = _Words(polishes=fix_punctuation and (format is None or self._reader is not None))
        self._about = about
        self._ids: list[str] = []  # of the calls so far

    def push(self, delta: Delta) -> ChatGenerationChunk:
        """The chunk of the next delta; words and calls that nobody can tell apart yet wait for another."""
        is_last = delta.finish_reason is not None
        pieces: list[str | CallPiece] = [delta.text] if self._reader is None else list(self._reader.push(delta.text))
        if self._reader is not None and is_last:
            pieces += self._reader.finish()
        message = AIMessageChunk(
            content=self._words.push("".join(piece for piece in pieces if isinstance(piece, str)), is_last=is_last),
            tool_call_chunks=[_call_chunk(piece, self._ids) for piece in pieces if isinstance(piece, CallPiece)],
        )
        if is_last:
            _finish(message, delta, self._about, has_calls=bool(self._ids))
        return ChatGenerationChunk(message=message)


class _Words:
    def __init__(self, *, polishes: bool) -> None:
        self._polisher = Polisher() if polishes else None

    def push(self, text: str, *, is_last: bool) -> str:
        if self._polisher is None:
            return text
        return self._polisher.push(text) + (self._polisher.flush() if is_last else "")


def _call_chunk(piece: CallPiece, ids: list[str]) -> ToolCallChunk:
    if piece.name is None:
        return ToolCallChunk(name=None, args=piece.arguments, id=None, index=piece.index)
    ids.append(f"call_{uuid4().hex[:24]}")
    return ToolCallChunk(name=piece.name, args="", id=ids[-1], index=piece.index)


def _finish(message: AIMessageChunk, delta: Delta, about: Mapping[str, Any], *, has_calls: bool) -> None:
    done = delta.statistics
    assert done is not None
    message.usage_metadata = {
        "input_tokens": done.prompt_tokens,
        "output_tokens": done.generated_tokens,
        "total_tokens": done.prompt_tokens + done.generated_tokens,
    }
    reason = "tool_calls" if has_calls and delta.finish_reason == "stop" else delta.finish_reason
    message.response_metadata = {**about, "finish_reason": reason, **_speed(done)}
    message.chunk_position = "last"


def _speed(done: Statistics) -> dict[str, Any]:
    return {
        "time_to_first_token_s": done.time_to_first_token_s,
        "tokens_per_s": done.tokens_per_s,
        "dropped_rounds": done.dropped_rounds,
    }


def join(chunks: Sequence[ChatGenerationChunk]) -> ChatResult:
    """The chunks of one reply as the message that a call returns."""
    messages = [chunk.message for chunk in chunks]
    last = messages[-1]
    assert isinstance(last, AIMessageChunk)
    calls, broken = _join_calls([m for m in messages if isinstance(m, AIMessageChunk)])
    message = AIMessage(
        content="".join(chunk.text for chunk in chunks),
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=last.usage_metadata,
        response_metadata=last.response_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _join_calls(messages: Sequence[AIMessageChunk]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Whole calls, and those that were broken off because nobody wanted more of the reply."""
    joined: dict[int, ToolCallChunk] = {}
    for piece in (piece for message in messages for piece in message.tool_call_chunks):
        index = piece["index"] or 0
        if index in joined:
            joined[index]["args"] = (joined[index]["args"] or "") + (piece["args"] or "")
        else:
            joined[index] = piece.copy()
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for call in joined.values():
        try:
            arguments = json.loads(call["args"] or "")
        except ValueError:
            reason = "the reply was broken off inside this call"
            broken.append(
                InvalidToolCall(
                    name=call["name"], args=call["args"], id=call["id"], error=reason, type="invalid_tool_call"
                )
            )
        else:
            calls.append(ToolCall(name=call["name"] or "", args=arguments, id=call["id"], type="tool_call"))
    return calls, broken
