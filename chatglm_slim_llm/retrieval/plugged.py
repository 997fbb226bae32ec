"""Retrievers of plugins as finders."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from langchain_core.retrievers import BaseRetriever

from chatglm_slim_llm.aside import TooLateError, begin, finished, waiting, why
from chatglm_slim_llm.errors import ChatGLMSlimError, PluginLoadError, RetrievalError
from chatglm_slim_llm.plugins import GROUPS, PluginSpec, plugin
from chatglm_slim_llm.retrieval.gathering import RetrieverFinder
from chatglm_slim_llm.retrieval.passages import Passage

T = TypeVar("T")

SECONDS = 60.0
"""How long a retriever may take to be ready, and then for each search."""


class PluggedFinder:
    """A retriever of a plugin; whatever it does, or does not, says whose it is."""

    def __init__(self, name: str, *, seconds: float = SECONDS) -> None:
        """Import and make the retriever.

        Args:
            name: of the plugin.
            seconds: how long it may take, now and for each search.

        Raises:
            PluginError: there is none of this name that is on, or it cannot be used.
            ConfigError: it does not take the options of ``plugins.toml``.
            RetrievalError: it is not ready in time.
        """
        self._spec: PluginSpec = plugin("retrievers", name)
        self._seconds = seconds
        made = self._in_time(self._spec.make, "is not ready")
        if not isinstance(made, BaseRetriever):
            raise PluginLoadError(
                f"plugin {self._spec.key} ({self._spec.origin}) gave {type(made).__name__};"
                f" it must be {GROUPS['retrievers']}",
                name=name,
            )
        self._finder = RetrieverFinder(made)

    def search(self, query: str, k: int = 4) -> list[Passage]:
        """The best ``k`` passages, the best first.

        Raises:
            RetrievalError: the retriever failed, in whatever way, or found nothing in time.
        """
        try:
            return self._in_time(lambda: self._finder.search(query, k), "has found nothing")
        except ChatGLMSlimError:
            raise
        except Exception as error:
            raise RetrievalError(f"plugin {self._spec.key} ({self._spec.origin}) failed: {why(error)}") from error

    def close(self) -> None:
        """Nothing: what a retriever holds open is its own affair."""

    def _in_time(self, work: Callable[[], T], what: str) -> T:
        try:
            return finished(waiting(begin(work, self._spec.key), self._seconds))
        except TooLateError:
            raise RetrievalError(
                f"plugin {self._spec.key} ({self._spec.origin}) {what} after {self._seconds:g} s; repair it, or"
                f" switch it off with: chatglm-slim plugins disable {self._spec.key}"
            ) from None
