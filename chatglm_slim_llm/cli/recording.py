"""The answer of one command, kept in the history while it is made."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from chatglm_slim_llm.cli.past import Past
from chatglm_slim_llm.errors import ChatGLMSlimError, PromptTooLongError, StorageError
from chatglm_slim_llm.hosting.assistant import Piece
from chatglm_slim_llm.storage import ConversationStore, FinishReason, Message

_SAVE_EVERY_S = 0.25


class Recording:
    """One answer, and where it is kept, if it is.

    Args:
        store: the history, or ``None`` to keep nothing.
        answer: the message that grows in it.
    """

    def __init__(self, store: ConversationStore | None, answer: Message | None) -> None:
        self._store = store
        self._answer = answer
        self._next_save_s = time.monotonic() + _SAVE_EVERY_S
        self.text = ""
        self.last = Piece()

    @property
    def conversation_id(self) -> int | None:
        """The conversation that it belongs to; ``None`` if it is not kept."""
        return None if self._answer is None else self._answer.conversation_id

    def push(self, piece: Piece) -> None:
        """Take the next piece; what has come so far is on disk a quarter of a second later at most."""
        self.text += piece.text
        self.last = piece
        if piece.finish_reason is not None:
            self.end(piece.finish_reason)
        elif time.monotonic() >= self._next_save_s:
            self._save(None, "")
            self._next_save_s = time.monotonic() + _SAVE_EVERY_S

    def end(self, reason: FinishReason, failure: str = "") -> None:
        """Keep how it ended."""
        self._save(reason, failure)

    def _save(self, reason: FinishReason | None, failure: str) -> None:
        if self._store is None or self._answer is None:
            return
        figures = self.last.figures
        try:
            self._store.update(self._answer.id, self.text, finish_reason=reason, failure=failure, figures=figures)
            if self.last.sources:
                self._store.add_sources(self._answer.id, self.last.sources)
        except StorageError as error:  # the answer is more than its copy
            self._store = None
            _say_not_kept(error)


@contextmanager
def recorded(store: ConversationStore | None, past: Past, prompt: str) -> Iterator[Recording]:
    """Keep a question, then its answer, however it ends: an answer that is broken off is one that was cancelled.

    A history that cannot be written keeps nobody from an answer, unless it is to go on there.
    """
    answer = _begun(store, past, prompt)
    recording = Recording(store, answer)
    try:
        yield recording
    except PromptTooLongError:
        if store is not None and answer is not None:
            _forget(store, past, answer)
        raise
    except BaseException as error:
        if recording.last.finish_reason is None:  # a reader that went away after the end has missed nothing
            is_failure = isinstance(error, ChatGLMSlimError)
            recording.end("error" if is_failure else "cancelled", str(error) if is_failure else "")
        raise


def _begun(store: ConversationStore | None, past: Past, prompt: str) -> Message | None:
    if store is None:
        return None
    try:
        return store.begin(past.conversation_id, past.head_id, prompt, settings=past.settings)[1]
    except StorageError as error:
        if past.conversation_id is not None:
            raise
        _say_not_kept(error)
        return None


def _say_not_kept(error: StorageError) -> None:
    print(f"(this is not kept in the history: {error})", file=sys.stderr)


def _forget(store: ConversationStore, past: Past, answer: Message) -> None:
    """What was never read by the model is no conversation; in one that goes on, the question stays with its error."""
    if past.conversation_id is None:
        store.delete(answer.conversation_id)
    else:
        store.update(answer.id, "", finish_reason="error", failure="the message is longer than the model can read")
