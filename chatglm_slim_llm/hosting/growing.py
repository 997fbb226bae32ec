"""A growing answer on disk: a thread of its own saves it, so that neither a full disk nor a locked file slows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Self

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore, Figures, FinishReason, Source, ToolUse

SAVE_INTERVAL_S = 0.25
"""A kill loses what has come since the last save, and no more."""


class GrowingAnswer:
    """One answer while it is written; a context manager, so that its thread ends with it.

    Args:
        store: where the answer's message is.
        message_id: the message, which was stored empty.
        failed: called with a sentence when saving begins to fail, not each time.
    """

    def __init__(self, store: ConversationStore, message_id: int, failed: Callable[[str], object]) -> None:
        self.message_id = message_id
        self._store, self._failed = store, failed
        self._parts: list[str] = []
        self._uses: dict[str, ToolUse] = {}
        self._is_over = threading.Event()
        self._is_failing = False
        self._last_word: Callable[[], object] = _nothing
        self._thread = threading.Thread(target=self._keep_saving, name="save", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def grow(self, text: str) -> None:
        """Add a piece; it is on disk soon."""
        self._parts.append(text)

    def use(self, tool_use: ToolUse) -> None:
        """Take note of a step of a tool's use; it is on disk soon."""
        self._uses = {**self._uses, tool_use.id: tool_use}  # another, as the thread that saves may be at this one

    def finish(
        self,
        reason: FinishReason,
        *,
        failure: str = "",
        figures: Figures | None = None,
        sources: Sequence[Source] = (),
    ) -> bool:
        """Save all of it, and why it ended; returns whether it is on disk, else ``save_again`` may be called."""
        self._end()
        self._is_failing = False  # the last word is said again
        text = "".join(self._parts)

        def save() -> None:
            is_there = self._store.update(self.message_id, text, finish_reason=reason, failure=failure, figures=figures)
            if is_there and sources:
                self._store.add_sources(self.message_id, sources)
            if is_there and self._uses:
                self._save_uses(self._uses)

        self._last_word = save
        return self._try(save)

    def save_again(self) -> bool:
        """Try once more to save what ``finish`` could not, and say nothing if that fails again."""
        return self._try(self._last_word)

    def _end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _keep_saving(self) -> None:
        saved, saved_uses = 0, self._uses
        while not self._is_over.wait(SAVE_INTERVAL_S):
            if (count := len(self._parts)) != saved:
                text = "".join(self._parts[:count])
                if self._try(partial(self._store.update, self.message_id, text)):
                    saved = count
            if (uses := self._uses) is not saved_uses and self._try(partial(self._save_uses, uses)):
                saved_uses = uses

    def _save_uses(self, uses: Mapping[str, ToolUse]) -> None:
        self._store.set_tool_uses(self.message_id, list(uses.values()))

    def _try(self, save: Callable[[], object]) -> bool:
        try:
            save()
        except StorageError as error:
            if not self._is_failing:
                self._is_failing = True
                self._failed(str(error))
            return False
        self._is_failing = False
        return True


def _nothing() -> None:
    """What there is to save before the end."""
