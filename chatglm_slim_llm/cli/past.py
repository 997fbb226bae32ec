"""What was said before: the conversation that ``chatglm-slim chat --continue`` goes on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.storage import Attachment, ChatSettings, Conversation, ConversationStore, Message, Source


@dataclass(frozen=True)
class Past:
    """A conversation so far; without an id, one that begins now."""

    settings: ChatSettings
    conversation_id: int | None = None
    head_id: int | None = None
    """The message that the next one follows."""
    turns: Sequence[Turn] = field(default_factory=tuple)

    def request(self, prompt: str, parameters: Mapping[str, object]) -> Request:
        """The next question; ``parameters`` go before those of the conversation."""
        return Request(
            turns=[*self.turns, Turn("human", prompt)],
            system=self.settings.system,
            parameters={**self.settings.parameters, **parameters},
            knowledge_base=self.settings.knowledge_base,
        )


def past_of(store: ConversationStore, wanted: int | str | None, *, system: str | None) -> Past:
    """The conversation to go on with.

    Args:
        store: the history.
        wanted: its id, ``"last"``, or ``None`` to begin one.
        system: its system prompt from now on; ``None`` leaves the one it has.

    Raises:
        StorageError: there is no such conversation, it is in the trash, or its answer is still being written.
    """
    if wanted is None:
        return Past(ChatSettings(system=system or ""))
    chat = last_of(store) if isinstance(wanted, str) else store.conversation(wanted)
    if chat.deleted_at is not None:
        raise StorageError(f"conversation {chat.id} is in the trash; restore it in chatglm-tui first")
    messages = store.messages(chat.id)
    if messages and messages[-1].finish_reason is None and store.is_being_written(messages[-1].id):
        raise StorageError(f"the last answer of conversation {chat.id} is still being written; wait until it is done")
    settings = store.chat_settings(chat.id)
    if system is not None:
        settings = replace(settings, system=system)
    turns = _rounds(messages, store.attachments_of_path(chat.id))
    return Past(settings, chat.id, chat.head_id, turns)


def last_of(store: ConversationStore) -> Conversation:
    """The conversation that was used last.

    Raises:
        StorageError: there is none.
    """
    chats = store.conversations("shown")
    if not chats:
        raise StorageError("the history has no conversation yet; begin one with: chatglm-slim chat")
    return max(chats, key=lambda chat: (chat.updated_at, chat.id))


def _rounds(messages: Sequence[Message], attachments: Mapping[int, Sequence[Attachment]]) -> list[Turn]:
    """The rounds that were answered, as the model reads them."""
    rounds: list[tuple[str, list[str]]] = []
    for message in messages:
        if message.role == "user":
            rounds.append((_with_files(message.content, attachments.get(message.id, ())), []))
        elif message.role == "assistant" and message.content and rounds:
            rounds[-1][1].append(message.content)  # an agent may speak several times before it is asked again
    return [
        turn
        for question, answers in rounds
        if answers
        for turn in (Turn("human", question), Turn("ai", "\n".join(answers)))
    ]


def _with_files(text: str, attachments: Sequence[Attachment]) -> str:
    parts = []
    for attachment in attachments:
        fence = "```"
        while fence in attachment.text:
            fence += "`"
        parts.append(f"{attachment.name}:\n{fence}\n{attachment.text.rstrip()}\n{fence}")
    return "\n\n".join([*parts, text])


def source_line(source: Source) -> str:
    """Such as ``[1] rooms.md, page 3``."""
    place = PurePath(source.source).name or source.source
    page = f", page {source.page}" if source.page is not None else ""
    return " ".join(printable(f"[{source.number}] {place}{page}").split())
