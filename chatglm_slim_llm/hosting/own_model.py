"""ChatGLM-6B-Slim or the demo model, loaded: its own tokenizer counts, and its engine leaves out what does not fit."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine import check_format
from chatglm_slim_llm.engine.fitting import fit_prompt
from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError, PromptTooLongError
from chatglm_slim_llm.hosting.assistant import ContextUse, Progress, Request
from chatglm_slim_llm.hosting.model import Said, messages_of, parameters_of
from chatglm_slim_llm.llm import ChatGLMSlim
from chatglm_slim_llm.llm_options import check_numbers
from chatglm_slim_llm.messages import to_conversation
from chatglm_slim_llm.storage import Figures
from chatglm_slim_llm.wishes import read_wish, to_tool

_UNWRITTEN = "."
"""Stands for a question that is not typed yet; a prompt without one cannot be built."""


class OwnModel:
    """Our own model, loaded when this is made."""

    def __init__(self, llm: ChatGLMSlim, progress: Progress) -> None:
        self._llm = llm
        self._running = llm._load(progress)
        self.quantization: str = self._running.loaded.level
        self.device = str(self._running.loaded.device)
        self.context = int(self._running.engine.model.config.max_sequence_length)

    def check(self, request: Request) -> None:
        """Refuse parameters that cannot be used."""
        self._options(request)

    def limit(self, request: Request) -> int:
        """Tokens that prompt and reply may fill together in this request."""
        return min(self._options(request).max_length, self.context)

    def _options(self, request: Request) -> GenerationOptions:
        call = parameters_of(request)
        check_numbers(call)
        try:
            return GenerationOptions(**{**call, "stop": tuple(call.get("stop") or ())})
        except TypeError as error:
            raise ConfigError(f"a parameter cannot be used: {error}", key="parameters") from error

    # --- counting

    def count(self, request: Request, tools: Sequence[BaseTool]) -> ContextUse:
        """What the request would fill, by the rule by which it is answered."""
        limit = self.limit(request)
        question = request.turns[-1].text if request.turns else ""
        question_tokens = self.count_tokens(question) if question else 0
        if request.knowledge_base:  # the passages are chosen to fit; rounds only tell what a follow-up is about
            return ContextUse(question_tokens, limit, 0, question_tokens)
        conversation = to_conversation(messages_of(request), tools=list(map(to_tool, tools)), is_complete=False)
        query = conversation.query if conversation.query.strip() else _UNWRITTEN
        try:
            fitted = fit_prompt(
                self._running.engine.tokenizer,
                query=query,
                history=conversation.history,
                system=conversation.system,
                options=self._options(request),
                context_length=self.context,
                open_rounds=conversation.open_rounds,
            )
        except PromptTooLongError as error:
            return ContextUse(error.prompt_tokens, limit, len(conversation.history), question_tokens)
        tokens = len(fitted.input_ids) - (0 if query is conversation.query else self.count_tokens(_UNWRITTEN))
        return ContextUse(tokens, limit, fitted.dropped_rounds, question_tokens)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by itself."""
        return len(self._llm.get_token_ids(text))

    def fitted(self, request: Request, tools: Sequence[BaseTool]) -> tuple[Request, int]:
        """The request as it is: the engine fits it."""
        return request, 0

    # --- answering

    def complaint(self, tool: BaseTool) -> str:
        """Why no reply can be held to the schema of a tool; empty if it can."""
        try:
            format = read_wish({"tools": [tool]}).format()
            assert format is not None
            check_format(format)
        except ChatGLMSlimError as error:
            return str(error)
        return ""

    def stream(
        self, messages: Sequence[BaseMessage], request: Request, tools: Sequence[BaseTool], *, may_call: bool = True
    ) -> Generator[str, None, Said]:
        """Answer in pieces; closing the generator ends the work after the current step."""
        llm: Runnable[Any, Any] = self._llm.bind_tools(tools) if tools and may_call else self._llm
        whole: AIMessageChunk | None = None
        with closing(cast(Any, llm.stream(list(messages), **parameters_of(request)))) as chunks:
            for chunk in chunks:
                whole = chunk if whole is None or not tools else whole + chunk
                yield chunk.text
        said = self.said(request, whole)
        assert said is not None
        return said

    def for_documents(self, request: Request) -> Runnable[Any, Any]:
        """The model with temperature 0."""
        return self._llm.bind(**parameters_of(request) | {"temperature": 0})

    def said(self, request: Request, message: AIMessage | None) -> Said | None:
        """What the last message of a reply says of it."""
        about: dict[str, Any] = message.response_metadata if message else {}
        reason = about.get("finish_reason")
        if message is None or reason is None:
            return None
        usage: Any = message.usage_metadata or {}
        figures = Figures(
            output_tokens=usage.get("output_tokens"),
            tokens_per_s=about.get("tokens_per_s"),
            first_token_s=about.get("time_to_first_token_s"),
            prompt_tokens=usage.get("input_tokens"),
            limit=self.limit(request),
        )
        return Said(message, "stop" if reason == "tool_calls" else reason, figures, about.get("dropped_rounds", 0))
