"""What was said before: the conversation that ``chatglm-slim chat --continue`` goes on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.assistant import Request
from chatglm_slim_llm.hosting.turns import turns_of
from chatglm_slim_llm.storage import Attachment, ChatSettings, Conversation, ConversationStore, Message, Source


@dataclass(frozen=True)
class Past:
    """A conversation so far; without an id, one that begins now."""

    settings: ChatSettings
    conversation_id: int | None = None
    head_id: int | None = None
    """The message that the next one follows."""
    messages: Sequence[Message] = ()
    attachments: Mapping[int, Sequence[Attachment]] = field(default_factory=dict)

    def request(self, prompt: str, parameters: Mapping[str, object]) -> Request:
        """The next question; ``parameters`` go before those of the conversation."""
        return Request(
            turns=turns_of(self.messages, self.attachments, prompt),
            system=self.settings.system,
            parameters={**self.settings.parameters, **parameters},
            knowledge_base=self.settings.knowledge_base,
            tools=self.settings.tools,
        )


def past_of(
    store: ConversationStore, wanted: int | str | None, *, system: str | None, tools: Sequence[str] = ()
) -> Past:
    """The conversation to go on with.

    Args:
        store: the history.
        wanted: its id, ``"last"``, or ``None`` to begin one.
        system: its system prompt from now on; ``None`` leaves the one it has.
        tools: the plugins whose tools it may use from now on; none leaves those it has.

    Raises:
        StorageError: there is no such conversation, it is in the trash, or its answer is still being written.
    """
    if wanted is None:
        return Past(ChatSettings(system=system or "", tools=tuple(tools)))
    chat = last_of(store) if isinstance(wanted, str) else store.conversation(wanted)
    if chat.deleted_at is not None:
        raise StorageError(f"conversation {chat.id} is in the trash; restore it in chatglm-tui first")
    messages = store.messages(chat.id)
    if messages and messages[-1].finish_reason is None and store.is_being_written(messages[-1].id):
        raise StorageError(f"the last answer of conversation {chat.id} is still being written; wait until it is done")
    settings = store.chat_settings(chat.id)
    if system is not None:
        settings = replace(settings, system=system)
    if tools:
        settings = replace(settings, tools=tuple(tools))
    return Past(settings, chat.id, chat.head_id, messages, store.attachments_of_path(chat.id))


def last_of(store: ConversationStore) -> Conversation:
    """The conversation that was used last.

    Raises:
        StorageError: there is none.
    """
    chats = store.conversations("shown")
    if not chats:
        raise StorageError("the history has no conversation yet; begin one with: chatglm-slim chat")
    return max(chats, key=lambda chat: (chat.updated_at, chat.id))


def source_line(source: Source) -> str:
    """Such as ``[1] rooms.md, page 3``."""
    place = PurePath(source.source).name or source.source
    page = f", page {source.page}" if source.page is not None else ""
    return " ".join(printable(f"[{source.number}] {place}{page}").split())
