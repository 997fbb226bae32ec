"""The embedder of one knowledge base: which it is, when it loads, and whether the file's vectors are its own."""

from __future__ import annotations

import threading
import warnings

from langchain_core.embeddings import Embeddings

from chatglm_slim_llm.errors import MissingExtraError, PluginNotFoundError, RetrievalError
from chatglm_slim_llm.retrieval.embedders import (
    DEFAULT,
    Embedder,
    Fingerprint,
    Vectors,
    embeddable,
    embedder,
    fingerprint,
)
from chatglm_slim_llm.retrieval.finding import Meaning, Mode
from chatglm_slim_llm.retrieval.index import Index

NO_EMBEDDER = "none"
"""Chooses to search by words alone."""


class Embedding:
    """What makes vectors for an index; nothing loads before a vector is needed.

    Args:
        index: the knowledge base's file.
        choice: as for ``KnowledgeBase.open``.
    """

    def __init__(self, index: Index, choice: str | Embeddings | None) -> None:
        self._index = index
        self._choice = choice
        self._loading = threading.Lock()
        self._loaded: tuple[Embedder | None, Fingerprint | None] | None = None
        self._has_warned = False

    def loaded(self) -> tuple[Embedder | None, Fingerprint | None]:
        """The embedder with its fingerprint, loaded when it is first needed."""
        with self._loading:
            if self._loaded is None:
                own = self._choose()
                self._loaded = own, None if own is None else fingerprint(own)
            return self._loaded

    def remember(self) -> None:
        """Note in the file what was chosen by name, for those who open it without a choice."""
        chosen = self._choice if isinstance(self._choice, str) else None
        if self._choice is not None and chosen != self._index.setting("choice"):
            self._index.set_settings({"choice": chosen})

    def for_new_chunks(self) -> tuple[Embedder | None, int]:
        """The embedder for chunks that are added now; ``None`` if the file's vectors are another's, or none's.

        An empty file becomes the embedder's own. The number is the ``vectors_epoch`` that its vectors belong to.
        """
        own, mark = self.loaded()
        self.remember()
        if mark is not None and self._index.fingerprint() is None and not self._index.count_without_vectors():
            self._index.begin_vectors(mark, if_none=True)
        known, epoch = self._known()
        if not self._made(known):
            return None, epoch  # vectors come with all others' at the next sync
        return own, epoch

    def of_question(self, query: str, mode: Mode) -> Meaning | None:
        """A question as a vector; ``None`` leaves it to words.

        Raises:
            RetrievalError: ``mode`` is ``vector``, and there is no vector to compare with.
        """
        if mode != "vector" and self._index.fingerprint() is None:
            return None  # nothing to compare with, so nothing has to load
        own, _ = self.loaded()
        if own is None:
            if mode == "vector":
                raise RetrievalError(
                    "there is no embedder; run: pip install 'chatglm-slim-llm[rag]', or search by keyword"
                )
            return None
        known, epoch = self._known()
        if known is None:
            return None  # nothing was added yet
        if not self._made(known):
            complaint = f"the vectors of {self._index.path} {_by_another(known, own)}"
            if mode == "vector":
                raise RetrievalError(complaint)
            if not self._has_warned:
                warnings.warn(f"{complaint}; until then only words are searched", stacklevel=3)
                self._has_warned = True
            return None
        return Meaning.of(own.queries([embeddable(query)])[0], known, epoch)

    def is_current(self) -> bool:
        """Whether questions get a vector that can be compared with the file's."""
        return self._made(self._index.fingerprint())

    def of_vector(self, vector: Vectors) -> Meaning | None:
        """A unit vector of the file's embedder; ``None`` if the file has no vectors.

        Raises:
            RetrievalError: its dimension is another's.
        """
        known, epoch = self._known()
        if known is None:
            return None
        if known.dimension != len(vector):
            raise RetrievalError(
                f"the vector has {len(vector)} numbers, those of {self._index.path} have {known.dimension}"
                + self._way_to(known)
            )
        return Meaning.of(vector, known, epoch)

    def _way_to(self, known: Fingerprint) -> str:
        """What to do for a vector that can be compared with the file's, after what is wrong with another."""
        own = None if self._choice is None else self.loaded()[0]  # where none was chosen it is the file's
        if own is None or self._made(known):
            return "; make it with the knowledge base's embeddings.embed_query"
        return f" and {_by_another(known, own)}"

    def _made(self, known: Fingerprint | None) -> bool:
        """Whether this embedder made the vectors of that fingerprint."""
        mark = self.loaded()[1]
        return mark is not None and known is not None and known.is_same(mark)

    def _known(self) -> tuple[Fingerprint | None, int]:
        with self._index.snapshot():
            return self._index.fingerprint(), self._index.vectors_epoch

    def _choose(self) -> Embedder | None:
        if self._choice is not None:
            return None if self._choice == NO_EMBEDDER else embedder(self._choice)
        recorded = self._index.setting("choice") or self._index.setting("embedder")
        if recorded == NO_EMBEDDER:
            return None
        try:
            return embedder(recorded or DEFAULT)
        except MissingExtraError:
            if recorded is None:  # a new file: words alone are a good start
                return None
            raise
        except PluginNotFoundError as error:
            raise RetrievalError(
                f"the vectors of {self._index.path} were made by {recorded}, which is none of the installed embedders;"
                " give embedder=… those embeddings, another embedder to have new vectors made, or 'none' to search by"
                " words"
            ) from error


def _by_another(known: Fingerprint, own: Embedder) -> str:
    return f"were made by {known.name} and not by {own.name}, or by another version of it; run sync to make new ones"
