"""A loaded model at work: requests in, pieces and counts out, in this process.

Importing this brings torch and LangChain; ``local.py`` and ``child.py`` do so when there is something to do.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import LLMResult

from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.engine.fitting import fit_prompt
from chatglm_slim_llm.errors import ConfigError, GenerationError, PromptTooLongError
from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.hosting.knowledge import Knowledge
from chatglm_slim_llm.hosting.memory import memory_bytes
from chatglm_slim_llm.hosting.trimming import trimmed
from chatglm_slim_llm.llm import ChatGLMSlim
from chatglm_slim_llm.llm_options import check_numbers
from chatglm_slim_llm.messages import Conversation, to_conversation
from chatglm_slim_llm.storage import Figures
from chatglm_slim_llm.weights import Running, share

_UNWRITTEN = "."
"""Stands for a question that is not typed yet; a prompt without one cannot be built."""


class Answering:
    """One model, loaded when it is made."""

    def __init__(self, options: LoadOptions, progress: Progress, *, memory_before_bytes: int) -> None:
        self._options = options
        self._llm = ChatGLMSlim(model=options.model, quantization=options.quantization, device=options.device)
        self._llm.load(progress)
        self._running: Running = share(options).get(allow_download=False)
        self._knowledge = Knowledge()
        loaded = self._running.loaded
        self.facts = ModelFacts(
            name=options.model,
            quantization=loaded.level,
            device=str(loaded.device),
            context=self._context,
            memory_before_bytes=memory_before_bytes,
            memory_bytes=memory_bytes(),
        )

    @property
    def _context(self) -> int:
        return int(self._running.engine.model.config.max_sequence_length)

    def close(self) -> None:
        """Let go of the knowledge base; the weights go with this object."""
        self._knowledge.close()

    # --- counting

    def count(self, request: Request) -> ContextUse:
        """What the request would fill, by the rule by which it is answered."""
        options, limit = self._checked(request), self._limit(request)
        request, left_out = trimmed(request, self._context)
        question = request.turns[-1].text if request.turns else ""
        question_tokens = self._count_tokens(question) if question else 0
        if request.knowledge_base:  # the passages are chosen to fit; rounds only tell what a follow-up is about
            return ContextUse(question_tokens, limit, 0, question_tokens)
        conversation = _conversation(request)
        query = conversation.query if conversation.query.strip() else _UNWRITTEN
        try:
            fitted = fit_prompt(
                self._running.engine.tokenizer,
                query=query,
                history=conversation.history,
                system=conversation.system,
                options=options,
                context_length=self._context,
            )
        except PromptTooLongError as error:
            return ContextUse(error.prompt_tokens, limit, left_out + len(conversation.history), question_tokens)
        tokens = len(fitted.input_ids) - (0 if query is conversation.query else self._count_tokens(_UNWRITTEN))
        return ContextUse(tokens, limit, left_out + fitted.dropped_rounds, question_tokens)

    def _count_tokens(self, text: str) -> int:
        return len(self._llm.get_token_ids(text))

    # --- answering

    def stream(self, request: Request) -> Generator[Piece]:
        """The reply in pieces; closing the generator ends the work after the current step."""
        self._checked(request)
        request, left_out = trimmed(request, self._context)
        return self._from_documents(request) if request.knowledge_base else self._from_model(request, left_out)

    def _from_model(self, request: Request, left_out: int) -> Generator[Piece]:
        with closing(cast(Any, self._llm.stream(_messages(request), **_call(request)))) as chunks:
            for chunk in chunks:
                piece = self._piece(request, str(chunk.text), chunk)
                yield replace(piece, dropped_rounds=left_out + piece.dropped_rounds) if piece.finish_reason else piece

    def _from_documents(self, request: Request) -> Generator[Piece]:
        from chatglm_slim_llm.retrieval.chains import sources_of

        last = _LastMessage()
        llm = self._llm.bind(**_call(request) | {"temperature": 0})  # what documents say is not a matter of chance
        answers = self._knowledge.answers(
            request.knowledge_base, llm, _history(request), request.turns[-1].text, self._limit(request), last
        )
        with closing(answers) as pieces:
            seen = []
            for answer in pieces:
                seen.append(answer)
                yield Piece(answer.text)
        piece = self._piece(request, "", last.message)
        yield Piece("", piece.finish_reason or "stop", piece.figures, tuple(sources_of(sum(seen[1:], seen[0]))))

    def _piece(self, request: Request, text: str, message: AIMessage | None) -> Piece:
        about = message.response_metadata if message else {}
        reason = about.get("finish_reason")
        if message is None or reason is None:
            return Piece(text)
        usage: Any = message.usage_metadata or {}
        figures = Figures(
            output_tokens=usage.get("output_tokens"),
            tokens_per_s=about.get("tokens_per_s"),
            first_token_s=about.get("time_to_first_token_s"),
            prompt_tokens=usage.get("input_tokens"),
            limit=self._limit(request),
        )
        return Piece(text, reason, figures, dropped_rounds=about.get("dropped_rounds", 0))

    def _checked(self, request: Request) -> GenerationOptions:
        call = _call(request)
        check_numbers(call)
        try:
            return GenerationOptions(**{**call, "stop": tuple(call.get("stop") or ())})
        except TypeError as error:
            raise ConfigError(f"a parameter cannot be used: {error}", key="parameters") from error

    def _limit(self, request: Request) -> int:
        return min(self._checked(request).max_length, self._context)


class _LastMessage(BaseCallbackHandler):
    """Remembers what the model ended with, which a chain does not pass on."""

    def __init__(self) -> None:
        self.message: AIMessage | None = None

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        message = getattr(response.generations[0][0], "message", None)
        self.message = message if isinstance(message, AIMessage | AIMessageChunk) else None


def _call(request: Request) -> dict[str, Any]:
    """The parameters as keywords of one call; a single stop text is one, not its letters."""
    call: dict[str, Any] = dict(request.parameters)
    if isinstance(call.get("stop"), str):
        call["stop"] = [call["stop"]]
    elif call.get("stop") is not None:
        call["stop"] = list(call["stop"])
    return call


def _messages(request: Request) -> list[BaseMessage]:
    if not request.turns:
        raise GenerationError("there is no question to answer")
    system: list[BaseMessage] = [SystemMessage(request.system)] if request.system.strip() else []
    return [*system, *map(_message, request.turns)]


def _history(request: Request) -> list[BaseMessage]:
    return list(map(_message, request.turns[:-1]))


def _message(turn: Any) -> BaseMessage:
    return HumanMessage(turn.text) if turn.role == "human" else AIMessage(turn.text)


def _conversation(request: Request) -> Conversation:
    return to_conversation(_messages(request), is_complete=False)
