"""ChatGLM-6B-Slim as a LangChain chat model: messages in, chunks out; no tensors here.

Importing this module loads neither torch nor transformers, and constructing the class reads no file: the
weights load on first use, once, in whatever thread that happens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict

from chatglm_slim_llm.asking import PromptOverflowError, Question, aask, ask
from chatglm_slim_llm.batching import Batching
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.llm_options import PROVIDER
from chatglm_slim_llm.local_model import LocalModel
from chatglm_slim_llm.messages import to_conversation
from chatglm_slim_llm.registration import register
from chatglm_slim_llm.structured import Method, structured
from chatglm_slim_llm.until import ReplyTimeoutError
from chatglm_slim_llm.wishes import ToolLike, as_openai, read_wish, to_tool

__all__ = ["ChatGLMSlim", "PromptOverflowError", "ReplyTimeoutError"]


class ChatGLMSlim(Batching, LocalModel, BaseChatModel):
    """A ChatGLM-6B(-Slim) checkpoint, or the small demo model, answering in this process.

    ``ChatGLMSlim()`` is the demo. Model, level, device and ``kv_cache_dtype`` that are not given come from
    ``CHATGLM_SLIM_MODEL``, ``…_QUANTIZATION``, ``…_DEVICE`` and ``…_KV_CACHE_DTYPE``. Sampling options can be given
    for one call as well: ``llm.invoke("你好", temperature=0, stop=["\\n"])``. One object may be used from any number
    of threads.

    Raises:
        ConfigError: an option is unknown or has a value that cannot be used.
    """

    streaming: bool = False
    """Whether ``invoke`` streams inside, so that callbacks see every token; LangChain's own switch."""

    model_config = ConfigDict(extra="forbid")

    @staticmethod
    def register() -> None:
        """Make LangChain know this class: ``init_chat_model("chatglm:demo")``, ``init_embeddings`` and ``load``."""
        register()

    # --- replies ---

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        yield from ask(self._question(messages, stop, kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from chatglm_slim_llm.replies import join

        return join(list(ask(self._question(messages, stop, kwargs), wants_whole=True)))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(aask(self._question(messages, stop, kwargs))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = [chunk async for chunk in aask(self._question(messages, stop, kwargs), wants_whole=True)]
        from chatglm_slim_llm.replies import join  # not before: it brings torch, for which the loop would wait

        return join(chunks)

    def _question(self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]) -> Question:
        options, wish = self._generation_options(stop, kwargs), read_wish(kwargs)
        return Question(self, to_conversation(messages, tools=wish.tools, schema=wish.schema), wish, options, kwargs)

    # --- tools and structured output ---

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call ``tools``; calls are always of a listed tool, with arguments that fit its schema.

        Args:
            tools: functions with type hints, tools, pydantic classes, TypedDicts, or dicts of any provider's form.
            tool_choice: ``auto`` (the default) leaves it to the model, ``any`` or True forces a call, a name forces
                that tool, ``none`` forbids calls.
            parallel_tool_calls: whether one reply may make several calls.
            strict: taken for the sake of others; arguments always fit.
            **kwargs: further options of each call.

        Raises:
            ConfigError: a tool cannot be described, two have one name, or the choice names none of them.
        """
        bound = {"tools": tools, "tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls}
        read_wish(bound)
        bound["tools"] = [as_openai(to_tool(tool)) for tool in tools or ()]
        return self.bind(**{name: value for name, value in bound.items() if value is not None}, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """A chain whose result is an object of ``schema``; see `structured`. What the model writes always fits it."""
        return structured(self, schema, method, include_raw=include_raw, **kwargs)

    # --- what LangChain asks for ---

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where ``load`` finds the class."""
        return ["chatglm_slim_llm", "llm"]

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The key of LangChain's caches: everything that a reply depends on, the files of the checkpoint too."""
        depends_on = self._identifying_params | {"stop": self._stop(stop)} | kwargs
        depends_on["checkpoint"] = self._weights_of(kwargs.get("model")).fingerprint()
        return f"{self._llm_type} {sorted(depends_on.items())}"

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return super()._get_invocation_params(stop=self._stop(stop), **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=self._stop(stop), **kwargs)
        return LangSmithParams(**params | {"ls_provider": PROVIDER})

    def _resolve_model_profile(self) -> ModelProfile:
        """What the model can do, for middleware that asks before it sends; no file is read for it."""
        limit = min(self.max_length, GenerationOptions.max_length)  # more than that the model was not trained for
        return ModelProfile(
            max_input_tokens=limit,
            max_output_tokens=min(self.max_tokens or limit, limit),
            text_inputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            text_outputs=True,
            tool_calling=True,
            tool_choice=True,
            structured_output=False,  # as create_agent means it: together with tools, in one reply
        )

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None) -> int:
        """Tokens of the prompt that the messages make, with all that stands around them, were nothing left out.

        Args:
            messages: need not end with a question.
            tools: as for `bind_tools`.
        """
        from chatglm_slim_llm.engine import prompt_text

        conversation = to_conversation(messages, tools=[to_tool(tool) for tool in tools or ()], is_complete=False)
        text = prompt_text(conversation.query, conversation.history, conversation.system)
        return len(self._tokenizer().encode(text))
