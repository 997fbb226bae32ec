"""The model in a process of its own: a crash, a lack of memory or a step that never ends stays in there.

The process starts with ``load`` and ends with ``close``, and all of its memory with it. Nothing here imports torch.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import asdict, replace

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.hosting.local import is_available
from chatglm_slim_llm.hosting.process import Call, ChildProcess
from chatglm_slim_llm.hosting.trimming import trimmed
from chatglm_slim_llm.hosting.wire import piece_from_wire, request_to_wire

_POLL_S = 0.05
"""How often a silent reply gives whoever reads it a chance to stop it."""
_TELL_S = 0.2
_STOP_S = 2.0
"""A step that takes longer than this after a stop is not waited for: the process is ended."""


class ProcessAssistant:
    """ChatGLM-6B-Slim, the demo model or one of a plugin, in a child process.

    A process that died, or that was ended because it did not stop, is started again by the next ``load`` or reply.
    """

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._child: ChildProcess | None = None
        self._facts: ModelFacts | None = None

    @property
    def pid(self) -> int | None:
        """The model's process, if there is one."""
        child = self._child
        return child.pid if child is not None and child.is_alive() else None

    def is_available(self) -> bool:
        """Whether nothing has to be downloaded."""
        return is_available(self._options)

    def is_loaded(self) -> bool:
        """Whether the next reply starts at once; never waits."""
        child = self._child
        return self._facts is not None and child is not None and child.is_alive()

    def load(self, progress: Progress) -> ModelFacts:
        """Start the process and load the model in it; what ``progress`` raises ends the process.

        It is called at least every fifth of a second, also while nothing gets on.

        Raises:
            ChatGLMSlimError: the checkpoint cannot be loaded, or the process died over it.
        """
        with self._loading:
            facts = self._facts
            if facts is not None and self.is_loaded():
                return facts
            child = self._started()
            try:
                self._facts = _loaded(child.call("load", asdict(self._options)), progress)
            except BaseException:
                child.close()
                raise
            return self._facts

    def count(self, request: Request) -> ContextUse:
        """How much of the context this would fill.

        Raises:
            ChatGLMSlimError: no model is loaded, or its process died.
        """
        if not self.is_loaded():  # who only counts must not start a process, nor a download
            raise GenerationError("no model is loaded; load one first")
        child, context = self._running()
        request, left_out = trimmed(request, context)
        use = ContextUse(**child.call("count", request_to_wire(request)).result())
        return replace(use, dropped_rounds=use.dropped_rounds + left_out)

    def stream(self, request: Request) -> Generator[Piece]:
        """Answer the last turn; an empty piece comes wherever it is silent. Closing the generator ends the work.

        Raises:
            ChatGLMSlimError: the request cannot be answered, or the model's process died over it.
        """
        child, context = self._running()
        request, left_out = trimmed(request, context)
        call = child.call("stream", request_to_wire(request))
        try:
            while not call.is_over:
                message = call.next(_POLL_S)
                if message is None:
                    yield Piece()
                elif "say" in message:
                    piece = piece_from_wire(message["say"])
                    yield (
                        replace(piece, dropped_rounds=piece.dropped_rounds + left_out) if piece.finish_reason else piece
                    )
        finally:
            if not call.is_over and not call.stop(_STOP_S):
                child.close()

    def permit(self, use_id: str, allowed: bool) -> None:
        """Whether a tool that asks may be used; never waits, and of a process that is gone nobody asks any more."""
        with self._lock:
            if self._child is not None and self._child.is_alive():
                self._child.call("permit", {"use": use_id, "allowed": allowed})

    def close(self) -> None:
        """End the process, whatever it does; returns when it is gone."""
        with self._lock:
            child, self._child, self._facts = self._child, None, None
        if child is not None:
            child.close()

    def _started(self) -> ChildProcess:
        """A new process in the place of the one there was."""
        self.close()
        with self._lock:
            self._child = child = ChildProcess(*_name_and_advice(self._options))
        return child

    def _running(self) -> tuple[ChildProcess, int]:
        """The process, and the tokens that its model takes."""
        facts = self.load(_nobody_listens)
        with self._lock:
            if self._child is None:
                raise GenerationError("the model was closed; load it again")
            return self._child, facts.context


def _loaded(call: Call, progress: Progress) -> ModelFacts:
    last: tuple[str, int, int] = ("starting", 0, 0)
    while True:
        progress(*last)
        message = call.next(_TELL_S)
        if message is None:
            continue
        if "end" in message:
            return ModelFacts(**message["end"])
        what, done, total = message["say"]
        last = (what, done, total)


def _name_and_advice(options: LoadOptions) -> tuple[str, str]:
    if name := options.plugin:
        return f"The process of the plugin models.{name}", "choose a smaller model"
    return "The model's process", "choose a smaller level such as int4, or a smaller model"


def _nobody_listens(_what: str, _done: int, _total: int) -> None:
    pass
