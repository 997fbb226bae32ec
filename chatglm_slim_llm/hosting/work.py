"""What a child process can do, by name: a model's work, a library's, and commands. What each needs is imported then.

Whatever goes in and comes out is JSON.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.assistant import Piece
from chatglm_slim_llm.hosting.local import LocalAssistant
from chatglm_slim_llm.hosting.wire import Message, piece_to_wire, request_from_wire

if TYPE_CHECKING:
    from chatglm_slim_llm.hosting.shelves import Shelves

_TELL_EVERY_S = 0.1
_SILENCE = Piece()


@dataclass
class Job:
    """A request under way, as its work sees it."""

    say: Callable[[Any], None]
    stop: threading.Event = field(default_factory=threading.Event)
    _told: str = ""
    _told_at: float = 0.0

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how far the work is, not too often; raise once it is to stop."""
        if self.stop.is_set():
            raise GenerationError("stopped")
        now = time.monotonic()
        if what != self._told or done >= total or now - self._told_at >= _TELL_EVERY_S:
            self._told, self._told_at = what, now
            self.say([what, done, total])


class Work:
    """The one model and the library of this process, and commands of plugins.

    Args:
        doing: called with what of other people's code is at work, and with nothing after it.
    """

    def __init__(self, doing: Callable[[str], object]) -> None:
        self._doing = doing
        self._assistant: LocalAssistant | None = None

    @cached_property
    def _shelves(self) -> Shelves:
        from chatglm_slim_llm.hosting.shelves import Shelves

        return Shelves()

    def do(self, what: str, given: Message, job: Job) -> Any:
        """Do one piece of work; ``job`` hears of it on the way."""
        if what == "command":
            from chatglm_slim_llm.hosting.commands import run_command

            return run_command(given)
        do = self._model_work.get(what)
        if do is None:
            return self._shelves.do(what, given, job)
        return do(given, job)

    def who(self, what: str) -> str:
        """Who does it, for a sentence about its failure."""
        return "The model" if what in self._model_work else "The library"

    @property
    def _model_work(self) -> dict[str, Callable[[Message, Job], Any]]:
        return {"load": self._load, "count": self._count, "stream": self._stream, "permit": self._permit}

    def _load(self, given: Message, job: Job) -> Message:
        self._assistant = LocalAssistant(LoadOptions(**given), self._doing)
        return asdict(self._assistant.load(job.progress))

    def _count(self, given: Message, job: Job) -> Message:
        return asdict(self._loaded().count(request_from_wire(given)))

    def _stream(self, given: Message, job: Job) -> None:
        with closing(self._loaded().stream(request_from_wire(given))) as pieces:
            for piece in pieces:
                if piece != _SILENCE:
                    job.say(piece_to_wire(piece))
                if job.stop.is_set():
                    return

    def _permit(self, given: Message, job: Job) -> None:
        self._loaded().permit(given["use"], given["allowed"])

    def _loaded(self) -> LocalAssistant:
        if self._assistant is None:
            raise GenerationError("no model is loaded; load one first")
        return self._assistant
