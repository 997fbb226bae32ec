"""Ask your documents: find passages, put them before a model, and say what its answer rests on.

Two steps and no agent: a model of 2,048 tokens wants every one of them to be chosen for it. The chain is a `Runnable`
over any finder and any chat model. It finds and asks; what may stand in a prompt `context.py` knows, what an answer
cites `citations.py`, what a follow-up is about `condensing.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import patch_config
from langchain_core.tools import BaseTool, StructuredTool

from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.retrieval.citations import Answer, CitationReader
from chatglm_slim_llm.retrieval.condensing import Condensed, condense, rewritten, to_rewrite
from chatglm_slim_llm.retrieval.context import (
    FEWEST_TOKENS,
    NOT_FOUND,
    Count,
    Numbered,
    fit,
    language_of,
    prompt_for,
)
from chatglm_slim_llm.retrieval.gathering import Finder, RetrieverFinder, good_enough, least_score_of, widen
from chatglm_slim_llm.retrieval.passages import Passage
from chatglm_slim_llm.retrieval.quoting import quoted
from chatglm_slim_llm.retrieval.splitting import estimate_tokens
from chatglm_slim_llm.storage import Source

ChainInput = str | Mapping[str, Any]
"""A question, or ``{"question": …, "history": [messages]}``."""

_SMALL_CONTEXT, _LARGEST_CONTEXT = 2048, 8192
"""Tokens of a model that does not tell, and the most that passages are looked up for."""
_MARKS_AROUND = 8
"""Tokens that a model puts around a prompt, and what counting in parts may miss."""


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """How passages are found and given to the model."""

    k: int = 8
    """Passages to look for; as many of them are used as fit."""
    most_passages: int | None = None
    """Passages in the prompt at most; ``None`` leaves it to their length."""
    passage_tokens: int | None = None
    """Tokens of one passage at most, around the words of the question; ``None`` leaves them whole."""
    neighbours: int = 1
    """Chunks before and after each hit that are joined to it where there is room."""
    threshold: float | None = None
    """The model is not asked when the best passage scores less; ``None``: what the finder calls its ``least_score``.
    Scores mean something within one search mode only."""
    reply_tokens: int = 256
    """Tokens of the model's context that are left to the answer."""
    context_tokens: int | None = None
    """Prompt and answer together; ``None`` asks the model: its ``max_length``, or its profile."""
    search_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What else ``finder.search`` is told, such as ``{"mode": "keyword"}``."""

    def __post_init__(self) -> None:
        for name in ("k", "most_passages", "passage_tokens", "reply_tokens", "context_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1", key=name)


FOR_THE_DEMO = AnswerOptions(most_passages=1, passage_tokens=120, neighbours=0)
"""The demo model reads one short passage well: of more it answers from the wrong one (`docs/retrieval.md`)."""


class AnswerChain(Runnable[ChainInput, Answer]):
    """Answers questions from what a finder finds, with numbered citations.

    ``stream`` gives pieces of the answer that add up to what ``invoke`` returns: first the passages, then text as the
    model writes it. Closing the stream stops the model. The rounds of ``history`` only tell what a follow-up is about;
    the model reads the passages and the question, nothing else.

    Args:
        finder: a `KnowledgeBase`, a retriever of LangChain, or anything with ``search(query, k)``.
        llm: any chat model, also with ``bind``, ``with_config`` or ``with_retry`` around it.
        options: how passages are found and given to the model; for the small demo model ``FOR_THE_DEMO`` by default.
        condense_with: a capable model that rewrites follow-ups; by default they are made to stand alone without one.

    Examples:
        >>> chain = AnswerChain(finder, llm)
        >>> answer = chain.invoke({"question": "它创建于哪一年？", "history": history})
        >>> answer.text, [citation.passage.source for citation in answer.citations]
        ('1911年 [1]', ['notes/清华大学.md'])
    """

    def __init__(
        self,
        finder: Finder | BaseRetriever,
        llm: BaseChatModel | Runnable[Any, Any],
        options: AnswerOptions | None = None,
        *,
        condense_with: BaseChatModel | None = None,
    ) -> None:
        self.finder: Finder = RetrieverFinder(finder) if isinstance(finder, BaseRetriever) else finder
        self.llm = llm
        self._model = model_of(llm)
        self.options = options or options_for(self._model)
        self.condense_with = condense_with

    # --- what LangChain calls ---

    def invoke(self, input: ChainInput, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """Answer one question.

        Raises:
            RetrievalError: the question leaves no room for passages, or the documents cannot be searched.
        """
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: ChainInput, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """Answer one question; searching happens in a thread."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(self, input: ChainInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Answer]:
        """The answer in pieces that add up: passages first, then text."""
        pieces = self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)
        with closing(cast(Any, pieces)):
            yield from pieces

    async def astream(
        self, input: ChainInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Answer]:
        """`stream` for an event loop."""
        pieces = self._atransform_stream_with_config(_once(input), self._astream, config, **kwargs)
        async with aclosing(cast(Any, pieces)):
            async for piece in pieces:
                yield piece

    # --- the steps ---

    def _invoke(self, input: ChainInput, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Answer:
        child = patch_config(config, callbacks=run_manager.get_child())
        return sum(self._pieces(input, child), Answer())

    async def _ainvoke(
        self, input: ChainInput, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> Answer:
        answer = Answer()
        async for piece in self._apieces(input, patch_config(config, callbacks=run_manager.get_child())):
            answer += piece
        return answer

    def _stream(
        self, inputs: Iterator[ChainInput], run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> Iterator[Answer]:
        for input in inputs:
            yield from self._pieces(input, config)

    async def _astream(
        self, inputs: AsyncIterator[ChainInput], run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> AsyncIterator[Answer]:
        async for input in inputs:
            async with aclosing(cast(Any, self._apieces(input, config))) as pieces:
                async for piece in pieces:
                    yield piece

    def _pieces(self, input: ChainInput, config: RunnableConfig) -> Iterator[Answer]:
        question, history = read_input(input)
        wanted = condense(question, history)
        if self.condense_with is not None and history:
            reply = self.condense_with.invoke(to_rewrite(question, history), config)
            wanted = rewritten(reply.text, wanted)
        found = self._find(wanted)
        yield found
        if not found.passages_in_prompt:
            return
        reader = CitationReader(found.passages_in_prompt)
        with closing(cast(Any, self.llm.stream(self._prompt(found), config))) as chunks:
            for chunk in chunks:
                if chunk.text:
                    yield reader.push(chunk.text)
        yield reader.end()

    async def _apieces(self, input: ChainInput, config: RunnableConfig) -> AsyncIterator[Answer]:
        question, history = read_input(input)
        wanted = condense(question, history)
        if self.condense_with is not None and history:
            reply = await self.condense_with.ainvoke(to_rewrite(question, history), config)
            wanted = rewritten(reply.text, wanted)
        found = await asyncio.to_thread(self._find, wanted)
        yield found
        if not found.passages_in_prompt:
            return
        reader = CitationReader(found.passages_in_prompt)
        async with aclosing(cast(Any, self.llm.astream(self._prompt(found), config))) as chunks:
            async for chunk in chunks:
                if chunk.text:
                    yield reader.push(chunk.text)
        yield reader.end()

    def _find(self, wanted: Condensed) -> Answer:
        """The passages for a question, as the first piece of its answer; the whole answer if there are none."""
        options = self.options
        hits = list(cast(Any, self.finder).search(wanted.query, k=options.k, **options.search_kwargs))
        numbered: list[Numbered] = []
        mode = options.search_kwargs.get("mode", "hybrid")
        if good_enough(hits, least_score_of(self.finder, mode) if options.threshold is None else options.threshold):
            count, room = counter_of(self._model), self._room(wanted.question)
            reach = 0 if options.search_kwargs.get("filter") else options.neighbours  # a filter is for them as well
            # Each line has its number and a line break, which the tokens that are spent on neighbours must not take.
            widened = widen(self.finder, hits, reach=reach, room=room - 8 * len(hits), count=count)
            most, longest = options.most_passages, options.passage_tokens
            numbered = fit(widened, wanted.question, budget=room, count=count, most=most, longest=longest)
        if not numbered:
            text = NOT_FOUND[language_of(wanted.question)]
            return Answer(text, is_found=False, question_used=wanted.question)
        return Answer(passages_in_prompt=tuple(numbered), question_used=wanted.question)

    def _room(self, question: str) -> int:
        """Tokens for passages."""
        count, context = counter_of(self._model), self.options.context_tokens or context_of(self._model)
        frame = count(prompt_for([], question, language_of(question), not _is_demo(self._model))) + _MARKS_AROUND
        room = context - self.options.reply_tokens - frame
        if room < FEWEST_TOKENS:
            raise RetrievalError(
                f"the question takes {frame} of {context} tokens and {self.options.reply_tokens} are for the answer; "
                "nothing is left for passages, so ask in fewer words or lower reply_tokens"
            )
        return room

    def _prompt(self, found: Answer) -> str:
        question = found.question_used
        return prompt_for(found.passages_in_prompt, question, language_of(question), not _is_demo(self._model))


def options_for(llm: BaseChatModel) -> AnswerOptions:
    """The options that suit a model."""
    return FOR_THE_DEMO if _is_demo(llm) else AnswerOptions()


def _is_demo(llm: BaseChatModel) -> bool:
    return bool(getattr(llm, "is_demo", False))


def read_input(input: ChainInput) -> tuple[str, list[BaseMessage]]:
    """The question and the messages before it.

    Raises:
        ConfigError: there is no question.
    """
    given = {"question": input} if isinstance(input, str) else input if isinstance(input, Mapping) else {}
    question = given.get("question", input)
    if not isinstance(question, str) or not question.strip():
        raise ConfigError(
            f"the question is {question!r}; give a text, or {{'question': …, 'history': [messages]}}", key="question"
        )
    return question.strip(), convert_to_messages(given.get("history") or [])


def model_of(llm: Runnable[Any, Any]) -> BaseChatModel:
    """The chat model within what ``bind``, ``with_config`` or ``with_retry`` put around it.

    Raises:
        ConfigError: there is none.
    """
    inner = llm
    while isinstance(inner, RunnableBindingBase):
        inner = inner.bound
    if not isinstance(inner, BaseChatModel):
        raise ConfigError(f"llm is a {type(llm).__name__}; give a chat model of LangChain", key="llm")
    return inner


def counter_of(llm: BaseChatModel) -> Count:
    """How tokens are counted for a model: by itself, or estimated where LangChain would fetch GPT-2's tokenizer."""
    knows = type(llm).get_token_ids is not BaseChatModel.get_token_ids or llm.custom_get_token_ids is not None
    return llm.get_num_tokens if knows else estimate_tokens


def context_of(llm: BaseChatModel) -> int:
    """Tokens that a model takes, as far as it tells; of a large context only a part is used."""
    told = getattr(llm, "max_length", None) or (llm.profile or {}).get("max_input_tokens") or _SMALL_CONTEXT
    return min(int(told), _LARGEST_CONTEXT)


def sources_of(answer: Answer) -> list[Source]:
    """What to keep with an answer in the history: the passages it cites, or all it was given if it cites none."""
    if not answer.is_found:
        return []
    return [
        Source(
            number=each.number,
            passage_id=each.passage.id,
            source=each.passage.source,
            text=each.passage.text,
            heading=each.passage.heading,
            page=each.passage.page,
            first_line=each.passage.first_line,
            last_line=each.passage.last_line,
            score=each.passage.score,
        )
        for each in answer.cited or answer.passages_in_prompt
    ]


def retriever_tool(
    finder: Finder | BaseRetriever,
    name: str = "search_documents",
    description: str = "Search the user's documents. Returns numbered passages; cite them like [1].",
    *,
    k: int = 4,
    max_tokens: int = 800,
    count: Callable[[str], int] = estimate_tokens,
) -> BaseTool:
    """A tool with which an agent searches documents; its artifact is the list of passages that its content shows.

    Args:
        finder: as for `AnswerChain`.
        name: what the model calls it.
        description: what the model is told of it.
        k: passages at most.
        max_tokens: of what the model is shown.
        count: tokens of a text, such as ``llm.get_num_tokens``.
    """
    finding: Finder = RetrieverFinder(finder) if isinstance(finder, BaseRetriever) else finder

    def search(query: str) -> tuple[str, list[Passage]]:
        hits = finding.search(query, k) if query.strip() else []
        enough = good_enough(hits, least_score_of(finding))
        numbered = fit(hits, query, budget=max_tokens, count=count) if enough else []
        content = "\n".join(map(_labelled, numbered)) or NOT_FOUND[language_of(query)]
        return content, [each.passage for each in numbered]

    async def asearch(query: str) -> tuple[str, list[Passage]]:
        return await asyncio.to_thread(search, query)

    return StructuredTool.from_function(
        search, asearch, name=name, description=description, response_format="content_and_artifact"
    )


def _labelled(numbered: Numbered) -> str:
    """A line of the list, without its folder: an agent may name the file, and need not know where it lies."""
    name = numbered.passage.source.replace("\\", "/").rpartition("/")[2]
    where = ", ".join(filter(None, [name, numbered.passage.location]))
    return f"[{numbered.number}] ({quoted(where)}) {numbered.line}" if where else str(numbered)


async def _once(input: ChainInput) -> AsyncIterator[ChainInput]:
    yield input
