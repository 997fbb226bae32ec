"""Conversations and their messages, as dataclasses in and out.

A conversation is a tree: a message hangs below the one it follows, and the conversation's head is
the last message of the path that is shown. A reply is begun empty, then updated while it grows,
so that what was shown is what a killed process leaves behind.

A message may carry more than its text, such as a tool's call: ``original`` keeps it as its writer had it.
What is in there is the writer's business; here it is a string.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from chatglm_slim_llm.storage import backups, copies, index, replies, searching, shelves, tool_uses, tree
from chatglm_slim_llm.storage import drafts as stored_drafts
from chatglm_slim_llm.storage import sources as stored_sources
from chatglm_slim_llm.storage.connection import Database, FileKind
from chatglm_slim_llm.storage.marks import WritingMark
from chatglm_slim_llm.storage.migrations import MIGRATIONS
from chatglm_slim_llm.storage.records import (
    Attachment,
    ChatSettings,
    Conversation,
    Draft,
    Figures,
    FinishReason,
    Hit,
    Message,
    Role,
    Shelf,
)
from chatglm_slim_llm.storage.rows import settings_text
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.threads import ThreadStore
from chatglm_slim_llm.storage.tool_uses import ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation

_TITLE_LENGTH = 60
_HISTORY = FileKind("history file", 0x43474C4D, MIGRATIONS, is_private=True)  # "CGLM"


class ConversationStore:
    """The history file. Every method may be called from any thread, and raises ``StorageError`` if the file fails.

    Examples:
        >>> with ConversationStore.open(folder / "history.db") as store:
        ...     chat = store.create("Hello")
        ...     store.append(chat.id, "user", "你好")
        ...     reply = store.append(chat.id, "assistant", "")
        ...     store.update(reply.id, "你好！", finish_reason="stop")
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mark = WritingMark(database.path)
        weakref.finalize(self, self._mark.release)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a history file, bringing an older one up to date; a missing one is created by the first write.

        Raises:
            ConfigError: the path is SQLite's ``:memory:``.
            SchemaTooNewError: a newer version of this program wrote the file.
            StorageError: the file is damaged, not ours, or cannot be read.
        """
        store = cls.at(path)
        store._database.query("select 1 from conversations limit 1")
        return store

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """The history file at ``path``, not looked at before it is used."""
        return cls(Database(Path(path), _HISTORY))

    @property
    def path(self) -> Path:
        """The history file."""
        return self._database.path

    def close(self) -> None:
        """Let go of the file; replies that still grow are written by nobody from now on."""
        self._database.close()
        self._mark.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def threads(self) -> ThreadStore:
        """The threads of LangGraph that the same file holds."""
        return ThreadStore(self._database)

    def create(self, title: str, drafts: Sequence[Draft] = ()) -> Conversation:
        """Begin a conversation, with its first messages if there are some."""
        with self._database.transaction() as db:
            conversation_id = tree.create(db, title)
            tree.extend(db, conversation_id, drafts, self._writer(drafts))
            return tree.conversation(db, conversation_id)

    # --- the list

    def conversations(self, shelf: Shelf = "shown") -> list[Conversation]:
        """The conversations of a shelf: the pinned ones first, then the one touched last."""
        return shelves.conversations(self._database, shelf)

    def conversation(self, conversation_id: int) -> Conversation:
        """One conversation, wherever it lies.

        Raises:
            StorageError: there is no such conversation.
        """
        return shelves.conversation(self._database, conversation_id)

    def find(self, uid: str) -> Conversation | None:
        """The conversation with this ``uid``, wherever it lies."""
        return shelves.find(self._database, uid)

    def count(self, shelf: Shelf = "shown") -> int:
        """How many conversations a shelf holds."""
        return shelves.count(self._database, shelf)

    def folders(self) -> list[str]:
        """The folders that a conversation outside the trash is in, by name."""
        return shelves.folders(self._database)

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation another title; its place in the list stays.

        Raises:
            StorageError: there is no such conversation.
        """
        with self._database.transaction() as db:
            shelves.rename(db, conversation_id, title)

    def pin(self, conversation_id: int, pinned: bool) -> None:
        """Keep a conversation at the top of the list, or no longer.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "is_pinned", int(pinned))

    def move(self, conversation_id: int, folder: str) -> None:
        """Put a conversation into a folder, or with an empty name into none.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "folder", storable(folder.strip()))

    def archive(self, conversation_id: int, archived: bool) -> None:
        """Put a conversation into the archive, or back.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "archived_at", time.time() if archived else None)

    def trash(self, conversation_id: int) -> None:
        """Move a conversation to the trash; ``restore`` brings it back to where it was.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "deleted_at", time.time())

    def restore(self, conversation_id: int) -> None:
        """Take a conversation out of the trash.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "deleted_at", None)

    def delete(self, conversation_id: int) -> None:
        """Delete a conversation and its messages for good; deleting one that is gone changes nothing.

        Its words vanish from the file and from the index, which may take a second where there are 50,000 messages.
        """
        self._delete([conversation_id])

    def empty_trash(self, older_than_days: float | None = None) -> int:
        """Delete for good what is in the trash, or only what has been there that long; returns how many."""
        return self._delete(shelves.in_trash(self._database, older_than_days or 0))

    def clear(self, conversation_id: int) -> None:
        """Delete a conversation's messages and keep the conversation; clearing one that is gone changes nothing."""
        with self._database.transaction() as db:
            had_messages = shelves.empty(db, conversation_id)
            db.execute("update conversations set updated_at = ? where id = ?", (time.time(), conversation_id))
        if had_messages:
            self._forget()

    # --- messages

    def messages(self, conversation_id: int) -> list[Message]:
        """What is shown of the path from the first message to the conversation's head."""
        return [message for message in self.all_messages(conversation_id) if message.is_shown]

    def all_messages(self, conversation_id: int) -> list[Message]:
        """The whole path from the first message to the conversation's head."""
        return tree.path(self._database, conversation_id)

    def begin(
        self,
        conversation_id: int | None,
        parent_id: int | None,
        prompt: str,
        *,
        title: str | None = None,
        attachments: Sequence[Attachment] = (),
        settings: ChatSettings | None = None,
    ) -> tuple[Message, Message]:
        """Keep a prompt and make room for the answer, in one step: both are there or none.

        The answer becomes the head, and the draft that the prompt was typed as is gone.

        Args:
            conversation_id: where the prompt goes; ``None`` begins a conversation.
            parent_id: the message that the prompt follows; ``None`` makes it a first message.
            prompt: what was asked.
            title: of a conversation that begins; by default the first words of the prompt, or its files' names.
            attachments: files that go with the prompt; their text is not in its content.
            settings: what the conversation has of its own from now on; ``None`` leaves them.

        Returns:
            The question and the empty answer, which is written by this process from now on.

        Raises:
            StorageError: the conversation or the parent is gone.
        """
        if title is None:
            title = title_of(prompt) or title_of(" ".join(each.name for each in attachments))
        question = replies.Question(conversation_id, parent_id, prompt, title, attachments, settings)
        with self._database.transaction() as db:
            return replies.begin(db, question, self._mark.name())

    def begin_answer(self, question_id: int) -> Message:
        """Make room for another answer to a question; it becomes the head.

        Raises:
            StorageError: the question is gone.
        """
        with self._database.transaction() as db:
            return replies.begin_answer(db, question_id, self._mark.name())

    def append(
        self, conversation_id: int, role: Role, content: str, *, finish_reason: FinishReason | None = None
    ) -> Message:
        """Add a message below the conversation's head and make it the head.

        Raises:
            StorageError: there is no such conversation.
        """
        return self.extend(conversation_id, [Draft(role, content, finish_reason)])[0]

    def extend(self, conversation_id: int, drafts: Sequence[Draft]) -> list[Message]:
        """Add messages below the conversation's head, all of them or none, and make the last one the head.

        Raises:
            StorageError: there is no such conversation.
        """
        with self._database.transaction() as db:
            return tree.extend(db, conversation_id, drafts, self._writer(drafts))

    def update(
        self,
        message_id: int,
        content: str,
        *,
        finish_reason: FinishReason | None = None,
        failure: str = "",
        figures: Figures | None = None,
    ) -> bool:
        """Replace all that a message holds so far; returns False if it was deleted meanwhile."""
        progress = replies.Progress(content, finish_reason, failure, figures)
        with self._database.transaction() as db:
            return replies.update(db, message_id, progress, None if finish_reason else self._mark.name())

    def mark_interrupted(self) -> int:
        """End the answers whose writers have died as ``interrupted``; returns how many.

        To be called when a program starts. What living processes write is left alone.
        """
        return replies.mark_interrupted(self._database)

    def is_being_written(self, message_id: int) -> bool:
        """Whether this is an answer that a living process, or this one, is writing."""
        return replies.is_being_written(self._database, message_id)

    # --- branches

    def variants(self, message_id: int) -> list[Message]:
        """The message and all others that follow the same one, in order of creation."""
        return tree.variants(self._database, message_id)

    def variant_counts(self, conversation_id: int) -> dict[int, tuple[int, int]]:
        """Which of how many each message of the shown path is, such as ``(2, 3)``; only where there are several."""
        return tree.variant_counts(self._database, conversation_id)

    def show_variant(self, message_id: int) -> None:
        """Show the path through a message, down to where that branch was left, or else to its newest message.

        Raises:
            StorageError: the message is gone.
        """
        tree.show_variant(self._database, message_id)

    def fork(self, message_id: int, title: str | None = None) -> Conversation:
        """Copy the path down to a message into a conversation of its own, with all that belongs to it.

        Raises:
            StorageError: the message is gone.
        """
        return copies.fork(self._database, message_id, title)

    def whole(self, conversation_id: int) -> WholeConversation:
        """A conversation with all its branches, as one value.

        Raises:
            StorageError: there is no such conversation.
        """
        return copies.whole(self._database, conversation_id)

    def add_whole(self, copy: WholeConversation) -> Conversation | None:
        """Add a conversation as it is given, dates and all; ``None`` if one with its ``uid`` is there already.

        Raises:
            StorageError: a message stands before the one that it follows.
        """
        with self._database.transaction() as db:
            return copies.add_whole(db, copy)

    # --- what belongs to messages and conversations

    def attachments(self, message_id: int) -> list[Attachment]:
        """The files that were sent with a message, in their order."""
        return copies.attachments(self._database, message_id)

    def attachments_of_path(self, conversation_id: int) -> dict[int, list[Attachment]]:
        """The attachments of each message of the shown path that has some."""
        return copies.attachments_of_path(self._database, conversation_id)

    def add_sources(self, message_id: int, sources: Sequence[Source]) -> None:
        """Keep what a message rests on, all of it or nothing; a number that is there already is replaced.

        Raises:
            StorageError: there is no such message.
        """
        stored_sources.add(self._database, message_id, sources)

    def sources(self, message_id: int) -> list[Source]:
        """What a message rests on, by number; they go with their message."""
        return stored_sources.of_message(self._database, message_id)

    def sources_of_path(self, conversation_id: int) -> dict[int, list[Source]]:
        """The sources of each message of the shown path that has some."""
        return copies.sources_of_path(self._database, conversation_id)

    def set_tool_uses(self, message_id: int, uses: Sequence[ToolUse]) -> bool:
        """Keep what was done with tools on the way to a reply, in the place of what was kept before.

        Returns False if the reply was deleted meanwhile.
        """
        return tool_uses.replace(self._database, message_id, uses)

    def tool_uses_of_path(self, conversation_id: int) -> dict[int, list[ToolUse]]:
        """The tool uses of each message of the shown path that has some, in their order.

        A use that had not ended when its reply did has failed.
        """
        return tool_uses.of_path(self._database, conversation_id)

    def chat_settings(self, conversation_id: int) -> ChatSettings:
        """What a conversation has of its own.

        Raises:
            StorageError: there is no such conversation.
        """
        return shelves.settings(self._database, conversation_id)

    def set_chat_settings(self, conversation_id: int, settings: ChatSettings) -> None:
        """Keep what a conversation has of its own.

        Raises:
            StorageError: there is no such conversation.
        """
        self._change(conversation_id, "settings", settings_text(settings))

    def draft(self, conversation_id: int | None) -> str:
        """What was typed and not sent; ``None`` for a conversation that has not begun."""
        return stored_drafts.read(self._database, conversation_id)

    def draft_attachments(self, conversation_id: int | None) -> list[Attachment]:
        """What is to be sent with what was typed and not sent."""
        return stored_drafts.attachments(self._database, conversation_id)

    def set_draft(
        self,
        conversation_id: int | None,
        text: str,
        attachments: Sequence[Attachment] | None = None,
        *,
        waits: bool = True,
    ) -> None:
        """Keep what is typed; an empty text takes the draft away.

        Args:
            conversation_id: where it is typed; ``None`` is a conversation that has not begun.
            text: all of it.
            attachments: what is to be sent with it; ``None`` leaves what is kept.
            waits: whether to wait while someone else writes; for who would wait with the keyboard, it is an error.

        Raises:
            StorageError: there is no such conversation, or someone else writes.
        """
        with nullcontext() if waits else self._database.at_once():
            if stored_drafts.holds(self._database, conversation_id, text, attachments):
                return
            with self._database.transaction() as db:
                stored_drafts.write(db, conversation_id, text)
                if attachments is not None:
                    stored_drafts.attach(db, conversation_id, attachments)

    def prompts(self, limit: int = 200) -> list[str]:
        """The last prompts of all conversations outside the trash, the newest first, no two neighbours equal."""
        return stored_drafts.prompts(self._database, limit)

    # --- the file

    def search(self, query: str, *, shelf: Shelf | None = "shown", limit: int = 200) -> list[Hit]:
        """Conversations with all words of ``query`` in their title or in one message, the best first.

        A word is found by how it begins, in scripts without spaces wherever it stands. Hits in titles come first, then
        whole words, then what was touched last. ``shelf=None`` searches all shelves.
        """
        return searching.search(self._database, query, shelf, limit)

    def revision(self) -> int:
        """A number that grows when someone else has written: another process, or another store of the same file."""
        return self._database.revision()

    def backup(self, path: Path) -> Path:
        """Write a copy of the history, which is in use meanwhile, to a new file; returns its path.

        Raises:
            StorageError: there is nothing to copy, or ``path`` exists.
        """
        return backups.backup(self._database, path)

    def _change(self, conversation_id: int, column: str, value: object) -> None:
        with self._database.transaction() as db:
            shelves.change(db, conversation_id, column, value)

    def _delete(self, conversation_ids: Sequence[int]) -> int:
        if not conversation_ids:
            return 0
        with self._database.transaction() as db:
            deleted = sum(shelves.delete(db, each) for each in conversation_ids)
        if deleted:
            self._forget()
        return deleted

    def _forget(self) -> None:
        """Let deleted words vanish from the file."""
        is_first = True
        while True:
            with self._database.transaction() as db:
                if not index.forget(db, is_first=is_first):
                    break
            is_first = False
        self._database.checkpoint()

    def _writer(self, drafts: Sequence[Draft]) -> str | None:
        return self._mark.name() if any(tree.grows(each.role, each.finish_reason) for each in drafts) else None


def title_of(prompt: str) -> str:
    """A conversation's title: the first words of its first prompt."""
    title = " ".join(prompt.split())
    return title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"
