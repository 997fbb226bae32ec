"""The terminal's conversations as a message history of LangChain, over the same file.

A message is kept twice: its text, which the terminal shows, and all of it as JSON, which comes back
to LangChain. Reading makes messages and nothing else, whatever the JSON names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    message_to_dict,
    messages_from_dict,
)

from chatglm_slim_llm.errors import ConfigError, StorageError
from chatglm_slim_llm.storage import Draft, FinishReason, Message, Role, StoreLike, store_at, title_of

_CHAT_ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
}
_ENDINGS: tuple[FinishReason, ...] = ("stop", "length", "cancelled", "error")
_UNTITLED = "Conversation"
_HIGHEST_ID = (1 << 63) - 1  # of SQLite's rows


class ConversationHistory(BaseChatMessageHistory):
    """One conversation of the history file, read and continued from LangChain.

    The async methods work in a thread. What LangChain can hold and JSON cannot, such as bytes in a tool's artifact,
    is refused; a tuple comes back as a list. Sessions of a program have a history each: keep them by the session's
    name, and ``conversation_id`` where the program keeps what it knows of a session.

    Args:
        conversation_id: the number of the conversation to continue, which is there; ``None`` begins one with the first
            message that is added.
        store: the history, or where its file is; ``None`` is the terminal's own.

    Raises:
        ConfigError: ``conversation_id`` is no number of a conversation, such as a session's name.

    Examples:
        >>> history = ConversationHistory(store=folder / "history.db")
        >>> history.add_messages([HumanMessage("你好"), AIMessage("你好！")])
        >>> ConversationHistory(history.conversation_id, folder / "history.db").messages[0].content
        '你好'
    """

    def __init__(self, conversation_id: int | None = None, store: StoreLike = None) -> None:
        super().__init__()
        self._conversation_id = _checked(conversation_id)
        self._store = store_at(store)
        self._creating = threading.Lock()

    @property
    def conversation_id(self) -> int | None:
        """The conversation's number in the history file; ``None`` before there is one."""
        return self._conversation_id

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # LangChain's own histories do the same
        """The conversation up to its last message, without replies in which nothing has been said.

        Raises:
            StorageError: there is no such conversation, the file cannot be read, or holds something that is not a
                message.
        """
        if self._conversation_id is None:
            return []
        stored = self._store.all_messages(self._conversation_id)
        if not stored:
            self._store.conversation(self._conversation_id)  # raises, or a reply would be made that nobody keeps
        return [_read(each) for each in stored if each.content or each.original is not None]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end, all of them or none.

        Raises:
            StorageError: there is no such conversation, the file cannot be written, or JSON cannot hold a message.
        """
        drafts = [_draft(message, index) for index, message in enumerate(messages)]
        if not drafts:
            return
        with self._creating:
            if self._conversation_id is None:
                self._conversation_id = self._store.create(_title(drafts), drafts).id
                return
        self._store.extend(self._conversation_id, drafts)

    def clear(self) -> None:
        """Delete the messages; the conversation stays, with its title."""
        if self._conversation_id is not None:
            self._store.clear(self._conversation_id)


def _checked(conversation_id: int | None) -> int | None:
    if conversation_id is None or (type(conversation_id) is int and 0 < conversation_id <= _HIGHEST_ID):
        return conversation_id
    raise ConfigError(  # to SQLite "1" is 1: a session of that name would read a person's own conversation
        f"conversation_id is {conversation_id!r}; it must be the number of a conversation, or None; keep a"
        " ConversationHistory for each of your own sessions, such as in a dict",
        key="conversation_id",
    )


def _title(drafts: Sequence[Draft]) -> str:
    texts = [draft.content for draft in drafts if draft.role == "user"] + [draft.content for draft in drafts]
    return next((title for text in texts if (title := title_of(text))), _UNTITLED)


def _draft(message: BaseMessage, index: int) -> Draft:
    role, content = _shown(message)
    try:
        original = json.dumps(message_to_dict(message))
        _parse(original)  # now, as a message that cannot be read back would take the whole conversation with it
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"message {index} ({message.type}) cannot be kept as JSON ({error}); leave out what is in the way"
        ) from error
    return Draft(role, content, _finish_reason(message) if role == "assistant" else None, original)


def _parse(original: str) -> BaseMessage:
    return messages_from_dict([json.loads(original)])[0]


def _shown(message: BaseMessage) -> tuple[Role, str]:
    """What the terminal shows of a message; of a tool's result, nothing: the answer says what came of it."""
    if isinstance(message, HumanMessage):
        return "user", _with_attachments(message)
    if isinstance(message, AIMessage):
        return "assistant", str(message.text)
    if isinstance(message, SystemMessage):
        return "system", str(message.text)
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role.lower(), "system"), str(message.text)
    return "assistant", ""


def _with_attachments(message: HumanMessage) -> str:
    """The text, with the kind of everything that is none, such as ``[image]``."""
    if isinstance(message.content, str):
        return message.content
    return "".join(
        block["text"] if block["type"] == "text" else f"[{block['type']}]" for block in message.content_blocks
    )


def _finish_reason(message: BaseMessage) -> FinishReason:
    """Why a reply ended, in the terminal's words; without one it would look interrupted."""
    reason = message.response_metadata.get("finish_reason")
    return reason if reason in _ENDINGS else "stop"


def _read(stored: Message) -> BaseMessage:
    if stored.original is None:
        return _plain(stored)
    try:
        return _parse(stored.original)
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"message {stored.id} of conversation {stored.conversation_id} is not one of LangChain's ({error});"
            " another program has changed it, so delete the conversation or its message"
        ) from error


def _plain(stored: Message) -> BaseMessage:
    if stored.role == "user":
        return HumanMessage(stored.content)
    if stored.role == "system":
        return SystemMessage(stored.content)
    reason = stored.finish_reason
    return AIMessage(stored.content, response_metadata={"finish_reason": reason} if reason else {})
