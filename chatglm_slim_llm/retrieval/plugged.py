"""Retrievers of plugins as finders."""

from __future__ import annotations

from langchain_core.retrievers import BaseRetriever

from chatglm_slim_llm.errors import ChatGLMSlimError, PluginLoadError, RetrievalError
from chatglm_slim_llm.plugins import GROUPS, PluginSpec, plugin
from chatglm_slim_llm.plugins.printing import printing_aside
from chatglm_slim_llm.retrieval.gathering import RetrieverFinder
from chatglm_slim_llm.retrieval.passages import Passage


class PluggedFinder:
    """A retriever of a plugin; whatever it raises says whose it is."""

    def __init__(self, name: str) -> None:
        """Import and make the retriever.

        Args:
            name: of the plugin.

        Raises:
            PluginError: there is none of this name that is on, or it cannot be used.
            ConfigError: it does not take the options of ``plugins.toml``.
        """
        self._spec: PluginSpec = plugin("retrievers", name)
        made = self._spec.make()
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
            RetrievalError: the retriever failed, in whatever way.
        """
        try:
            with printing_aside():
                return self._finder.search(query, k)
        except ChatGLMSlimError:
            raise
        except (Exception, SystemExit) as error:
            cause = f"{type(error).__name__}: {error}".rstrip(": ")
            raise RetrievalError(f"plugin {self._spec.key} ({self._spec.origin}) failed: {cause}") from error

    def close(self) -> None:
        """Nothing: what a retriever holds open is its own affair."""
