"""Between stored messages and what is shown or sent: plain functions, no widgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatglm_slim_llm.storage import FinishReason, Message
from tui.assistant import Turn
from tui.widgets.conversation import Entry

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
    rounds: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.role == "user":
            rounds.append((message.content, []))
        elif message.role == "assistant" and message.content and rounds:
            rounds[-1][1].append(message.content)  # an agent may speak several times before it is asked again
    turns: list[Turn] = []
    for question, answers in rounds:
        if answers:
            turns += [("human", question), ("ai", "\n".join(answers))]
    last = next(message for message in reversed(messages) if message.role == "user")
    return [*turns, ("human", last.content)]
