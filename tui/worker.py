"""The threads that load the model and stream replies: they compute, save and post; they touch no widget.

They are daemon threads of our own, not Textual's workers: those are joined when the app ends, and a
model that is in the middle of reading 13 GB would hold the terminal until it is done.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing
from dataclasses import dataclass, field

from textual.message import Message

from chatglm_slim_llm.errors import ChatGLMSlimError, CheckpointNotFoundError, StorageError
from chatglm_slim_llm.storage import ConversationStore, FinishReason
from tui.assistant import Assistant, Piece, Turn
from tui.messages import (
    DownloadNeeded,
    ModelFailed,
    ModelLoading,
    ModelReady,
    ReplyDelta,
    ReplyFailed,
    ReplyFinished,
    SaveFailed,
)

SAVE_INTERVAL_S = 0.25
_POLL_S = 0.05


@dataclass
class Reply:
    """One reply under way, as its thread sees it."""

    message_id: int
    turns: Sequence[Turn]
    text: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    saved_at: float = 0.0
    last_piece: Piece = field(default_factory=Piece)


class ModelWorker:
    """Owns the assistant: loads it once, runs one reply at a time, and ends with the app."""

    def __init__(self, assistant: Assistant, store: ConversationStore, post: Callable[[Message], object]) -> None:
        self._assistant = assistant
        self._store = store
        self._post_message = post
        self._model: Future[None] | None = None
        self._consent: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._download_cancelled = threading.Event()
        self._reply: Reply | None = None
        self._threads: list[threading.Thread] = []
        self._closed = False

    def load(self) -> None:
        """Start loading, unless the model is loading or loaded; after a failure this tries again."""
        if self._model is None or (self._model.done() and self._model.exception()):
            self._model = Future()
            self._consent = queue.SimpleQueue()  # an answer to the last question is none to the next
            self._download_cancelled.clear()
            self._start(self._load, self._model, self._consent)

    def answer_download(self, wanted: bool) -> None:
        """Answer ``DownloadNeeded``; a later False cancels the download."""
        if not wanted:
            self._download_cancelled.set()
        self._consent.put(wanted)

    def reply(self, message_id: int, turns: Sequence[Turn]) -> None:
        """Stream the answer to ``turns`` into the message, loading the model first if need be."""
        self.load()
        assert self._model is not None
        self._reply = Reply(message_id, turns)
        self._start(self._run_reply, self._reply, self._model)

    def stop(self) -> None:
        """End the reply after its current token."""
        if self._reply is not None:
            self._reply.stop.set()

    def close(self, timeout_s: float = 0.5) -> bool:
        """Stop everything; returns whether all threads ended in time."""
        self._closed = True
        self.stop()
        self.answer_download(False)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=args, name=target.__name__.strip("_"), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _post(self, message: Message) -> None:
        if not self._closed:
            self._post_message(message)

    def _load(self, model: Future[None], consent: queue.SimpleQueue[bool]) -> None:
        try:
            if not self._assistant.is_available():
                self._post(DownloadNeeded())
                if not consent.get():
                    raise _declined()
            self._assistant.load(self._report)
        except Exception as error:  # a model may raise anything
            model.set_exception(error)
            self._post(ModelFailed(_sentence(error)))
        else:
            model.set_result(None)
            self._post(ModelReady())

    def _report(self, what: str, done_bytes: int, total_bytes: int) -> None:
        if self._closed or self._download_cancelled.is_set():
            raise _declined()
        self._post(ModelLoading(what, done_bytes, total_bytes))

    def _run_reply(self, reply: Reply, model: Future[None]) -> None:
        try:
            reason = self._stream(reply) if self._wait_for(model, reply) else "cancelled"
        except Exception as error:  # a model may raise anything
            self._save(reply, "error")
            self._post(ReplyFailed(reply.message_id, _sentence(error)))
        else:
            self._save(reply, reason)
            self._post(ReplyFinished(reply.message_id, reason, _summary(reply.last_piece)))

    def _wait_for(self, model: Future[None], reply: Reply) -> bool:
        while not reply.stop.is_set():
            try:
                model.result(timeout=_POLL_S)
            except NotYet:
                if model.done():  # the model itself raised a TimeoutError
                    raise
            else:
                return True
        return False

    def _stream(self, reply: Reply) -> FinishReason:
        with closing(self._assistant.stream(reply.turns)) as pieces:
            for piece in pieces:
                if piece.text:
                    reply.text += piece.text
                    self._post(ReplyDelta(reply.message_id, piece.text))
                    if time.monotonic() - reply.saved_at >= SAVE_INTERVAL_S:
                        self._save(reply, None)
                if piece.finish_reason:
                    reply.last_piece = piece
                if reply.stop.is_set():
                    return piece.finish_reason or "cancelled"
        return reply.last_piece.finish_reason or "stop"

    def _save(self, reply: Reply, reason: FinishReason | None) -> None:
        reply.saved_at = time.monotonic()
        try:
            self._store.update(reply.message_id, reply.text, finish_reason=reason)
        except StorageError as error:
            self._post(SaveFailed(str(error)))


def _declined() -> CheckpointNotFoundError:
    return CheckpointNotFoundError(
        "The model's weights are not on this machine; send again to be asked again, or run chatglm-slim pull."
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, ChatGLMSlimError):
        return str(error)
    detail = (str(error).strip().splitlines() or [""])[0]
    return f"The model failed with {type(error).__name__}" + (f": {detail}" if detail else "")


def _summary(last: Piece) -> str:
    parts = []
    if last.output_tokens is not None:
        parts.append(f"{last.output_tokens:,} tokens")
    if last.tokens_per_s is not None:
        parts.append(f"{last.tokens_per_s:.{1 if last.tokens_per_s < 100 else 0}f} tokens/s")
    return " · ".join(parts)
