"""Vectors of texts from the model that also answers: retrieval without a second model in memory.

A vector is the mean, over the tokens of a text, of what the model makes of them when it reads the text as a prompt, so
every token has seen the whole text. Importing this module loads neither torch nor transformers, and constructing the
class reads no file.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings

from chatglm_slim_llm.errors import ConfigError, GenerationError
from chatglm_slim_llm.local_weights import LocalWeights
from chatglm_slim_llm.until import Until

if TYPE_CHECKING:
    from torch import Tensor

    from chatglm_slim_llm.network import ChatGLMTokenizer


class ChatGLMSlimEmbeddings(LocalWeights, Embeddings):
    """Vectors from the hidden states of a ChatGLM-6B(-Slim) checkpoint, or of the small demo model.

    Takes the options and environment variables of `ChatGLMSlim` that say which model, and shares the weights with one
    of the same model, level and device. A text that is longer than the model's context is read in windows of equal
    length. An empty text has a vector too: what the model makes of the mark that ends every prompt. One object may be
    used from any number of threads, also while the model answers.

    Raises:
        ConfigError: an option is unknown or has a value that cannot be used.
    """

    normalize: bool = True
    """Whether vectors have length 1, so that their dot product is their cosine."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text, in order; a text's vector does not depend on the others.

        Raises:
            CheckpointError: there is no such checkpoint, or it cannot be read or downloaded.
            ConfigError: ``texts`` is one text instead of a list, or holds something else than texts.
            GenerationError: a text is not valid Unicode, or the weights give no numbers.
        """
        return list(self._vectors(texts, threading.Event()))

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text; the same as among documents.

        Raises:
            CheckpointError: there is no such checkpoint, or it cannot be read or downloaded.
            ConfigError: ``text`` is no text.
            GenerationError: the text is not valid Unicode, or the weights give no numbers.
        """
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, in a thread of its own; cancelling the task ends the work within a moment."""
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(lambda: list(self._vectors(texts, cancel)))
        finally:
            cancel.set()

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`, in a thread of its own; cancelling the task ends the work within a moment."""
        return (await self.aembed_documents([text]))[0]

    def _vectors(self, texts: Sequence[str], cancel: threading.Event) -> Generator[list[float]]:
        """The vectors one by one; they end early once ``cancel`` is set."""
        _want_texts(texts)
        running = self._load(Until(None, cancel).check_loading)
        from chatglm_slim_llm.network import read_states
        from chatglm_slim_llm.network.states import MAX_TOKENS

        model, tokenizer = running.engine.model, running.engine.tokenizer
        windows = _windows(texts, tokenizer, model.config.max_sequence_length)
        summed: Tensor | float = 0.0
        num_tokens = 0
        for together in _together(windows, MAX_TOKENS):
            states = _result(read_states(model, [window.prompt_ids for window in together]), cancel)
            if states is None:
                return
            for window, of_window in zip(together, states, strict=True):
                counted = of_window[:-1] if len(of_window) > 1 else of_window  # [gMASK] counts only if it is all
                summed, num_tokens = summed + counted.sum(0), num_tokens + len(counted)
                if window.ends_text:
                    yield self._finish_vector(summed / num_tokens)
                    summed, num_tokens = 0.0, 0

    def _finish_vector(self, mean: Tensor) -> list[float]:
        if not mean.isfinite().all():
            raise GenerationError("the weights give states that are no numbers; fetch the checkpoint again")
        vector: list[float] = (mean / mean.norm() if self.normalize else mean).tolist()
        return vector


@dataclass(frozen=True)
class _Window:
    """A text, or as much of it as the model can read at a time."""

    prompt_ids: list[int]
    ends_text: bool


def _result(work: Generator[None, None, list[Tensor]], cancel: threading.Event) -> list[Tensor] | None:
    """Do the work piece by piece; None if it was cancelled."""
    with closing(work):
        while not cancel.is_set():
            try:
                next(work)
            except StopIteration as done:
                states: list[Tensor] = done.value
                return states
    return None


def _want_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise ConfigError("texts is one text; embed_documents takes a list of them, embed_query takes one", key="texts")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ConfigError(f"text {index} is {text!r}; only a str can be embedded", key="texts")


def _windows(texts: Sequence[str], tokenizer: ChatGLMTokenizer, context_length: int) -> Iterator[_Window]:
    for index, text in enumerate(texts):
        try:
            ids = tokenizer.encode(text)
        except ValueError as error:
            raise GenerationError(f"text {index} cannot be embedded: {error}") from error
        ids, marks = ids[:-2], ids[-2:]  # [gMASK] <sop>
        count = max(1, -(-len(ids) // (context_length - len(marks))))
        size = -(-len(ids) // count)
        for number in range(count):
            yield _Window(ids[number * size : (number + 1) * size] + marks, ends_text=number == count - 1)


def _together(windows: Iterable[_Window], max_tokens: int) -> Iterator[list[_Window]]:
    """Neighbours that are read at once: one window at least, and more as long as they are few tokens."""
    waiting: list[_Window] = []
    num_tokens = 0
    for window in windows:
        if waiting and num_tokens + len(window.prompt_ids) > max_tokens:
            yield waiting
            waiting, num_tokens = [], 0
        waiting.append(window)
        num_tokens += len(window.prompt_ids)
    if waiting:
        yield waiting
