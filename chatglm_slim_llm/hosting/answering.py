"""A loaded model at work: requests in, pieces and counts out, in this process.

Importing this brings LangChain, loading one of our models brings torch; ``local.py`` does both when they are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import LLMResult

from chatglm_slim_llm.aside import each_as
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.hosting.knowledge import Knowledge
from chatglm_slim_llm.hosting.memory import memory_bytes
from chatglm_slim_llm.hosting.model import message_of, messages_of
from chatglm_slim_llm.hosting.model_loading import load_model
from chatglm_slim_llm.hosting.tool_rounds import ToolRounds, last_piece
from chatglm_slim_llm.hosting.tool_use import ToolRunner
from chatglm_slim_llm.hosting.trimming import trimmed
from chatglm_slim_llm.toolbox import Toolbox

_NO_TOOLS_HERE = "tools are not used while a knowledge base answers; choose one of the two"


class Answering:
    """One model, loaded when it is made.

    Args:
        options: which model.
        progress: hears how far the loading is.
        memory_before_bytes: what the process held before.
        doing: called with what of other people's code is at work, and with nothing after it.
    """

    def __init__(
        self,
        options: LoadOptions,
        progress: Progress,
        *,
        memory_before_bytes: int,
        doing: Callable[[str], object] = lambda who: None,
    ) -> None:
        self._model = load_model(options, progress)
        self._knowledge = Knowledge()
        self._toolbox = Toolbox()
        self._runner = ToolRunner(doing=doing)
        self._doing = doing
        self.facts = ModelFacts(
            name=options.model,
            quantization=self._model.quantization,
            device=self._model.device,
            context=self._model.context,
            memory_before_bytes=memory_before_bytes,
            memory_bytes=memory_bytes(),
        )

    def close(self) -> None:
        """Let go of the knowledge base; the weights go with this object."""
        self._knowledge.close()

    def permit(self, use_id: str, allowed: bool) -> None:
        """Whether a tool that asks may be used."""
        self._runner.permit(use_id, allowed)

    def count(self, request: Request) -> ContextUse:
        """What the request would fill, by the rule by which it is answered; of tools, those that are made already."""
        self._model.check(request)
        request, left_out = trimmed(request, self._model.context)
        use = self._model.count(request, self._toolbox.made(request.tools).tools)
        return replace(use, dropped_rounds=use.dropped_rounds + left_out)

    def stream(self, request: Request) -> Generator[Piece]:
        """The reply in pieces; closing the generator ends the work after the current step."""
        self._model.check(request)
        request, left_out = trimmed(request, self._model.context)
        if request.knowledge_base:
            return self._from_documents(request)
        return self._with_tools(request, left_out) if request.tools else self._from_model(request, left_out)

    def _from_model(self, request: Request, left_out: int) -> Generator[Piece]:
        request, dropped_rounds = self._model.fitted(request, ())
        said = yield from each_as(self._model.stream(messages_of(request), request, ()), Piece)
        yield last_piece(said, left_out + dropped_rounds)

    def _with_tools(self, request: Request, left_out: int) -> Generator[Piece]:
        opening = self._toolbox.open(request.tools, doing=self._doing)
        tools = yield from each_as(opening, lambda _: Piece())
        for notice in tools.notices:
            yield Piece(notice=notice)
        if not tools.tools:
            yield from self._from_model(request, left_out)
            return
        yield from ToolRounds(self._model, self._runner, tools, request, left_out).pieces()

    def _from_documents(self, request: Request) -> Generator[Piece]:
        from chatglm_slim_llm.retrieval.chains import sources_of

        if request.tools:
            yield Piece(notice=_NO_TOOLS_HERE)
        last = _LastMessage()
        answers = self._knowledge.answers(
            request.knowledge_base,
            self._model.for_documents(request),
            list(map(message_of, request.turns[:-1])),
            request.turns[-1].text,
            self._model.limit(request),
            last,
        )
        with closing(answers) as pieces:
            seen = []
            for answer in pieces:
                seen.append(answer)
                yield Piece(answer.text)
        said = self._model.said(request, last.message)
        sources = tuple(sources_of(sum(seen[1:], seen[0])))
        yield Piece("", said.reason if said else "stop", said.figures if said else None, sources)


class _LastMessage(BaseCallbackHandler):
    """Remembers what the model ended with, which a chain does not pass on."""

    def __init__(self) -> None:
        self.message: AIMessage | None = None

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        message = getattr(response.generations[0][0], "message", None)
        self.message = message if isinstance(message, AIMessage | AIMessageChunk) else None
