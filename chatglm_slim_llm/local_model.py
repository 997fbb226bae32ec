"""What the chat model and the plain-text one have in common: how they pick tokens, and how tokens are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict

from chatglm_slim_llm.config import GenerationOptions, KVCacheDtype
from chatglm_slim_llm.llm_options import CALL_OPTIONS, call_options, check_numbers, stop_list
from chatglm_slim_llm.local_weights import LocalWeights


class LocalModel(LocalWeights):
    """The part of a LangChain model that knows which checkpoint answers, and how it picks its tokens."""

    kv_cache_dtype: KVCacheDtype = "auto"
    """How keys and values of the context are kept: ``int8`` takes half the memory of ``fp16``, and needs the compiled
    kernels. ``auto`` is int8 beside weights of int4, where those kernels run. Where torch runs the model, they have
    the precision of the checkpoint, as a rule fp16."""
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
    """Prompt and reply together, in tokens; older rounds that do not fit are left out. A chat model's ``profile`` tells
    what it was when the object was made."""
    stop: Sequence[str] | None = None
    """The reply ends before the first of these strings, or of this string; they are never shown, and kept as a list.
    JSON and calls of tools are written to their end."""
    seed: int | None = None
    """The same seed, prompt and options give the same reply; ``None`` draws afresh."""
    timeout: float | None = None
    """Most seconds that a reply may take, the waiting for other replies included; then `ReplyTimeoutError`. The first
    reply loads the weights, which counts and cannot be interrupted; ``load()`` before it keeps that out."""
    fix_punctuation: bool = True
    """Strip the reply and give its Chinese text full-width punctuation, as the original's ``chat()`` does; code, URLs,
    calls and JSON stay as they are. Off, the text is what the model wrote."""
    model_config = ConfigDict(extra="forbid")

    if not TYPE_CHECKING:  # type checkers see the fields as keyword arguments

        def __init__(self, **kwargs: Any) -> None:
            check_numbers(kwargs)
            super().__init__(**kwargs | {"stop": stop_list(kwargs.get("stop"))})
            self._generation_options(None, {})

    def _checked(self, name: str, value: Any) -> Any:
        check_numbers({name: value})
        value = super()._checked(name, stop_list(value) if name == "stop" else value)
        if name == "stop":
            GenerationOptions(stop=tuple(value or ()))
        elif name in CALL_OPTIONS:
            GenerationOptions(**{name: value})
        return value

    def _generation_options(self, stop: Sequence[str] | None, kwargs: Mapping[str, Any]) -> GenerationOptions:
        """The options of one call: what the call gives, else this object's own."""
        own = {name: getattr(self, name) for name in CALL_OPTIONS}
        given = call_options(kwargs, type(self))
        return GenerationOptions(**own | given, stop=tuple(self._stop(stop) or ()))

    def _stop(self, stop: Sequence[str] | None) -> list[str] | None:
        """The stop strings of one call."""
        return stop_list(self.stop if stop is None else stop)

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of ``text`` in the model's own vocabulary, without the marks that end a prompt."""
        if custom := getattr(self, "custom_get_token_ids", None):
            return list(custom(text))
        return list(self._tokenizer().encode(text, add_special_tokens=False))

    @property
    def _llm_type(self) -> str:
        return "chatglm-slim"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Objects can be written with ``dumps``; the weights stay behind."""
        return True

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What a reply depends on."""
        names = ("model", "quantization", "kv_cache_dtype", *CALL_OPTIONS, "stop", "fix_punctuation")
        return {name: getattr(self, name) for name in names}
