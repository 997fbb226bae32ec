"""Answers from a knowledge base: the one asked last stays open, because its embedder takes seconds to load."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.hosting.extras import extra_packages

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase
    from chatglm_slim_llm.retrieval.citations import Answer


class Knowledge:
    """The knowledge base that is in use."""

    def __init__(self) -> None:
        self._name = ""
        self._base: KnowledgeBase | None = None

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
        """
        base = self._opened(name)
        from chatglm_slim_llm.retrieval.chains import AnswerChain, model_of, options_for

        options = replace(options_for(model_of(llm)), context_tokens=limit)
        chain = AnswerChain(base, llm, options)
        asked = {"question": question, "history": list(history)}
        with closing(cast(Any, chain.stream(asked, {"callbacks": [watcher]}))) as pieces:
            yield from pieces

    def close(self) -> None:
        """Let go of the file."""
        if self._base is not None:
            self._base.close()
            self._base = None

    def _opened(self, name: str) -> KnowledgeBase:
        if self._base is None or self._name != name:
            self.close()
            self._base, self._name = _open(name), name
        if not self._base.path.exists():
            raise RetrievalError(f"the knowledge base {name} is gone; switch it off for this chat, or create it again")
        if not self._base.counts()["chunks"]:
            raise RetrievalError(f"the knowledge base {name} is empty; add files to it, or switch it off for this chat")
        return self._base


def _open(name: str) -> KnowledgeBase:
    with extra_packages():
        from chatglm_slim_llm.retrieval import KnowledgeBase

        return KnowledgeBase.open(name)
