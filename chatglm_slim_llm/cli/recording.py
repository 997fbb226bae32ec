"""The answer of one command, kept in the history while it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chatglm_slim_llm.cli.past import Past
from chatglm_slim_llm.errors import ChatGLMSlimError, PromptTooLongError, StorageError
from chatglm_slim_llm.hosting.assistant import Piece, ToolUse
from chatglm_slim_llm.hosting.growing import GrowingAnswer
from chatglm_slim_llm.storage import ConversationStore, FinishReason, Message


class Recording:
    """One answer as it comes, and where it is kept, if it is.

    Args:
        kept: what saves it, or ``None`` to keep nothing.
        conversation_id: the conversation that it belongs to; ``None`` if it is not kept.
    """

    def __init__(self, kept: GrowingAnswer | None = None, conversation_id: int | None = None) -> None:
        self._kept = kept
        self.conversation_id = conversation_id
        self.text = ""
        self.last = Piece()
        self._uses: dict[str, ToolUse] = {}

    @property
    def tool_uses(self) -> Sequence[ToolUse]:
        """The tools that were used on the way, as far as they have come."""
        return list(self._uses.values())

    def push(self, piece: Piece) -> None:
        """Take the next piece; it is on disk soon."""
        self.text += piece.text
        self.last = piece
        if piece.tool is not None:
            self._uses[piece.tool.id] = piece.tool
        if self._kept is not None:
            self._kept.grow(piece.text)
            if piece.tool is not None:
                self._kept.use(piece.tool)
        if piece.finish_reason is not None:
            self.end(piece.finish_reason)

    def end(self, reason: FinishReason, failure: str = "") -> None:
        """Keep how it ended."""
        if self._kept is not None:
            self._kept.finish(reason, failure=failure, figures=self.last.figures, sources=self.last.sources)


@contextmanager
def recorded(store: ConversationStore | None, past: Past, prompt: str) -> Iterator[Recording]:
    """Keep a question, then its answer, however it ends: an answer that is broken off is one that was cancelled.

    A history that cannot be written keeps nobody from an answer, unless it is to go on there.
    """
    answer = _begun(store, past, prompt)
    if store is None or answer is None:
        yield Recording()
        return
    with GrowingAnswer(store, answer.id, _once(_say_not_kept)) as kept:
        recording = Recording(kept, answer.conversation_id)
        try:
            yield recording
        except PromptTooLongError:
            _forget(store, past, answer)
            raise
        except BaseException as error:
            if recording.last.finish_reason is None:  # a reader that went away after the end has missed nothing
                is_failure = isinstance(error, ChatGLMSlimError)
                recording.end("error" if is_failure else "cancelled", str(error) if is_failure else "")
            raise


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    said: list[str] = []

    def say_first(reason: str) -> None:
        if not said:
            said.append(reason)
            say(reason)

    return say_first


def _begun(store: ConversationStore | None, past: Past, prompt: str) -> Message | None:
    if store is None:
        return None
    try:
        return store.begin(past.conversation_id, past.head_id, prompt, settings=past.settings)[1]
    except StorageError as error:
        if past.conversation_id is not None:
            raise
        _say_not_kept(str(error))
        return None


def _say_not_kept(reason: str) -> None:
    print(f"(this is not kept in the history: {reason})", file=sys.stderr)


def _forget(store: ConversationStore, past: Past, answer: Message) -> None:
    """What was never read by the model is no conversation; in one that goes on, the question stays with its error."""
    if past.conversation_id is None:
        store.delete(answer.conversation_id)
    else:
        store.update(answer.id, "", finish_reason="error", failure="the message is longer than the model can read")
