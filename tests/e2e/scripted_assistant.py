"""A model whose every step the test decides."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator

from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.storage import Figures

DONE = Piece("", "stop", Figures(output_tokens=5, tokens_per_s=12.5, first_token_s=0.25, prompt_tokens=7, limit=2048))
FACTS = ModelFacts("demo", "fp16", "cpu", 2048, memory_before_bytes=100 << 20, memory_bytes=150 << 20)


class ScriptedAssistant:
    """Says the pieces it is given, when it is given them; remembers what it was asked."""

    def __init__(self, *, available: bool = True, facts: ModelFacts = FACTS) -> None:
        self.asked: list[Request] = []
        self.counted: list[Request] = []
        self.closed = threading.Event()
        """Set when a reply has ended, or was stopped."""
        self.let_go = threading.Event()
        """Set by ``close``."""
        self.permitted: list[tuple[str, bool]] = []
        """Answers to tools that asked."""
        self.may_load = threading.Event()
        self.may_load.set()
        self.load_error: Exception | None = None
        self.loads = 0
        self.facts = facts
        self.use: ContextUse | None = None
        """What ``count`` says; by default a token a character."""
        self._available = available
        self._is_loaded = False
        self._script: queue.SimpleQueue[Piece | Exception] = queue.SimpleQueue()

    def say(self, *script: str | Piece | Exception) -> None:
        """Hand over the next pieces; an exception is raised in the middle of the reply."""
        for item in script:
            self._script.put(Piece(item) if isinstance(item, str) else item)

    def crash(self) -> None:
        """Be gone, as a process that was killed."""
        self._is_loaded = False

    def is_available(self) -> bool:
        return self._available

    def is_loaded(self) -> bool:
        return self._is_loaded

    def load(self, progress: Progress) -> ModelFacts:
        self.loads += 1
        progress("downloading", 0, 100)
        while not self.may_load.wait(0.05):
            progress("downloading", 40, 100)
        if self.load_error is not None:
            raise self.load_error
        self._available = self._is_loaded = True
        self.let_go.clear()
        return self.facts

    def count(self, request: Request) -> ContextUse:
        self.counted.append(request)
        if self.use is not None:
            return self.use
        tokens = sum(len(turn.text) for turn in request.turns)
        return ContextUse(tokens, self.facts.context, 0, len(request.turns[-1].text))

    def stream(self, request: Request) -> Generator[Piece]:
        self.asked.append(request)
        try:
            while True:
                try:
                    piece = self._script.get(timeout=0.01)
                except queue.Empty:
                    piece = Piece()  # a token whose text is not final yet
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.finish_reason:
                    return
        finally:
            self.closed.set()

    def permit(self, use_id: str, allowed: bool) -> None:
        self.permitted.append((use_id, allowed))

    def close(self) -> None:
        self._is_loaded = False
        self.let_go.set()
