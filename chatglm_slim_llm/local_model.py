"""What every face of the model has in common: its options, its weights, and the counting of tokens.

Importing this module loads neither torch nor transformers, and making an object reads no file: the weights load on
first use, once, in whatever thread that happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from chatglm_slim_llm.config import DEMO_MODEL, GenerationOptions, LoadOptions, Quantization
from chatglm_slim_llm.llm_options import (
    CALL_OPTIONS,
    IGNORED_OPTIONS,
    call_options,
    config_error,
    load_options,
    stop_list,
)
from chatglm_slim_llm.weights import Running, Weights, share

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint import Progress
    from chatglm_slim_llm.model import ChatGLMTokenizer


class LocalModel(BaseModel):
    """The part of a LangChain model that knows which checkpoint answers, and how it picks its tokens."""

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
    timeout: float | None = None
    """Most seconds that a reply may take, the waiting for other replies included; then `ReplyTimeoutError`."""
    fix_punctuation: bool = True
    """Strip the reply and give its Chinese text full-width punctuation, as the original's ``chat()`` does; code, URLs,
    calls and JSON stay as they are. Off, the text is what the model wrote."""
    model_config = ConfigDict(extra="forbid")
    _weights: Weights = PrivateAttr()
    _other_weights: Weights | None = PrivateAttr(default=None)  # of the model that the last call named, if it did

    if not TYPE_CHECKING:  # type checkers see the fields as keyword arguments

        def __init__(self, **kwargs: Any) -> None:
            kwargs = {name: value for name, value in kwargs.items() if name not in IGNORED_OPTIONS}
            options = load_options(kwargs)
            try:
                super().__init__(**kwargs | options | {"stop": stop_list(kwargs.get("stop"))})
            except ValidationError as error:
                raise config_error(error, type(self)) from None
            self._weights = share(LoadOptions(**options))
            self._generation_options(None, {})

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
        running = self._weights.running
        return self.model == DEMO_MODEL if running is None else running.loaded.is_demo

    def _load(self, progress: Progress | None = None, model: str | None = None) -> Running:
        return self._weights_of(model).get(allow_download=self.allow_download, progress=progress)

    def _weights_of(self, model: str | None) -> Weights:
        """The handle of this object's model, or of the one that a call names instead."""
        options = LoadOptions(model=self.model, quantization=self.quantization, device=self.device)
        if model is not None and model != self.model:
            other = LoadOptions(model=model, quantization=self.quantization, device=self.device)
            if self._other_weights is None or self._other_weights.options != other:
                self._other_weights = None  # two more models may not fit into memory side by side
                self._other_weights = share(other)
            return self._other_weights
        if self._weights.options != options:  # a field was set since
            del self._weights
            self._weights = share(options)
        return self._weights

    def _generation_options(self, stop: Sequence[str] | None, kwargs: Mapping[str, Any]) -> GenerationOptions:
        """The options of one call: what the call gives, else this object's own."""
        own = {name: getattr(self, name) for name in CALL_OPTIONS}
        given = call_options(kwargs, type(self))
        return GenerationOptions(**own | given, stop=tuple(stop_list(self.stop if stop is None else stop) or ()))

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of ``text`` in the model's own vocabulary, without the marks that end a prompt."""
        if custom := getattr(self, "custom_get_token_ids", None):
            return list(custom(text))
        return list(self._tokenizer().encode(text, add_special_tokens=False))

    def _tokenizer(self) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        return self._weights_of(None).get_tokenizer(allow_download=self.allow_download)

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What a reply depends on."""
        names = ("model", "quantization", *CALL_OPTIONS, "stop", "fix_punctuation")
        return {name: getattr(self, name) for name in names}
