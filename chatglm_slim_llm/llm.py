"""ChatGLM-6B-Slim as a LangChain chat model: messages in, chunks out; no tensors here.

Importing this module loads neither torch nor transformers, and constructing the class reads no file: the
weights load on first use, once, in whatever thread that happens.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr, ValidationError

from chatglm_slim_llm.config import DEMO_MODEL, GenerationOptions, LoadOptions, Quantization
from chatglm_slim_llm.errors import GenerationError, PromptTooLongError
from chatglm_slim_llm.llm_options import CALL_OPTIONS, check_number, config_error, load_options, stop_list, want_known
from chatglm_slim_llm.messages import to_conversation

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint import Loaded, Progress
    from chatglm_slim_llm.engine import Delta, Engine
    from chatglm_slim_llm.model import ChatGLMTokenizer

_PROVIDER = "chatglm-slim"


class PromptOverflowError(PromptTooLongError, ContextOverflowError):
    """`PromptTooLongError` that LangChain's middleware recognises too."""


class ChatGLMSlim(BaseChatModel):
    """A ChatGLM-6B(-Slim) checkpoint, or the small demo model, answering in this process.

    ``ChatGLMSlim()`` is the demo. Model, level and device that are not given come from ``CHATGLM_SLIM_MODEL``,
    ``CHATGLM_SLIM_QUANTIZATION`` and ``CHATGLM_SLIM_DEVICE``. Sampling options can be given for one call as well:
    ``llm.invoke("你好", temperature=0, stop=["\\n"])``. One object may be used from any number of threads.

    Raises:
        ConfigError: an option is unknown or has a value that cannot be used.
    """

    model: str = DEMO_MODEL
    """``"demo"``, a folder that holds a checkpoint, or a hub id such as ``silver/chatglm-6b-slim``."""
    quantization: Quantization = "fp16"
    """Bits of the linear layers; a checkpoint that is already quantised keeps its own level."""
    device: str = "auto"
    """``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    allow_download: bool = True
    """Whether a hub id that is not on this machine may be downloaded on first use."""
    temperature: float = GenerationOptions.temperature
    """Above 1 flattens the distribution, below 1 sharpens it; 0 means greedy."""
    top_p: float = GenerationOptions.top_p
    """The smallest set of tokens whose probability reaches this is sampled from; 1 keeps all."""
    top_k: int = GenerationOptions.top_k
    """Only this many of the likeliest tokens are sampled from; 0 keeps all."""
    repetition_penalty: float = GenerationOptions.repetition_penalty
    """Scores of tokens already seen are divided (or, if negative, multiplied) by this; 1 is off."""
    max_tokens: int | None = None
    """Most tokens of the reply; ``None`` leaves only ``max_length``."""
    max_length: int = GenerationOptions.max_length
    """Prompt and reply together, in tokens; older rounds that do not fit are left out."""
    stop: list[str] | None = None
    """The reply ends before the first of these strings; they are never shown."""
    seed: int | None = None
    """The same seed, prompt and options give the same reply; ``None`` draws afresh."""
    fix_punctuation: bool = True
    """Strip the reply and give its Chinese text full-width punctuation, as the original's ``chat()`` does; code and
    URLs stay as they are. Off, the text is what the model wrote."""

    model_config = ConfigDict(extra="forbid")
    _weights: _Weights = PrivateAttr(default_factory=lambda: _Weights())

    if not TYPE_CHECKING:  # type checkers see the fields as keyword arguments

        def __init__(self, **kwargs: Any) -> None:
            options = load_options(kwargs)
            try:
                super().__init__(**kwargs | options | {"stop": stop_list(kwargs.get("stop"))})
            except ValidationError as error:
                raise config_error(error, type(self)) from None
            self._generation_options(None, {})

    # --- the weights ---

    def load(self, progress: Progress | None = None) -> None:
        """Load the weights now; otherwise the first reply does it.

        Args:
            progress: called with what is being done, the bytes done and the bytes in all.

        Raises:
            CheckpointError: there is no such checkpoint, or it cannot be read or downloaded.
            QuantizationError: the checkpoint is quantised to another level than asked for.
        """
        self._load(progress)

    def is_available(self) -> bool:
        """Whether the weights are on this machine, so that nothing has to be downloaded."""
        from chatglm_slim_llm.checkpoint import is_available

        return is_available(self.model)

    @property
    def is_demo(self) -> bool:
        """Whether the small demo model answers."""
        loaded = self._weights.loaded
        return self.model == DEMO_MODEL if loaded is None else loaded.is_demo

    def _load(self, progress: Progress | None = None) -> tuple[Engine, Loaded]:
        options = LoadOptions(model=self.model, quantization=self.quantization, device=self.device)
        return self._weights.get(options, allow_download=self.allow_download, progress=progress)

    # --- replies ---

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        yield from self._stream_until(None, messages, stop, kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _join(list(self._stream_until(None, messages, stop, kwargs)))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        cancel = threading.Event()
        try:
            async for chunk in _in_thread(lambda: self._stream_until(cancel, messages, stop, kwargs)):
                yield chunk
        finally:
            cancel.set()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _join([chunk async for chunk in self._astream(messages, stop, **kwargs)])

    def _stream_until(
        self,
        cancel: threading.Event | None,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Generator[ChatGenerationChunk]:
        options = self._generation_options(stop, kwargs)
        conversation = to_conversation(messages)
        engine, loaded = self._load(_unless_cancelled(cancel))
        from chatglm_slim_llm.engine import Request, polish

        request = Request(
            query=conversation.query,
            history=conversation.history,
            system=conversation.system,
            options=options,
            cancel=cancel,
        )
        deltas = engine.stream(request)
        try:
            with closing(polish(deltas) if self.fix_punctuation else deltas) as shown:
                for delta in shown:
                    yield _chunk(delta, {"model_name": self.model, "quantization": loaded.level})
        except PromptTooLongError as error:
            raise PromptOverflowError(str(error), prompt_tokens=error.prompt_tokens, limit=error.limit) from error

    def _generation_options(self, stop: Sequence[str] | None, kwargs: Mapping[str, Any]) -> GenerationOptions:
        """The options of one call: what the call gives, else this object's own."""
        want_known(kwargs, type(self))
        given = {name: check_number(name, kwargs[name]) for name in CALL_OPTIONS if kwargs.get(name) is not None}
        own = {name: getattr(self, name) for name in CALL_OPTIONS}
        return GenerationOptions(**own | given, stop=tuple(stop_list(self.stop if stop is None else stop) or ()))

    # --- what LangChain asks for ---

    @property
    def _llm_type(self) -> str:
        return _PROVIDER

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What a reply depends on; LangChain's caches and traces use it as the key."""
        names = ("model", "quantization", *CALL_OPTIONS, "stop", "fix_punctuation")
        return {name: getattr(self, name) for name in names}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return super()._get_invocation_params(stop=self.stop if stop is None else stop, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=self.stop if stop is None else stop, **kwargs)
        return LangSmithParams(**params | {"ls_provider": _PROVIDER})

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of ``text`` in the model's own vocabulary, without the marks that end a prompt."""
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return list(self._tokenizer().encode(text, add_special_tokens=False))

    def _tokenizer(self) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        return self._weights.get_tokenizer(self.model, allow_download=self.allow_download)


class _Weights:
    """What one object has loaded, once, whichever threads ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._options: LoadOptions | None = None
        self._engine: Engine | None = None
        self._tokenizers: dict[str, ChatGLMTokenizer] = {}
        self.loaded: Loaded | None = None

    def get(self, options: LoadOptions, *, allow_download: bool, progress: Progress | None) -> tuple[Engine, Loaded]:
        with self._lock:
            if self._engine is None or self.loaded is None or self._options != options:
                from chatglm_slim_llm.checkpoint import load
                from chatglm_slim_llm.engine import Engine

                self._engine = self.loaded = None  # two models may not fit into memory side by side
                self.loaded = load(options, allow_download=allow_download, progress=progress)
                self._engine, self._options = Engine(self.loaded.model, self.loaded.tokenizer), options
                self._tokenizers = {options.model: self.loaded.tokenizer}
            return self._engine, self.loaded

    def __deepcopy__(self, _memo: object) -> _Weights:
        return self  # a copy of the chat model answers with the same weights

    def __reduce__(self) -> tuple[type[_Weights], tuple[()]]:
        return _Weights, ()  # in another process it loads its own

    def get_tokenizer(self, model: str, *, allow_download: bool) -> ChatGLMTokenizer:
        with self._lock:
            if model not in self._tokenizers:
                from chatglm_slim_llm.checkpoint import load_tokenizer, resolve_folder

                self._tokenizers = {model: load_tokenizer(resolve_folder(model, allow_download=allow_download))}
            return self._tokenizers[model]


def _chunk(delta: Delta, about: dict[str, str]) -> ChatGenerationChunk:
    done = delta.statistics
    if done is None:
        return ChatGenerationChunk(message=AIMessageChunk(content=delta.text))
    message = AIMessageChunk(
        content=delta.text,
        usage_metadata={
            "input_tokens": done.prompt_tokens,
            "output_tokens": done.generated_tokens,
            "total_tokens": done.prompt_tokens + done.generated_tokens,
        },
        response_metadata={
            **about,
            "finish_reason": delta.finish_reason,
            "time_to_first_token_s": done.time_to_first_token_s,
            "tokens_per_s": done.tokens_per_s,
            "dropped_rounds": done.dropped_rounds,
        },
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)


def _join(chunks: Sequence[ChatGenerationChunk]) -> ChatResult:
    last = chunks[-1].message
    assert isinstance(last, AIMessageChunk)
    message = AIMessage(
        content="".join(chunk.text for chunk in chunks),
        usage_metadata=last.usage_metadata,
        response_metadata=last.response_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


async def _in_thread(stream: Callable[[], Iterator[ChatGenerationChunk]]) -> AsyncIterator[ChatGenerationChunk]:
    """Run a stream in a thread of its own, so that the event loop never waits for the model."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[ChatGenerationChunk | BaseException | None] = asyncio.Queue()

    def put(item: ChatGenerationChunk | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    def work() -> None:
        try:
            for chunk in stream():
                put(chunk)
        except BaseException as error:  # it belongs to whoever reads the stream
            put(error)
        else:
            put(None)

    threading.Thread(target=work, name="chatglm-slim-reply").start()
    while (item := await arrived.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _unless_cancelled(cancel: threading.Event | None) -> Progress | None:
    """A progress callback that breaks off the loading of weights that nobody waits for any more."""
    if cancel is None:
        return None

    def check(_what: str, _done_bytes: int, _total_bytes: int) -> None:
        if cancel.is_set():
            raise GenerationError("the reply was cancelled while the weights were loading")

    return check
