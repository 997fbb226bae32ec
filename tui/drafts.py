"""What is typed and not sent, by chat: in the history file, and here for as long as that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from textual.timer import Timer
from textual.widget import Widget

from chatglm_slim_llm.errors import GoneError, StorageError
from chatglm_slim_llm.storage import Attachment, ConversationStore
from tui.language import tr
from tui.telling import complain

_AGAIN_S = 1.0
"""What could not be written, as another window was writing, is tried again after this."""
_PATIENCE_S = 3.0
"""What another window writes takes no longer: after this it is told that drafts are not saved."""


class Typed(NamedTuple):
    """What stands in the prompt."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()

    def followed_by(self, other: Typed) -> Typed:
        """Both of them, one after the other."""
        text = "\n\n".join(filter(None, [self.text, other.text]))
        return Typed(text, (*self.attachments, *(each for each in other.attachments if each not in self.attachments)))


class Drafts:
    """The drafts of the history file, and those of this run that are not there: of that ``widget`` tells, once.

    Args:
        widget: tells, and waits.
        store: the history file.
        orphaned: called with a chat that was deleted for good and what was typed in it, which is kept nowhere.
    """

    def __init__(self, widget: Widget, store: ConversationStore, orphaned: Callable[[int, Typed], None]) -> None:
        self._widget, self._store, self._orphaned = widget, store, orphaned
        self._unsaved: dict[int | None, Typed] = {}
        self._unread: dict[int | None, Typed | None] = {}
        """What was in the file when it could not be read, once that is known: what is typed comes after it."""
        self._unsaved_since = 0.0
        self._has_told = False
        self._again: Timer | None = None

    def of(self, conversation_id: int | None) -> Typed:
        """What was typed in a chat; ``None`` for one that has not begun.

        Raises:
            StorageError: the file cannot be read.
        """
        if (unsaved := self._unsaved.get(conversation_id)) is not None:
            return unsaved
        self._unread[conversation_id] = None
        typed = self._read(conversation_id)
        del self._unread[conversation_id]
        return typed

    def _read(self, conversation_id: int | None) -> Typed:
        attachments = tuple(self._store.draft_attachments(conversation_id))
        return Typed(self._store.draft(conversation_id), attachments)

    def keep(self, conversation_id: int | None, typed: Typed, *, waits: bool = True) -> None:
        """Keep what is typed in a chat: in the file, else until the program ends, and try again meanwhile.

        Args:
            conversation_id: where it is typed; ``None`` is a chat that has not begun.
            typed: all of it.
            waits: whether to wait while someone else writes.
        """
        if not self._unsaved:
            self._unsaved_since = time.monotonic()
        self._unsaved.pop(conversation_id, None)
        self._unsaved = {conversation_id: typed, **self._unsaved}  # the one to be waited for comes first
        self._write(waits=waits)

    def sent(self, conversation_id: int | None) -> None:
        """It became a question, and the file has dropped it."""
        self._unsaved.pop(conversation_id, None)
        self._unread.pop(conversation_id, None)

    def _write(self, *, waits: bool) -> None:
        reason = ""
        orphans: list[tuple[int, Typed]] = []
        for conversation_id, typed in list(self._unsaved.items()):
            try:
                text, attachments = self._with_unread(conversation_id, typed)
                self._store.set_draft(conversation_id, text, attachments, waits=waits and not reason)
            except GoneError:
                del self._unsaved[conversation_id]
                if conversation_id is not None:
                    orphans.append((conversation_id, typed))
            except StorageError as error:
                reason = reason or str(error)
            else:
                del self._unsaved[conversation_id]
        self._tell(reason, is_sure=waits or time.monotonic() - self._unsaved_since > _PATIENCE_S)
        for orphan in orphans:
            self._orphaned(*orphan)

    def _with_unread(self, conversation_id: int | None, typed: Typed) -> Typed:
        if conversation_id not in self._unread:
            return typed
        before = self._unread[conversation_id]
        if before is None:
            before = self._unread[conversation_id] = self._read(conversation_id)
        return before.followed_by(typed)

    def _tell(self, reason: str, *, is_sure: bool) -> None:
        if not reason:
            self._has_told = False
            return
        if is_sure and not self._has_told:
            self._has_told = True
            complain(self._widget, reason, tr("What you type is not saved; it stays until you quit"))
        if self._again is None:
            self._again = self._widget.set_timer(_AGAIN_S, self._write_again)

    def _write_again(self) -> None:
        self._again = None
        self._write(waits=False)
