"""One reply, from the options of a LangChain call to chunks: what the chat model and the plain-text one have in common.

Importing this module loads neither torch nor transformers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ContextOverflowError
from langchain_core.outputs import ChatGenerationChunk

from chatglm_slim_llm.batching import cancel_of_batch
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import PromptTooLongError
from chatglm_slim_llm.llm_options import PROVIDER
from chatglm_slim_llm.local_model import LocalModel
from chatglm_slim_llm.messages import Conversation
from chatglm_slim_llm.until import Until
from chatglm_slim_llm.wishes import Wish

if TYPE_CHECKING:
    from chatglm_slim_llm.engine import Engine, Request
    from chatglm_slim_llm.replies import Chunks


class PromptOverflowError(PromptTooLongError, ContextOverflowError):
    """`PromptTooLongError` that LangChain's middleware recognises too."""


@dataclass(frozen=True)
class Question:
    """What a LangChain call asks of the model."""

    model: LocalModel
    """Its options hold where the call gives none."""
    conversation: Conversation
    wish: Wish
    options: GenerationOptions
    """How this call picks its tokens."""
    kwargs: Mapping[str, Any]
    """What else the call says; checked."""

    def until(self, cancel: threading.Event) -> Until:
        """When the reply should end, but for what it says."""
        return Until(self.kwargs.get("timeout", self.model.timeout), cancel)


def ask(question: Question, *, wants_whole: bool = False) -> Generator[ChatGenerationChunk]:
    """One reply; everything that can be wrong with its options is said before anything is loaded.

    It ends with the batch that it belongs to, if it does.

    Args:
        question: what is asked.
        wants_whole: all of the reply is wanted before anything is done with it.
    """
    until = question.until(cancel_of_batch.get() or threading.Event())
    engine, request, chunks = _prepare(question, until, wants_whole)
    with _errors_of_langchain(), closing(engine.stream(request)) as deltas:
        for delta in deltas:
            until.want_time()
            yield chunks.push(delta)


async def aask(question: Question, *, wants_whole: bool = False) -> AsyncGenerator[ChatGenerationChunk]:
    """`ask` for an event loop, which never waits for the model; leaving it ends the reply."""
    cancel = threading.Event()
    until = question.until(cancel)
    try:
        engine, request, chunks = await asyncio.to_thread(_prepare, question, until, wants_whole)
        with _errors_of_langchain():
            async with aclosing(engine.astream(request)) as deltas:
                async for delta in deltas:
                    until.want_time()
                    yield chunks.push(delta)
                    await asyncio.sleep(0)  # tokens that are there already would keep everything else waiting
    finally:
        cancel.set()  # the weights may still be loading


def _prepare(question: Question, until: Until, wants_whole: bool) -> tuple[Engine, Request, Chunks]:
    model, kwargs = question.model, question.kwargs
    format = question.wish.format()
    if format is not None:
        from chatglm_slim_llm.engine import check_format

        check_format(format)
    running = model._load(until.check_loading, kwargs.get("model"))
    from chatglm_slim_llm.engine import Request
    from chatglm_slim_llm.replies import Chunks

    request = Request(
        query=question.conversation.query,
        history=question.conversation.history,
        open_rounds=question.conversation.open_rounds,
        system=question.conversation.system,
        options=question.options,
        format=format,
        wants_whole=wants_whole,
        cancel=until,
    )
    about = {
        "model_name": kwargs.get("model") or model.model,
        "model_provider": PROVIDER,
        "quantization": running.loaded.level,
    }
    return running.engine, request, Chunks(format, about, fix_punctuation=model.fix_punctuation)


@contextmanager
def _errors_of_langchain() -> Iterator[None]:
    try:
        yield
    except PromptTooLongError as error:
        raise PromptOverflowError(str(error), prompt_tokens=error.prompt_tokens, limit=error.limit) from error
