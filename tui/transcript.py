"""Between stored messages and what is shown or sent: plain functions, no widgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chatglm_slim_llm.storage import FinishReason, Message
from tui.assistant import Turn
from tui.widgets.conversation import Entry

_TITLE_LENGTH = 60
_ENDINGS: dict[FinishReason | None, str] = {
    "length": "■ stopped at the length limit",
    "cancelled": "■ stopped",
    "error": "■ ended by an error",
    None: "■ interrupted",
}


@dataclass
class LiveReply:
    """The reply being written, as the screen knows it; its conversation may not be the one shown."""

    message_id: int
    conversation_id: int
    question: str
    text: str = ""


def ending(reason: FinishReason | None) -> str:
    """What is written below a reply that ended early."""
    return _ENDINGS.get(reason, "")


def entries_of(messages: Sequence[Message], live: LiveReply | None) -> Iterator[Entry]:
    """Stored messages as they are shown; a reply that no one is writing any more was interrupted."""
    for message in messages:
        if live is not None and message.id == live.message_id:
            yield Entry(message.id, message.role, live.text, growing=True)
        else:
            note = ending(message.finish_reason) if message.role == "assistant" else ""
            yield Entry(message.id, message.role, message.content, note, is_error=message.finish_reason == "error")


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """The rounds that were answered, then the last question, as the model reads them."""
    turns: list[Turn] = []
    for question, answer in pairwise(messages):
        if question.role == "user" and answer.role == "assistant" and answer.content:
            turns += [("human", question.content), ("ai", answer.content)]
    last = next(message for message in reversed(messages) if message.role == "user")
    return [*turns, ("human", last.content)]


def title_of(prompt: str) -> str:
    """A conversation's title: the first words of its first prompt."""
    title = " ".join(prompt.split())
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"
