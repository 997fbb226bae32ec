"""A chat model of a plugin: what it does not say of itself is estimated, and none of its calls holds up a stop."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from chatglm_slim_llm.aside import POLL_S, Loop, begin, finished, waiting, why
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import ChatGLMSlimError, GenerationError
from chatglm_slim_llm.hosting.assistant import ContextUse, Request
from chatglm_slim_llm.hosting.model import Said, parameters_of
from chatglm_slim_llm.llm_options import check_numbers
from chatglm_slim_llm.retrieval.chains import counter_of
from chatglm_slim_llm.retrieval.splitting import estimate_tokens
from chatglm_slim_llm.storage import Figures, FinishReason

DEFAULT_CONTEXT = 8192
"""Of a model whose profile does not tell."""
_TURN_TOKENS = 4
"""What stands around each turn."""
_COUNT_S = 5.0
_FIELDS = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "seed": ("seed",),
    "max_tokens": ("max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "num_predict"),
}
"""Our parameters by the names that models have for them."""


class PluginModel:
    """The chat model that a plugin gave."""

    quantization = device = ""

    def __init__(self, llm: BaseChatModel, name: str) -> None:
        self._llm, self._name = llm, name
        self._count: Callable[[str], int] = counter_of(llm)
        self._loop = Loop()
        self.context = _context_of(llm)

    def check(self, request: Request) -> None:
        """Refuse parameters that cannot be used, whatever the model makes of them."""
        call = parameters_of(request)
        check_numbers(call)
        known = {name: value for name, value in call.items() if name in GenerationOptions.__dataclass_fields__}
        GenerationOptions(**known | {"stop": tuple(call.get("stop") or ())})

    def limit(self, request: Request) -> int:
        """The model's context; our own limit of length is not its."""
        return self.context

    # --- counting

    def count(self, request: Request, tools: Sequence[BaseTool]) -> ContextUse:
        """What the request would fill; an estimate where the model cannot count."""
        question = request.turns[-1].text if request.turns else ""
        question_tokens = self.count_tokens(question) if question else 0
        if request.knowledge_base:
            return ContextUse(question_tokens, self.context, 0, question_tokens)
        _, dropped_rounds, tokens = self._fitted(request, tools)
        return ContextUse(tokens, self.context, dropped_rounds, question_tokens)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, or about as many."""
        return self._count_each([text])[0]

    def fitted(self, request: Request, tools: Sequence[BaseTool]) -> tuple[Request, int]:
        """The request without the oldest rounds that leave no room for a reply, and how many these are."""
        request, dropped_rounds, _ = self._fitted(request, tools)
        return request, dropped_rounds

    def _fitted(self, request: Request, tools: Sequence[BaseTool]) -> tuple[Request, int, int]:
        turns = request.turns
        described = [str(convert_to_openai_tool(tool)) for tool in tools]
        around, *sizes = self._count_each(["\n".join([request.system, *described]), *(turn.text for turn in turns)])
        tokens = around + sum(sizes) + _TURN_TOKENS * len(turns)
        room = self.context - min(int(request.parameters.get("max_tokens") or self.context // 4), self.context // 2)  # type: ignore[call-overload]
        start = dropped_rounds = 0
        while tokens > room and start < len(turns) - 1:
            dropped_rounds += turns[start].role == "human"
            tokens -= sizes[start] + _TURN_TOKENS
            start += 1
            if turns[start].role == "ai":  # an answer without its question
                tokens -= sizes[start] + _TURN_TOKENS
                start += 1
        return replace(request, turns=turns[start:]), dropped_rounds, tokens

    def _count_each(self, texts: Sequence[str]) -> list[int]:
        if self._count is not estimate_tokens:
            count = self._count
            try:
                return finished(waiting(begin(lambda: [int(count(text)) for text in texts], "count"), _COUNT_S))
            except Exception:  # it may need a network, a package, or anything
                self._count = estimate_tokens
        return list(map(estimate_tokens, texts))

    # --- answering

    def complaint(self, tool: BaseTool) -> str:
        """Nothing: what a model makes of a tool's schema is its own affair."""
        return ""

    def stream(
        self, messages: Sequence[BaseMessage], request: Request, tools: Sequence[BaseTool], *, may_call: bool = True
    ) -> Generator[str, None, Said]:
        """Answer in pieces; closing the generator leaves the model alone, whatever it waits for.

        Tools are told of even where they may not be called: some services want them for the calls in ``messages``.
        """
        llm, stop = self._with(request), parameters_of(request).get("stop")
        source: Runnable[Any, Any] = llm.bind_tools(tools) if tools else llm
        reply = _Reply(time.monotonic())
        with closing(self._chunks(source, list(messages), {"stop": stop} if stop else {})) as chunks:
            for chunk in chunks:
                yield reply.take(chunk) if chunk is not None else ""
        message = reply.message
        if message is None:
            raise GenerationError(f"the plugin models.{self._name} gave no answer")
        return Said(message, reply.reason, self._figures(reply, message, request, tools))

    def for_documents(self, request: Request) -> Runnable[Any, Any]:
        """The model with temperature 0, if it takes one."""
        stop = parameters_of(request).get("stop")
        llm = self._with(replace(request, parameters={**request.parameters, "temperature": 0}))
        return llm.bind(stop=stop) if stop else llm

    def said(self, request: Request, message: AIMessage | None) -> Said | None:
        """What the last message of a reply says of it."""
        if message is None:
            return None
        usage: Any = message.usage_metadata or {}
        figures = Figures(usage.get("output_tokens"), None, None, usage.get("input_tokens"), self.context)
        return Said(message, _reason_of(message) or "stop", figures)

    def _with(self, request: Request) -> BaseChatModel:
        """The model with the parameters that it has fields for."""
        fields = type(self._llm).model_fields
        wanted = {
            next((field for field in names if field in fields), ""): request.parameters[ours]
            for ours, names in _FIELDS.items()
            if request.parameters.get(ours) is not None
        }
        wanted.pop("", None)
        return self._llm.model_copy(update=wanted) if wanted else self._llm

    def _chunks(
        self, source: Runnable[Any, Any], messages: list[BaseMessage], call: dict[str, Any]
    ) -> Generator[AIMessage | None]:
        """The model's chunks as they come, and ``None`` while there are none."""
        came: queue.SimpleQueue[AIMessage | None] = queue.SimpleQueue()
        given_up = threading.Event()
        work = self._begin(source, messages, call, came, given_up)
        work.add_done_callback(lambda _: came.put(None))
        try:
            while True:
                try:
                    chunk = came.get(timeout=POLL_S)
                except queue.Empty:
                    yield None
                    continue
                if chunk is None:
                    break
                yield chunk
        finally:
            given_up.set()
            work.cancel()
        try:
            work.result()
        except ChatGLMSlimError:
            raise
        except Exception as error:
            raise GenerationError(f"the plugin models.{self._name} failed: {why(error)}") from error

    def _begin(
        self,
        source: Runnable[Any, Any],
        messages: list[BaseMessage],
        call: dict[str, Any],
        came: queue.SimpleQueue[AIMessage | None],
        given_up: threading.Event,
    ) -> Future[None]:
        def pump() -> None:
            with closing(cast(Any, source.stream(messages, **call))) as chunks:
                for chunk in chunks:
                    if given_up.is_set():
                        return
                    came.put(chunk)

        async def pump_async() -> None:
            async with aclosing(cast(AsyncGenerator[Any], source.astream(messages, **call))) as chunks:
                async for chunk in chunks:
                    came.put(chunk)

        return self._loop.begin(pump_async()) if _streams_only_async(self._llm) else begin(pump, self._name)

    def _figures(self, reply: _Reply, message: AIMessage, request: Request, tools: Sequence[BaseTool]) -> Figures:
        usage: Any = message.usage_metadata or {}
        written, read = usage.get("output_tokens"), usage.get("input_tokens")
        return Figures(
            output_tokens=written,
            tokens_per_s=reply.pace(written),
            first_token_s=reply.first_s,
            prompt_tokens=self._fitted(request, tools)[2] if read is None else read,
            limit=self.context,
        )


@dataclass
class _Reply:
    """One reply as it comes."""

    began_at_s: float
    message: AIMessage | None = None
    first_s: float | None = None
    """Seconds to the first words."""
    reason: FinishReason = "stop"

    def take(self, chunk: AIMessage) -> str:
        """Take the next chunk; gives its words."""
        text = str(chunk.text)
        if self.first_s is None and (text or chunk.tool_calls):
            self.first_s = time.monotonic() - self.began_at_s
        if isinstance(self.message, AIMessageChunk) and isinstance(chunk, AIMessageChunk):
            self.message = self.message + chunk
        else:
            self.message = chunk
        self.reason = _reason_of(chunk) or self.reason
        return text

    def pace(self, tokens: int | None) -> float | None:
        """Tokens a second, counted as our own engine does: from the first words on."""
        elapsed_s = time.monotonic() - self.began_at_s - (self.first_s or 0)
        return (tokens - 1) / elapsed_s if tokens and tokens > 1 and elapsed_s > 0.001 else None


def _context_of(llm: BaseChatModel) -> int:
    with suppress(Exception):  # a property may be written by anybody
        tokens = (llm.profile or {}).get("max_input_tokens")
        if isinstance(tokens, int) and tokens > 0:
            return tokens
    return DEFAULT_CONTEXT


def _reason_of(message: AIMessage) -> FinishReason | None:
    """Why a reply ended, by the names that the services have for it; ``None`` while it goes on."""
    about = message.response_metadata
    said = next((about[key] for key in ("finish_reason", "stop_reason", "done_reason") if about.get(key)), None)
    if said is None:
        return None
    return "length" if str(said).lower() in ("length", "max_tokens", "max_output_tokens") else "stop"


def _streams_only_async(llm: BaseChatModel) -> bool:
    kind = type(llm)
    return kind._stream is BaseChatModel._stream and kind._astream is not BaseChatModel._astream
