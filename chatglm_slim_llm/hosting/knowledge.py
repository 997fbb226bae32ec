"""Answers from a knowledge base, or from a retriever of a plugin: the one asked last stays open, as it may take seconds
to load."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from chatglm_slim_llm.config import PLUGIN
from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.hosting.extras import extra_packages

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase
    from chatglm_slim_llm.retrieval.citations import Answer
    from chatglm_slim_llm.retrieval.plugged import PluggedFinder


class Knowledge:
    """The knowledge base or retriever that is in use."""

    def __init__(self) -> None:
        self._name = ""
        self._finder: KnowledgeBase | PluggedFinder | None = None

    def answers(
        self,
        name: str,
        llm: Runnable[Any, Any],
        history: Sequence[BaseMessage],
        question: str,
        limit: int,
        watcher: BaseCallbackHandler,
    ) -> Generator[Answer]:
        """The answer to a question in pieces that add up.

        Raises:
            RetrievalError: the knowledge base is gone, empty, or cannot be searched.
            PluginError: the retriever is not on, or cannot be used.
        """
        finder = self._opened(name)
        from chatglm_slim_llm.retrieval.chains import AnswerChain, model_of, options_for

        options = replace(options_for(model_of(llm)), context_tokens=limit)
        chain = AnswerChain(finder, llm, options)
        asked = {"question": question, "history": list(history)}
        with closing(cast(Any, chain.stream(asked, {"callbacks": [watcher]}))) as pieces:
            yield from pieces

    def close(self) -> None:
        """Let go of the file."""
        finder, self._finder = self._finder, None
        if finder is not None:
            finder.close()

    def _opened(self, name: str) -> KnowledgeBase | PluggedFinder:
        from chatglm_slim_llm.retrieval.plugged import PluggedFinder

        if self._finder is None or self._name != name:
            self.close()
            self._finder, self._name = _open(name), name
        if not isinstance(self._finder, PluggedFinder):
            _check_filled(self._finder, name)
        return self._finder


def _open(name: str) -> KnowledgeBase | PluggedFinder:
    with extra_packages():
        if name.startswith(PLUGIN):
            from chatglm_slim_llm.retrieval.plugged import PluggedFinder

            return PluggedFinder(name.removeprefix(PLUGIN))
        from chatglm_slim_llm.retrieval import KnowledgeBase

        return KnowledgeBase.open(name)


def _check_filled(base: KnowledgeBase, name: str) -> None:
    if not base.path.exists():
        raise RetrievalError(f"the knowledge base {name} is gone; switch it off for this chat, or create it again")
    if not base.counts()["chunks"]:
        raise RetrievalError(f"the knowledge base {name} is empty; add files to it, or switch it off for this chat")
