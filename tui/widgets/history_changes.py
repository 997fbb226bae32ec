"""What the history pane does to conversations, and how each of it is taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Conversation, ConversationStore
from tui.language import tr
from tui.widgets.history_paint import cut, title_of_row

_MOST_STEPS = 100
_TITLE_CELLS = 40


@dataclass(frozen=True)
class Step:
    """Something that was done."""

    conversation_id: int
    undone: str
    """What is said once it is taken back."""
    take_back: Callable[[], None]


class Changes:
    """Each method changes the store at once and remembers how to take that back.

    Raises:
        StorageError: of every method, and then nothing has changed.
    """

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._steps: list[Step] = []

    def trash(self, one: Conversation) -> None:
        """Move a conversation to the trash."""
        self._store.trash(one.id)
        self._remember(one, lambda: self._store.restore(one.id))

    def restore(self, one: Conversation) -> None:
        """Bring a conversation back from the trash."""
        self._store.restore(one.id)
        self._remember(one, lambda: self._store.trash(one.id))

    def archive(self, one: Conversation, archived: bool) -> None:
        """Move a conversation into the archive, or out of it."""
        self._store.archive(one.id, archived)
        self._remember(one, lambda: self._store.archive(one.id, not archived))

    def move(self, one: Conversation, folder: str) -> None:
        """Move a conversation to a folder; the empty name is none."""
        self._store.move(one.id, folder)
        self._remember(one, lambda: self._store.move(one.id, one.folder))

    def pin(self, one: Conversation, pinned: bool) -> None:
        """Keep a conversation on top, or no longer."""
        self._store.pin(one.id, pinned)
        self._remember(one, lambda: self._store.pin(one.id, not pinned))

    def rename(self, one: Conversation, title: str) -> None:
        """Give a conversation another title."""
        self._store.rename(one.id, title)
        self._remember(one, lambda: self._store.rename(one.id, one.title))

    def forget(self, conversation_ids: Collection[int]) -> None:
        """These are gone for good: nothing of them can be taken back."""
        self._steps = [step for step in self._steps if step.conversation_id not in conversation_ids]

    def undo(self) -> Step | None:
        """Take the last step back; ``None`` if there is none. Where that fails, it can be tried again."""
        if not self._steps:
            return None
        step = self._steps.pop()
        try:
            step.take_back()
        except StorageError:
            with suppress(StorageError):  # what is gone cannot be taken back; anything else may be tried again
                self._store.conversation(step.conversation_id)
                self._steps.append(step)
            raise
        return step

    def _remember(self, one: Conversation, take_back: Callable[[], None]) -> None:
        told = tr("“{title}” is as it was", title=short(one.title))
        self._steps = [*self._steps, Step(one.id, told, take_back)][-_MOST_STEPS:]


def short(title: str) -> str:
    """A title as it stands in a sentence."""
    return cut(title_of_row(title), _TITLE_CELLS)
