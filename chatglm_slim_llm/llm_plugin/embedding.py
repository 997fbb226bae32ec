"""Vectors for ``llm embed`` and its collections, from the checkpoint that also answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from llm.models import EmbeddingModel

from chatglm_slim_llm.llm_plugin.boundary import keep, llm_errors


class SlimEmbedding(EmbeddingModel):
    """The vectors of `ChatGLMSlimEmbeddings`, of length 1."""

    batch_size = 32  # it reads few at a time; between batches llm writes down what it has and shows how far it is

    def __init__(self, model_id: str, model: str | None = None) -> None:
        """Read nothing yet.

        Args:
            model_id: how ``llm`` calls it.
            model: the checkpoint; the user's default if missing.
        """
        self.model_id, self._model = model_id, model

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """A vector for each text, in order."""
        with llm_errors():
            from chatglm_slim_llm.embeddings import ChatGLMSlimEmbeddings

            chosen: dict[str, Any] = {} if self._model is None else {"model": self._model}
            embeddings = ChatGLMSlimEmbeddings(allow_download=False, **chosen)
            keep(embeddings.load_options())
            yield from embeddings.embed_documents(cast("list[str]", list(items)))

    def __str__(self) -> str:
        return f"ChatGLM-Slim: {self.model_id}"
