"""The model in this process: nothing to start, and nothing that shields the program from it.

Importing this brings neither torch nor LangChain; they come by name when there is something to load.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.hosting.memory import memory_bytes

if TYPE_CHECKING:
    from chatglm_slim_llm.hosting.answering import Answering


class LocalAssistant:
    """ChatGLM-6B-Slim, the demo model or one of a plugin, in this process.

    Args:
        options: which model.
        doing: called with what of other people's code is at work, and with nothing after it.
    """

    def __init__(self, options: LoadOptions, doing: Callable[[str], object] = lambda who: None) -> None:
        self._options, self._doing = options, doing
        self._answering: Answering | None = None

    def is_available(self) -> bool:
        """Whether nothing has to be downloaded."""
        return is_available(self._options)

    def is_loaded(self) -> bool:
        """Whether the next reply starts at once."""
        return self._answering is not None

    def load(self, progress: Progress) -> ModelFacts:
        """Load the weights, downloading them if they are missing; a model that is loaded stays."""
        if self._answering is None:
            before = memory_bytes()
            if not self._options.plugin:
                from chatglm_slim_llm.checkpoint.pull import resolve_folder

                # a download need not wait for torch
                resolve_folder(self._options.model, allow_download=True, progress=progress)
            # By name: what only looks at this module must not be said to need torch.
            answering = import_module("chatglm_slim_llm.hosting.answering")
            self._answering = answering.Answering(
                self._options, progress, memory_before_bytes=before, doing=self._doing
            )
        return self._answering.facts

    def count(self, request: Request) -> ContextUse:
        """How much of the context this would fill."""
        return self._loaded().count(request)

    def stream(self, request: Request) -> Generator[Piece]:
        """Answer the last turn; closing the generator ends the work after the current step."""
        return self._loaded().stream(request)

    def permit(self, use_id: str, allowed: bool) -> None:
        """Whether a tool that asks may be used."""
        if (answering := self._answering) is not None:
            answering.permit(use_id, allowed)

    def close(self) -> None:
        """Let go of the model; what the allocator keeps for later, the process keeps."""
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.close()
            del answering
            gc.collect()

    def _loaded(self) -> Answering:
        if self._answering is None:
            raise GenerationError("no model is loaded; load one first")
        return self._answering


def is_available(options: LoadOptions) -> bool:
    """Whether nothing has to be downloaded; a folder that is missing is for loading to complain about."""
    if options.plugin:
        return True
    from chatglm_slim_llm.checkpoint.pull import is_available, is_hub_id

    return is_available(options.model) or not is_hub_id(options.model)
