"""Answers from the model's own process, for a server that stays responsive while they are written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio

from chatglm_slim_llm.config import DEMO_MODEL
from chatglm_slim_llm.errors import CheckpointNotFoundError
from chatglm_slim_llm.hosting.assistant import Assistant, ModelFacts, Piece, Request, Turn
from chatglm_slim_llm.mcp.threads import in_thread, noticed
from chatglm_slim_llm.storage import FinishReason, Source

Tell = Callable[[str], Awaitable[None]]
"""Is told what is being done, or the answer so far; called several times a second."""

_TELL_S = 0.25


@dataclass
class Written:
    """An answer while it grows."""

    text: str = ""
    sources: tuple[Source, ...] = ()
    """What it rests on; none if the documents do not tell."""
    finish_reason: FinishReason | None = None


class Answers:
    """The model, loaded by the first question; one answer at a time, as its process has one knowledge base open.

    Args:
        assistant: who answers.
        model: its model's name.
        may_download: whether a model that is not on this machine is fetched.
    """

    def __init__(self, assistant: Assistant, model: str, *, may_download: bool = False) -> None:
        self._assistant, self._may_download = assistant, may_download
        self.model = model
        self._turn = asyncio.Lock()
        self._loading: asyncio.Future[ModelFacts] | None = None
        self._at = ""

    @property
    def is_demo(self) -> bool:
        """Whether it is the small one that ships with the program."""
        return self.model == DEMO_MODEL

    async def ask(self, path: Path, question: str, tell: Tell) -> Written:
        """The answer to a question from a knowledge base; cancelling stops the model.

        Raises:
            ChatGLMSlimError: the model cannot be loaded, or the question cannot be answered.
        """
        if self._turn.locked():
            await tell("waiting for another answer to be finished")
        async with self._turn:
            await self._loaded(tell)
            await tell("reading the passages")
            return await self._written(Request([Turn("human", question)], knowledge_base=str(path)), tell)

    def close(self) -> None:
        """End the model's process."""
        self._assistant.close()

    async def _loaded(self, tell: Tell) -> None:
        if self._assistant.is_loaded():
            return
        if self._loading is None or self._loading.done():
            if not self._may_download and not await in_thread(self._assistant.is_available):
                raise CheckpointNotFoundError(
                    f"{self.model} is not on this machine; run 'chatglm-slim pull {self.model}' once, "
                    "or start the server with --yes to have it downloaded"
                )
            # It goes on when whoever asked first gives up: the next one finds it done, or further on.
            self._loading = asyncio.ensure_future(in_thread(self._load))
            self._loading.add_done_callback(noticed)
        loading = self._loading
        while not loading.done():
            await tell(self._at)
            await asyncio.wait({loading}, timeout=_TELL_S)
        loading.result()

    def _load(self) -> ModelFacts:
        def progress(what: str, done: int, total: int) -> None:
            self._at = f"{what} the model" + (f", {done / total:.0%}" if total else "")

        progress("starting", 0, 0)
        return self._assistant.load(progress)

    async def _written(self, request: Request, tell: Tell) -> Written:
        written, stop = Written(), threading.Event()

        def write() -> None:
            with closing(self._assistant.stream(request)) as pieces:
                for piece in pieces:
                    if stop.is_set():
                        return
                    _add(written, piece)

        writing = asyncio.ensure_future(in_thread(write))
        writing.add_done_callback(noticed)
        try:
            while not writing.done():
                await asyncio.wait({writing}, timeout=_TELL_S)
                if written.text and not writing.done():
                    await tell(written.text)
            writing.result()
        finally:
            stop.set()
            with anyio.CancelScope(shield=True):  # the next one must not meet what is left of this one
                await asyncio.wait({writing})
        return written


def _add(written: Written, piece: Piece) -> None:
    written.text += piece.text
    if piece.finish_reason is not None:
        written.sources, written.finish_reason = piece.sources, piece.finish_reason
