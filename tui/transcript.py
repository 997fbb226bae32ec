"""Between stored messages and what is shown or sent: plain functions, no widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatglm_slim_llm.hosting.assistant import Turn
from chatglm_slim_llm.storage import Attachment, Figures, FinishReason, Message
from tui.language import tr

_FENCE = "```"


def ending(reason: FinishReason | None) -> str:
    """What is written below a reply that ended early."""
    if reason == "length":
        return tr("■ stopped at the length limit")
    if reason == "cancelled":
        return tr("■ stopped")
    if reason == "interrupted":
        return tr("■ interrupted: the program ended while this was written")
    return tr("■ ended by an error") if reason == "error" else ""


def figures_line(figures: Figures | None) -> str:
    """How a reply was made, in one line; empty where nobody counted."""
    if figures is None:
        return ""
    parts = []
    if figures.output_tokens is not None:
        parts.append(tr("{count} tokens", count=f"{figures.output_tokens:,}"))
    if figures.tokens_per_s is not None:
        digits = 1 if figures.tokens_per_s < 100 else 0
        parts.append(tr("{rate} tokens/s", rate=f"{figures.tokens_per_s:.{digits}f}"))
    if figures.first_token_s is not None:
        parts.append(tr("first after {seconds} s", seconds=f"{figures.first_token_s:.1f}"))
    return " · ".join(parts)


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
    turns: list[Turn] = []
    for question, answers in rounds[:-1]:
        if answers:
            turns += [Turn("human", question), Turn("ai", "\n".join(answers))]
    return [*turns, Turn("human", rounds[-1][0])]


def system_of(messages: Sequence[Message]) -> str:
    """The system prompt that a program of the user's has put into the conversation itself."""
    return "\n".join(message.content for message in messages if message.role == "system")
