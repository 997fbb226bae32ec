"""LangChain messages to what the model is asked: a system text, the rounds so far, and a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from chatglm_slim_llm.errors import GenerationError

Role = Literal["system", "human", "ai"]

_CHAT_ROLES: dict[str, Role] = {"system": "system", "user": "human", "human": "human", "assistant": "ai", "ai": "ai"}


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


def to_conversation(messages: Sequence[BaseMessage]) -> Conversation:
    """Sort messages into system text, rounds and question.

    System messages are joined by a blank line wherever they stand, neighbours of one role by a line break.
    An answer that nobody asked for, such as a greeting at the start, answers an empty question.

    Raises:
        MessageError: a role or content that the model cannot take, or no question at the end.
    """
    turns = [(_role(message, index), _text(message, index)) for index, message in enumerate(messages)]
    system = "\n\n".join(text for role, text in turns if role == "system" and text)
    last = max((index for index, (role, _) in enumerate(turns) if role != "system"), default=-1)
    if last < 0:
        raise MessageError("there is no human message; the conversation must end with one", index=len(messages))
    if turns[last][0] != "human":
        raise MessageError(
            f"message {last} is the model's own and the last one; end with a human message to answer",
            index=last,
        )
    rounds = _rounds([turn for turn in turns if turn[0] != "system"])
    query = rounds.pop()[0]
    if not query.strip():
        raise MessageError(f"message {last} (human) is empty; write something to answer", index=last)
    return Conversation(system, rounds, query)


def _rounds(turns: list[tuple[Role, str]]) -> list[tuple[str, str]]:
    """Pair questions with answers; the last question has the answer ""."""
    rounds: list[tuple[list[str], list[str]]] = []
    previous: Role | None = None
    for role, text in turns:
        if previous is None or (role == "human" and previous == "ai"):
            rounds.append(([], []))
        rounds[-1][role == "ai"].append(text)
        previous = role
    return [("\n".join(asked), "\n".join(answered)) for asked, answered in rounds]


def _role(message: BaseMessage, index: int) -> Role:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "human"
    if isinstance(message, AIMessage) and not message.tool_calls:
        return "ai"
    if isinstance(message, ChatMessage) and message.role.lower() in _CHAT_ROLES:
        return _CHAT_ROLES[message.role.lower()]
    what = "AIMessage with tool calls" if isinstance(message, AIMessage) else type(message).__name__
    if isinstance(message, ChatMessage):
        what += f" with role {message.role!r}"
    raise MessageError(
        f"message {index} is of a kind that this model cannot take ({what}); use system, human and ai messages",
        index=index,
    )


def _text(message: BaseMessage, index: int) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_block_text(block, index) for block in message.content)


def _block_text(block: str | dict[str, object], index: int) -> str:
    if isinstance(block, str):
        return block
    if block.get("type") == "text" and isinstance(text := block.get("text"), str):
        return text
    raise MessageError(
        f"message {index} has a block of type {block.get('type')!r}; this model reads only text, so leave it out",
        index=index,
    )
