"""The threads that load the model and stream replies: they compute, save and post; they touch no widget.

They are daemon threads of our own, not Textual's workers: those are joined when the app ends, and a
model that is in the middle of reading 13 GB would hold the terminal until it is done.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing, suppress
from dataclasses import dataclass, field

from textual.message import Message

from chatglm_slim_llm.errors import ChatGLMSlimError, CheckpointNotFoundError
from chatglm_slim_llm.hosting.assistant import Assistant, ModelFacts, Piece, Request
from chatglm_slim_llm.hosting.growing import GrowingAnswer
from chatglm_slim_llm.storage import ConversationStore, FinishReason
from tui.counting import Counter
from tui.language import tr
from tui.messages import (
    ContextCounted,
    DownloadNeeded,
    ModelFailed,
    ModelLoading,
    ModelReady,
    ReplyDelta,
    ReplyFailed,
    ReplyFinished,
    ReplyNotice,
    ReplySaved,
    SaveFailed,
    ToolStep,
)

_POLL_S = 0.05
_AGAIN_S = 1.0
"""A reply that could not be saved is tried again after this."""


@dataclass
class _Model:
    """One loading of one assistant."""

    assistant: Assistant
    facts: Future[ModelFacts] = field(default_factory=Future)
    consent: queue.SimpleQueue[bool] = field(default_factory=queue.SimpleQueue)
    is_cancelled: threading.Event = field(default_factory=threading.Event)

    def answer(self, wanted: bool) -> None:
        """Whether its weights are to be downloaded; False also ends a download."""
        if not wanted:
            self.is_cancelled.set()
        self.consent.put(wanted)


@dataclass
class _Reply:
    """One reply under way, as its thread sees it."""

    answer: GrowingAnswer
    request: Request
    model: _Model
    stop: threading.Event = field(default_factory=threading.Event)
    last_piece: Piece = field(default_factory=Piece)

    @property
    def message_id(self) -> int:
        return self.answer.message_id


class ModelWorker:
    """Owns the assistant: loads it, runs one reply at a time, and ends with the app. No method waits but ``close``."""

    def __init__(self, assistant: Assistant, store: ConversationStore, post: Callable[[Message], object]) -> None:
        self._assistant = assistant
        self._store = store
        self._post_message = post
        self._model: _Model | None = None
        self._reply: _Reply | None = None
        self._threads: list[threading.Thread] = []
        self._savers: list[threading.Thread] = []
        """Those that another model need not wait for: they hold none."""
        self._starting = threading.Lock()
        self._is_closing = threading.Event()
        self._counter = Counter(self._count, self._start)

    @property
    def facts(self) -> ModelFacts | None:
        """The model that is loaded."""
        model = self._model
        if model is None or not model.facts.done() or model.facts.exception() or not model.assistant.is_loaded():
            return None
        return model.facts.result()

    def load(self) -> None:
        """Start loading, unless the model is loading or loaded; after a failure or a crash this tries again."""
        self._loading()

    def answer_download(self, wanted: bool) -> None:
        """Answer ``DownloadNeeded``; a later False cancels the download."""
        if self._model is not None:
            self._model.answer(wanted)

    def reply(self, message_id: int, request: Request) -> None:
        """Stream the answer into the message, loading the model first if need be."""
        answer = GrowingAnswer(self._store, message_id, lambda reason: self._post(SaveFailed(reason)))
        self._reply = _Reply(answer, request, self._loading())
        self._start(self._run_reply, self._reply)

    def count(self, conversation_id: int | None, request: Request) -> None:
        """Say how much of the context this would fill, once nobody asks for another count; only of a loaded model."""
        if self.facts is not None:
            self._counter.ask(conversation_id, request)

    def stop(self) -> None:
        """End the reply after its current token."""
        if self._reply is not None:
            self._reply.stop.set()

    def permit(self, use_id: str, allowed: bool) -> None:
        """Answer a tool that asks whether it may be used."""
        if self._reply is not None:
            self._reply.model.assistant.permit(use_id, allowed)

    def replace(self, assistant: Assistant) -> None:
        """Stop the reply, let go of the model and its memory, then load another one."""
        self.stop()
        before, self._assistant = self._assistant, assistant
        left, self._model = self._model, _Model(assistant)
        if left is not None:
            left.answer(False)
        self._start(self._exchange, before, self._model, list(self._threads))

    def close(self, timeout_s: float = 0.5) -> bool:
        """Stop everything; returns whether all threads ended in time."""
        self._is_closing.set()
        self.stop()
        self.answer_download(False)
        self._start(self._assistant.close)  # a process of the model's own is killed: nothing is left to wait for
        deadline = time.monotonic() + timeout_s
        threads = [*self._threads, *self._savers]
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in threads)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=target.__name__.strip("_"), daemon=True)
        with self._starting:  # threads begin threads, too
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _post(self, message: Message) -> None:
        if not self._is_closing.is_set():
            self._post_message(message)

    # --- loading

    def _loading(self) -> _Model:
        model = self._model
        if model is not None and (not model.facts.done() or self.facts is not None):
            return model
        self._model = model = _Model(self._assistant)  # an answer to the last question is none to the next
        self._start(self._load, model)
        return model

    def _load(self, model: _Model) -> None:
        try:
            if not model.assistant.is_available():
                self._post_of(model, DownloadNeeded())
                if not model.consent.get():
                    raise _declined()
            facts = model.assistant.load(lambda *done: self._report(model, *done))
        except Exception as error:  # a model may raise anything
            model.facts.set_exception(error)
            self._post_of(model, ModelFailed(_sentence(error)))
        else:
            model.facts.set_result(facts)
            self._post_of(model, ModelReady(facts))

    def _report(self, model: _Model, what: str, done_bytes: int, total_bytes: int) -> None:
        if self._is_closing.is_set() or model.is_cancelled.is_set():
            raise _declined()
        self._post_of(model, ModelLoading(what, done_bytes, total_bytes))

    def _post_of(self, model: _Model, message: Message) -> None:
        """Say something of a model, unless another one has taken its place."""
        if model is self._model:
            self._post(message)

    def _exchange(self, before: Assistant, model: _Model, others: list[threading.Thread]) -> None:
        for thread in others:  # two models may not fit into memory side by side
            thread.join()
        before.close()
        if model is self._model and not self._is_closing.is_set():
            self._load(model)
        else:
            model.facts.set_exception(_declined())

    # --- replies

    def _run_reply(self, reply: _Reply) -> None:
        with reply.answer as answer:
            try:
                reason = self._stream(reply) if self._wait_for(reply) else "cancelled"
            except Exception as error:  # a model may raise anything
                if not reply.stop.is_set():
                    self._fail(reply, _sentence(error))
                    return
                reason = "cancelled"
            last = reply.last_piece
            is_saved = answer.finish(reason, figures=last.figures, sources=last.sources)
        ended = ReplyFinished(reply.message_id, reason, last.figures, last.sources, last.dropped_rounds, is_saved)
        self._post_end(reply, ended)
        if not self._is_closing.is_set() and reply.model.facts.done() and not reply.model.facts.exception():
            self._reload(reply.model)

    def _fail(self, reply: _Reply, reason: str) -> None:
        is_saved = reply.answer.finish("error", failure=reason)
        facts = reply.model.facts
        if facts.done() and not facts.exception() and not reply.model.assistant.is_loaded():
            self._post_of(reply.model, ModelFailed(reason))
        self._post_end(reply, ReplyFailed(reply.message_id, reason, is_saved))

    def _post_end(self, reply: _Reply, ended: ReplyFinished | ReplyFailed) -> None:
        self._post(ended)
        if not ended.is_saved:
            saver = threading.Thread(target=self._save_later, args=(reply.answer,), name="save_later", daemon=True)
            self._savers = [*(each for each in self._savers if each.is_alive()), saver]
            saver.start()

    def _save_later(self, answer: GrowingAnswer) -> None:
        """Try until it is saved; the last time when the program ends."""
        is_over = False
        while not is_over:
            is_over = self._is_closing.wait(_AGAIN_S)
            if answer.save_again():
                self._post(ReplySaved(answer.message_id))
                return

    def _reload(self, model: _Model) -> None:
        """A process that did not heed a stop was ended: have the model back before the next question."""
        if model is self._model and not model.assistant.is_loaded():
            self.load()

    def _wait_for(self, reply: _Reply) -> bool:
        facts = reply.model.facts
        while not reply.stop.is_set():
            try:
                facts.result(timeout=_POLL_S)
            except NotYet:
                if facts.done():  # the model itself raised a TimeoutError
                    raise
            else:
                return True
        return False

    def _stream(self, reply: _Reply) -> FinishReason:
        with closing(reply.model.assistant.stream(reply.request)) as pieces:
            for piece in pieces:
                if piece.text:
                    reply.answer.grow(piece.text)
                    self._post(ReplyDelta(reply.message_id, piece.text))
                if piece.tool is not None:
                    reply.answer.use(piece.tool)
                    self._post(ToolStep(reply.message_id, piece.tool))
                if piece.notice:
                    self._post(ReplyNotice(reply.message_id, piece.notice))
                if piece.finish_reason:
                    reply.last_piece = piece
                if reply.stop.is_set():
                    return piece.finish_reason or "cancelled"
        return reply.last_piece.finish_reason or "stop"

    # --- counting

    def _count(self, conversation_id: int | None, request: Request) -> None:
        model = self._model
        if model is None or self.facts is None:  # it has gone since: a count must not bring a model, nor its download
            return
        with suppress(Exception):  # a model may raise anything; what is wrong is said when the question is sent
            self._post_of(model, ContextCounted(model.assistant.count(request), conversation_id))


def _declined() -> CheckpointNotFoundError:
    return CheckpointNotFoundError(
        tr("The model's weights are not on this machine; send again to be asked again, or run chatglm-slim pull.")
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, ChatGLMSlimError):
        return str(error)
    kind, detail = type(error).__name__, (str(error).strip().splitlines() or [""])[0]
    if not detail:
        return tr("The model failed with {kind}", kind=kind)
    return tr("The model failed with {kind}: {detail}", kind=kind, detail=detail)
