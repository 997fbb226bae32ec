"""LangChain messages to what the model is asked: a system text, the rounds so far, and a question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.signatures import Lang, Schema, Tool, ask_for_json, language, list_tools, tool_result

Role = Literal["system", "human", "ai"]

_CHAT_ROLES: dict[str, Role] = {"system": "system", "user": "human", "human": "human", "assistant": "ai", "ai": "ai"}
_TEXTS = {"text", "text-plain"}
_THOUGHTS = {"thinking", "redacted_thinking", "reasoning"}
_CALLS = {"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"}
"""Blocks that repeat what `AIMessage.tool_calls` and `AIMessage.invalid_tool_calls` hold."""
_NAMELESS = "tool"
"""Stands for the name of a tool that nobody tells."""


class MessageError(GenerationError, ValueError):
    """A message cannot be given to the model; ``index`` says which one, counted from 0."""

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True)
class Conversation:
    """Messages in the form that the model knows."""

    system: str
    history: list[tuple[str, str]]
    """Questions with their answers."""
    query: str
    open_rounds: int = 0
    """The last so many of the history belong to the question in hand: the query is a result of a tool it has called."""


@dataclass(frozen=True)
class _Turn:
    role: Role
    text: str
    index: int
    kind: str
    """What a person calls it."""


@dataclass(frozen=True)
class _Calls:
    """What is known of tool calls where a message stands."""

    lang: Lang
    """In which their results are told."""
    names: dict[str, str]
    """The tools by the ids of the calls."""
    is_complete: bool
    """Whether a result must have a call."""


def to_conversation(
    messages: Sequence[BaseMessage],
    *,
    tools: Sequence[Tool] = (),
    schema: Schema | None = None,
    is_complete: bool = True,
) -> Conversation:
    """Sort messages into system text, rounds and question.

    System messages are joined by a blank line wherever they stand, then come the tools and the form of the reply.
    Neighbours of one role are joined by a line break. The results of tools are questions, what called them are answers.
    An answer that nobody asked for, such as a greeting at the start, answers an empty question.

    Args:
        messages: in order.
        tools: that the model may call.
        schema: of the JSON that the reply must be, if it must.
        is_complete: whether the last message is to be answered; False takes any part of a conversation, in any order:
            ``query`` is empty without a question at the end, and results may stand without what called for them.

    Raises:
        MessageError: a role or content that the model cannot take, a tool result that no message has called for, or no
            question at the end.
    """
    lang = language(text for message in messages if message.type == "human" for text in _plain_texts(message))
    turns = list(_turns(messages, _Calls(lang, {} if is_complete else _all_names(messages), is_complete)))
    system = [turn.text for turn in turns if turn.role == "system" and turn.text]
    system += [list_tools(tools, lang)] if tools else []
    system += [] if schema is None else [ask_for_json(schema, lang)]
    spoken = [turn for turn in turns if turn.role != "system"]
    if is_complete:
        _want_question(spoken, len(messages))
    rounds = _rounds(spoken)
    query = rounds.pop()[0] if spoken and spoken[-1].role == "human" else ""
    return Conversation("\n\n".join(system), rounds, query, _open_rounds(spoken))


def _want_question(spoken: list[_Turn], num_messages: int) -> None:
    if not spoken:
        raise MessageError("there is no human message; the conversation must end with one", index=num_messages)
    last = spoken[-1]
    if last.role == "ai":
        raise MessageError(
            f"message {last.index} is the model's own and the last one; end with a human message to answer",
            index=last.index,
        )
    asked = spoken[max((i + 1 for i, turn in enumerate(spoken) if turn.role == "ai"), default=0) :]
    if not any(turn.text.strip() for turn in asked):
        raise MessageError(f"message {last.index} ({last.kind}) is empty; write something to answer", index=last.index)


def _rounds(turns: Iterable[_Turn]) -> list[tuple[str, str]]:
    """Pair questions with answers; the last question has the answer ""."""
    rounds: list[tuple[list[str], list[str]]] = []
    previous: Role | None = None
    for turn in turns:
        if previous is None or (turn.role == "human" and previous == "ai"):
            rounds.append(([], []))
        rounds[-1][turn.role == "ai"].append(turn.text)
        previous = turn.role
    return [("\n".join(asked), "\n".join(answered)) for asked, answered in rounds]


def _open_rounds(turns: Sequence[_Turn]) -> int:
    """Rounds since a person last asked, but for the one that is to be answered."""
    if not turns or turns[-1].role == "ai":
        return 0
    asked = max((i for i, turn in enumerate(turns) if turn.kind == "human"), default=0)
    return len(_rounds(turns[asked:])) - 1


def _turns(messages: Sequence[BaseMessage], calls: _Calls) -> Iterable[_Turn]:
    for index, message in enumerate(messages):
        if isinstance(message, ToolMessage | FunctionMessage):
            yield _Turn("human", _result(message, index, calls), index, "tool")
            continue
        role = _role(message, index)
        text = _text(message, index, calls)
        if isinstance(message, AIMessage):
            calls.names.update(_names(message))
            text = "\n".join(filter(None, [text, *_written_calls(message, index)]))
        yield _Turn(role, text, index, "tool" if role == "human" and _is_result(message) else role)


def _all_names(messages: Iterable[BaseMessage]) -> dict[str, str]:
    called: dict[str, str] = {}
    for message in messages:
        called |= _names(message) if isinstance(message, AIMessage) else {}
    return called


def _names(message: AIMessage) -> dict[str, str]:
    """The tools that a message calls, by the ids of the calls."""
    calls = (*message.invalid_tool_calls, *message.tool_calls)
    return {call["id"]: call["name"] or _NAMELESS for call in calls if call["id"] is not None}


def _written_calls(message: AIMessage, index: int) -> Iterable[str]:
    """Tool calls as the model writes them; arguments that were no JSON as it wrote them."""
    for call in message.tool_calls:
        try:
            yield json.dumps({"name": call["name"], "arguments": call["args"]}, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise MessageError(
                f"message {index} calls {call['name']} with arguments that JSON cannot hold ({error}); use plain ones",
                index=index,
            ) from error
    for broken in message.invalid_tool_calls:
        name = json.dumps(broken["name"] or _NAMELESS, ensure_ascii=False)
        yield f'{{"name": {name}, "arguments": {broken["args"] or ""}}}'


def _result(message: ToolMessage | FunctionMessage, index: int, calls: _Calls) -> str:
    text = _text(message, index, calls)
    if isinstance(message, FunctionMessage):
        return tool_result(message.name, text, calls.lang)
    name = calls.names.get(message.tool_call_id)
    if name is None and calls.is_complete:
        raise MessageError(
            f"message {index} is the result of the call {message.tool_call_id!r}, which no message before it makes; "
            "put the AI message with that tool call before it",
            index=index,
        )
    name = name or message.name or _NAMELESS
    return tool_result(name, text, calls.lang, failed=message.status == "error")


def _role(message: BaseMessage, index: int) -> Role:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "human"
    if isinstance(message, AIMessage):
        return "ai"
    if isinstance(message, ChatMessage) and message.role.lower() in _CHAT_ROLES:
        return _CHAT_ROLES[message.role.lower()]
    what = type(message).__name__ + (f" with role {message.role!r}" if isinstance(message, ChatMessage) else "")
    raise MessageError(
        f"message {index} is of a kind that this model cannot take ({what}); use system, human, ai and tool messages",
        index=index,
    )


def _text(message: BaseMessage, index: int, calls: _Calls) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_block_text(block, message, index, calls) for block in message.content)


def _block_text(block: str | dict[Any, Any], message: BaseMessage, index: int, calls: _Calls) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind in _TEXTS:
        return _block_words(block, message, index)
    if kind == "tool_result":
        return _result(_as_tool_message(block), index, calls)
    if isinstance(message, AIMessage) and (kind in _THOUGHTS or kind in _CALLS):
        return ""
    if kind == "json" and isinstance(message, ToolMessage):
        return json.dumps(block.get("json"), ensure_ascii=False)
    raise MessageError(
        f"message {index} ({message.type}) has a block of type {kind!r}; this model reads only text, so leave it out",
        index=index,
    )


def _block_words(block: Mapping[Any, Any], message: BaseMessage, index: int) -> str:
    if isinstance(text := block.get("text"), str):
        return text
    found, wanted = ("missing", "one") if text is None else (repr(text), "a text")
    raise MessageError(
        f"message {index} ({message.type}) has a block of type {block['type']!r} whose text is {found}; give it "
        f"{wanted}, or leave it out",
        index=index,
    )


def _is_result(message: BaseMessage) -> bool:
    """Whether results of tools are all that it holds, as in Anthropic's API."""
    blocks = [] if isinstance(message.content, str) else message.content
    return bool(blocks) and all(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)


def _as_tool_message(block: Mapping[str, Any]) -> ToolMessage:
    """A result as Anthropic's API has it, inside a human message."""
    return ToolMessage(
        block.get("content") or "",
        tool_call_id=str(block.get("tool_use_id")),
        status="error" if block.get("is_error") else "success",
    )


def _plain_texts(message: BaseMessage) -> Iterable[str]:
    blocks = [message.content] if isinstance(message.content, str) else message.content
    for block in blocks:
        text = block if isinstance(block, str) else block.get("text")
        if isinstance(text, str):
            yield text
