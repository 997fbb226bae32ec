"""ChatGLM-6B-Slim for chains that have prompts, not messages: the text goes to the model as it is.

Importing this module loads neither torch nor transformers, and constructing the class reads no file.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, Generation, GenerationChunk, LLMResult
from pydantic import ConfigDict, PrivateAttr

from chatglm_slim_llm.asking import Question, aask, ask
from chatglm_slim_llm.batching import Batching, arun_all, run_all
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.llm_options import PROVIDER
from chatglm_slim_llm.local_model import LocalModel
from chatglm_slim_llm.messages import to_conversation
from chatglm_slim_llm.wishes import read_wish

_OF_THE_RUN = ("tags", "metadata", "run_name", "run_id")
"""What LangChain gives to ``generate`` beside the options of the call."""


class ChatGLMSlimLLM(Batching, LocalModel, LLM):
    """A ChatGLM-6B(-Slim) checkpoint, or the small demo model, that continues plain text.

    Takes the options of `ChatGLMSlim`, from the same places, and shares the weights with it. ``response_format`` holds
    a reply to JSON as it does there; tools need messages.

    Raises:
        ConfigError: an option is unknown or has a value that cannot be used.
    """

    model_config = ConfigDict(extra="forbid")
    _of_call: dict[str, Any] = PrivateAttr(default_factory=dict)
    """What the replies of one call depend on beside this object's own options."""

    # --- replies ---

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return _join(list(self._chunks(prompt, stop, kwargs, wants_whole=True))).text

    async def _acall(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return _join([chunk async for chunk in self._achunks(prompt, stop, kwargs, wants_whole=True)]).text

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[GenerationChunk]:
        for chunk in self._chunks(prompt, stop, kwargs):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        async for chunk in self._achunks(prompt, stop, kwargs):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        def answer(number: int) -> Generation:
            return _join(list(self._chunks(prompts[number], stop, kwargs, wants_whole=True)))

        return _result(dict(run_all(answer, len(prompts))))

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        async def answer(number: int) -> Generation:
            return _join([chunk async for chunk in self._achunks(prompts[number], stop, kwargs, wants_whole=True)])

        async with aclosing(arun_all(answer, len(prompts))) as completed:
            return _result({number: generation async for number, generation in completed})

    async def _achunks(
        self, prompt: str, stop: list[str] | None, kwargs: Mapping[str, Any], *, wants_whole: bool = False
    ) -> AsyncGenerator[GenerationChunk]:
        async with aclosing(aask(self._question(prompt, stop, kwargs), wants_whole=wants_whole)) as chunks:
            async for chunk in chunks:
                yield GenerationChunk(text=chunk.text, generation_info=_info(chunk))

    def _chunks(
        self, prompt: str, stop: list[str] | None, kwargs: Mapping[str, Any], *, wants_whole: bool = False
    ) -> Generator[GenerationChunk]:
        for chunk in ask(self._question(prompt, stop, kwargs), wants_whole=wants_whole):
            yield GenerationChunk(text=chunk.text, generation_info=_info(chunk))

    def _question(self, prompt: str, stop: list[str] | None, kwargs: Mapping[str, Any]) -> Question:
        options, wish = self._generation_options(stop, kwargs), read_wish(kwargs)
        if wish.tools:
            raise ConfigError("a plain-text model cannot call tools; bind them to a ChatGLMSlim", key="tools")
        return Question(self, to_conversation([HumanMessage(prompt)], schema=wish.schema), wish, options, kwargs)

    # --- what LangChain asks for ---

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer prompts in common steps of the model; see LangChain. Caches tell apart what one call changes."""
        return super(ChatGLMSlimLLM, self._for_call(stop, kwargs)).generate(
            prompts, self._stop(stop), callbacks, **kwargs
        )

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """As `generate`, without keeping the event loop waiting."""
        return await super(ChatGLMSlimLLM, self._for_call(stop, kwargs)).agenerate(
            prompts, self._stop(stop), callbacks, **kwargs
        )

    def _for_call(self, stop: list[str] | None, kwargs: Mapping[str, Any]) -> Self:
        """This object for one call: LangChain's cache key is made of `asdict` alone, and knows no options of calls."""
        options = {name: value for name, value in kwargs.items() if name not in _OF_THE_RUN}
        self._generation_options(stop, options)
        checkpoint = self._weights_of(options.get("model")).fingerprint()
        copy = self.model_copy()
        copy._of_call = options | {"checkpoint": checkpoint}
        return copy

    def asdict(self) -> dict[str, Any]:
        """The options that replies depend on; within a call those of the call, and which files answer it."""
        return super().asdict() | self._of_call

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=self._stop(stop), **kwargs)
        return LangSmithParams(**params | {"ls_provider": PROVIDER})


def _info(chunk: ChatGenerationChunk) -> dict[str, Any] | None:
    """What the last chunk knows of its reply."""
    message = chunk.message
    assert isinstance(message, AIMessageChunk)
    if message.chunk_position != "last":
        return None
    return {"usage_metadata": message.usage_metadata, **message.response_metadata}


def _join(chunks: Sequence[GenerationChunk]) -> Generation:
    return Generation(text="".join(chunk.text for chunk in chunks), generation_info=chunks[-1].generation_info)


def _result(numbered: Mapping[int, Generation]) -> LLMResult:
    """Replies in the order of their numbers, with the sum of their tokens as LangChain's token counters read it."""
    replies = [numbered[number] for number in range(len(numbered))]
    infos = [reply.generation_info or {} for reply in replies]
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
    usage = {theirs: sum(info["usage_metadata"][ours] for info in infos) for theirs, ours in names.items()}
    return LLMResult(generations=[[reply] for reply in replies], llm_output={"token_usage": usage})
