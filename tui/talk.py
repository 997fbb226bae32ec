"""The conversation on the screen and what is done with it, without widgets: each step is kept before it is shown.

Every method that reads or writes raises ``StorageError`` if the history file fails, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import GoneError
from chatglm_slim_llm.hosting.assistant import Request, ToolUse
from chatglm_slim_llm.hosting.turns import system_of, turns_of, with_attachments
from chatglm_slim_llm.storage import (
    Attachment,
    ChatSettings,
    Conversation,
    ConversationStore,
    Figures,
    FinishReason,
    Message,
    Source,
)
from tui.language import tr
from tui.notes import Notes
from tui.reasons import told
from tui.transcript import ending, figures_line
from tui.widgets.conversation import Entry


@dataclass
class LiveReply:
    """The reply being written, as the screen knows it; its conversation may not be the one shown."""

    message_id: int
    conversation_id: int
    question_id: int
    text: str = ""
    is_writing: bool = False
    """Whether what came last is text."""
    uses: dict[str, ToolUse] = field(default_factory=dict)
    """What it did with tools so far, by what tells one use from the others."""
    is_stopping: bool = False


@dataclass(frozen=True)
class Ending:
    """How a reply ended, and what it rests on."""

    reason: FinishReason
    failure: str = ""
    figures: Figures | None = None
    sources: Sequence[Source] = ()


@dataclass(frozen=True)
class Path:
    """The messages that are shown of a conversation."""

    messages: Sequence[Message]
    attachments: Mapping[int, Sequence[Attachment]]
    """Files that were sent with a message, by its number."""

    def before(self, message_id: int) -> Sequence[Message]:
        """What was said before a message."""
        ids = [message.id for message in self.messages]
        return self.messages[: ids.index(message_id)] if message_id in ids else self.messages


class Talk:
    """One conversation at a time, and at most one reply that is being written."""

    def __init__(self, store: ConversationStore, sampling: Callable[[], GenerationOptions]) -> None:
        self._store = store
        self._sampling = sampling
        self.conversation_id: int | None = None
        self.settings = ChatSettings()
        self.reply: LiveReply | None = None
        self.edited: Message | None = None
        """The question that the next prompt takes the place of."""
        self._unsaved: dict[int, tuple[LiveReply, Ending]] = {}
        """Replies that have ended and are not in the history file, as it could not be written."""
        self._path: Path | None = None
        self.notes = Notes()
        self.tools_off: Collection[str] = ()
        """The tool plugins that somebody has switched off, whatever chats have chosen."""

    def open(self, conversation_id: int | None) -> None:
        """Turn to a conversation; ``None`` is one that has not begun."""
        settings = ChatSettings() if conversation_id is None else self._store.chat_settings(conversation_id)
        self.conversation_id, self.settings, self.edited = conversation_id, settings, None
        self.notes.begin_anew(None)
        self.look_again()

    def look_again(self) -> None:
        """What is stored may have changed: read it anew when it is next wanted."""
        self._path = None

    @property
    def sampling(self) -> GenerationOptions:
        """How the program is set to sample, where the chat says nothing."""
        return self._sampling()

    @property
    def tools(self) -> tuple[str, ...]:
        """The tool plugins that the model may use here; none while it answers from a knowledge base."""
        chosen = () if self.settings.knowledge_base else self.settings.tools
        return tuple(name for name in chosen if name not in self.tools_off)

    @property
    def is_replying_here(self) -> bool:
        """Whether the reply being written belongs to the conversation shown."""
        return self.reply is not None and self.reply.conversation_id == self.conversation_id

    def conversation(self) -> Conversation | None:
        """The conversation as it is stored; ``None`` before its first message."""
        return None if self.conversation_id is None else self.stored(self.conversation_id)

    def is_gone(self) -> bool:
        """Whether the conversation was deleted for good."""
        try:
            self.conversation()
        except GoneError:
            return True
        return False

    def stored(self, conversation_id: int) -> Conversation:
        """Any conversation, as it is stored."""
        return self._store.conversation(conversation_id)

    @property
    def path(self) -> Path:
        """What is shown, from the first message to the last."""
        if self._path is None:
            here = self.conversation_id
            self._path = (
                Path([], {})
                if here is None
                else Path([*map(self._as_it_ended, self._store.messages(here))], self._store.attachments_of_path(here))
            )
        return self._path

    def _as_it_ended(self, message: Message) -> Message:
        if (unsaved := self._unsaved.get(message.id)) is None:
            return message
        reply, end = unsaved
        return replace(message, content=reply.text, finish_reason=end.reason, failure=end.failure, figures=end.figures)

    def message(self, message_id: int) -> Message | None:
        """A message of the path."""
        return next((message for message in self.path.messages if message.id == message_id), None)

    def last(self, role: str) -> Message | None:
        """The last message of someone on the path."""
        return next((message for message in reversed(self.path.messages) if message.role == role), None)

    def question_of(self, message: Message) -> Message | None:
        """The question that a message is, or answers."""
        before = self.path.before(message.id)
        asked = [one for one in before if one.role == "user"]
        return message if message.role == "user" else (asked[-1] if asked else None)

    # --- what is said

    def ask(self, text: str, attachments: Sequence[Attachment] = ()) -> LiveReply:
        """Keep a question with its empty answer: below the path, or beside the question that was edited."""
        edited = self.edited
        parent_id = edited.parent_id if edited else self._head_id()
        question, answer = self._store.begin(
            self.conversation_id,
            parent_id,
            text,
            attachments=attachments,
            settings=self.settings if self.conversation_id is None else None,
        )
        if self.conversation_id is None:
            self.notes.move(None, question.conversation_id)
        self.conversation_id, self.edited = question.conversation_id, None
        self.look_again()
        return self._live(answer, question)

    def ask_again(self, question: Message) -> LiveReply:
        """Keep another, empty answer to a question, beside those it has."""
        answer = self._store.begin_answer(question.id)
        self.look_again()
        return self._live(answer, question)

    def finished(self, end: Ending, *, is_saved: bool) -> LiveReply | None:
        """The reply is complete, or has failed; returns which it was. What is not saved is remembered."""
        reply, self.reply = self.reply, None
        if reply is not None and not is_saved:
            self._unsaved[reply.message_id] = reply, end
        self.look_again()
        return reply

    def saved(self, message_id: int) -> None:
        """A reply that was not saved is in the history file now."""
        self._unsaved.pop(message_id, None)
        self.look_again()

    def _live(self, answer: Message, question: Message) -> LiveReply:
        self.reply = LiveReply(answer.id, answer.conversation_id, question.id)
        return self.reply

    def _head_id(self) -> int | None:
        found = self.conversation()
        return found.head_id if found else None

    def request(self) -> Request:
        """What the model is asked with the path that is shown."""
        return self._request(self.path.messages, None)

    def request_with(self, text: str, attachments: Sequence[Attachment] = ()) -> Request:
        """What it would be asked if this were sent now."""
        messages = self.path.messages if self.edited is None else self.path.before(self.edited.id)
        return self._request(messages, with_attachments(text, attachments))

    def _request(self, messages: Sequence[Message], typed: str | None) -> Request:
        settings = self.settings
        return Request(
            turns_of(messages, self.path.attachments, typed),
            system=settings.system or system_of(messages),
            parameters={**_chosen(self.sampling), **settings.parameters},
            knowledge_base=settings.knowledge_base,
            tools=self.tools,
        )

    # --- what is shown

    def entries(self) -> list[Entry]:
        """The path as the conversation shows it, with the notes that stand in it."""
        self.look_again()
        here = self.conversation_id
        return self.notes.among([] if here is None else list(self._entries(here)), here)

    def _entries(self, conversation_id: int) -> Iterator[Entry]:
        variants = self._store.variant_counts(conversation_id)
        sources = self._store.sources_of_path(conversation_id)
        uses = self._store.tool_uses_of_path(conversation_id)
        for message_id, (reply, end) in self._unsaved.items():
            sources[message_id], uses[message_id] = list(end.sources), list(reply.uses.values())
        for message in self.path.messages:
            entry = Entry(
                message.id,
                message.role,
                message.content,
                variant=variants.get(message.id),
                attachments=tuple(attachment.name for attachment in self.path.attachments.get(message.id, ())),
                sources=tuple(sources.get(message.id, ())),
                uses=tuple(uses.get(message.id, ())),
            )
            self._tell_state(entry, message)
            yield entry

    def _tell_state(self, entry: Entry, message: Message) -> None:
        if self.reply is not None and message.id == self.reply.message_id:
            entry.text, entry.growing, entry.uses = self.reply.text, True, tuple(self.reply.uses.values())
        elif message.role == "assistant" and message.finish_reason is None:
            here_or_gone = not self._store.is_being_written(message.id)
            entry.note = ending("interrupted") if here_or_gone else tr("… being written in another window")
        elif message.role == "assistant":
            entry.note = told(message.failure) or ending(message.finish_reason)
            entry.is_error = message.finish_reason == "error"
            entry.figures = figures_line(message.figures)

    # --- what belongs to the chat

    def set_settings(self, settings: ChatSettings) -> None:
        """Give the chat a system prompt, parameters, a knowledge base and tools of its own."""
        if self.conversation_id is not None:
            self._store.set_chat_settings(self.conversation_id, settings)
        self.settings = settings

    def show_branch_of(self, message_id: int) -> None:
        """Show the path through a message, down to where that branch was left."""
        self._store.show_variant(message_id)
        self.look_again()

    def step_variant(self, message_id: int, by: int) -> bool:
        """Show the sibling before or after a message; returns False at either end."""
        ids = [message.id for message in self._store.variants(message_id)]
        idx = ids.index(message_id) + by
        if not 0 <= idx < len(ids):
            return False
        self.show_branch_of(ids[idx])
        return True


def _chosen(sampling: GenerationOptions) -> dict[str, object]:
    """What differs from the model's own ways."""
    usual = GenerationOptions()
    names = [each.name for each in fields(sampling)]
    return {name: getattr(sampling, name) for name in names if getattr(sampling, name) != getattr(usual, name)}
