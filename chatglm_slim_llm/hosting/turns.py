"""Between stored messages and what a model is asked: plain functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatglm_slim_llm.hosting.assistant import Turn
from chatglm_slim_llm.storage import Attachment, Message

_FENCE = "```"


def with_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """A question as the model reads it: the files first, each between fences that it does not hold, then the words."""
    parts = []
    for attachment in attachments:
        fence = _FENCE
        while fence in attachment.text:
            fence += "`"
        parts.append(f"{attachment.name}:\n{fence}\n{attachment.text.rstrip()}\n{fence}")
    return "\n\n".join([*parts, text])


def turns_of(
    messages: Sequence[Message], attachments: Mapping[int, Sequence[Attachment]], typed: str | None = None
) -> list[Turn]:
    """The answered rounds, then the last question, or the one that is being typed, as the model reads them."""
    rounds: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.role == "user":
            rounds.append((with_attachments(message.content, attachments.get(message.id, ())), []))
        elif message.role == "assistant" and message.content and rounds:
            rounds[-1][1].append(message.content)  # an agent may speak several times before it is asked again
    if typed is not None:
        rounds.append((typed, []))
    turns = [turn for question, answers in rounds[:-1] if answers for turn in _round(question, answers)]
    return [*turns, Turn("human", rounds[-1][0])]


def _round(question: str, answers: Sequence[str]) -> tuple[Turn, Turn]:
    return Turn("human", question), Turn("ai", "\n".join(answers))


def system_of(messages: Sequence[Message]) -> str:
    """The system prompt that a program of the user's has put into the conversation itself."""
    return "\n".join(message.content for message in messages if message.role == "system")
