"""Which checkpoint a LangChain object runs on, and how it gets at the weights.

Importing this module loads neither torch nor transformers, and making an object reads no file: the weights load on
first use, once, in whatever thread that happens.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import SchemaValidator, core_schema

from chatglm_slim_llm.config import DEMO_MODEL, LoadOptions, Quantization
from chatglm_slim_llm.llm_options import (
    IGNORED_OPTIONS,
    config_error,
    load_names,
    load_option,
    load_options,
    own_options,
    unknown_option,
)
from chatglm_slim_llm.weights import Running, Weights, share

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint import Progress
    from chatglm_slim_llm.network import ChatGLMTokenizer


class LocalWeights(BaseModel):
    """The part of a LangChain object that knows its checkpoint; objects of the same options share it in memory."""

    model: str = DEMO_MODEL
    """``"demo"``, a folder that holds a checkpoint, or a hub id such as ``silver/chatglm-6b-slim``."""
    quantization: Quantization = "fp16"
    """Bits of the linear layers; a checkpoint that is already quantised keeps its own level."""
    device: str = "auto"
    """``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    allow_download: bool = True
    """Whether a hub id that is not on this machine may be downloaded on first use."""
    model_config = ConfigDict(extra="forbid")
    _weights: Weights = PrivateAttr()
    _other_weights: Weights | None = PrivateAttr(default=None)  # of the model that the last call named, if it did

    if not TYPE_CHECKING:  # type checkers see the fields as keyword arguments

        def __init__(self, **kwargs: Any) -> None:
            kwargs = {name: value for name, value in kwargs.items() if name not in IGNORED_OPTIONS}
            options = load_options(kwargs, type(self))
            try:
                super().__init__(**kwargs | options)
            except ValidationError as error:
                raise config_error(error, type(self)) from None
            self._weights = share(LoadOptions(**options))

        def __setattr__(self, name: str, value: Any) -> None:
            if name in own_options(type(self)):
                value = self._checked(name, value)
            try:
                super().__setattr__(name, value)
            except ValueError:
                if name in type(self).model_fields or hasattr(type(self), name):
                    raise
                raise unknown_option(name, type(self).model_fields, type(self)) from None

    def _checked(self, name: str, value: Any) -> Any:
        """A value as a field takes it; one that is set later is told of like one that is given at once.

        Raises:
            ConfigError: it cannot be used.
        """
        if name in load_names(type(self)) and value is not None:
            value = load_option(name, value)
            LoadOptions(**{name: value})
        try:
            checked: Any = _fields_of(type(self)).validate_assignment(dict(self.__dict__), name, value)
        except ValidationError as error:
            raise config_error(error, type(self)) from None
        return checked[0][name]

    def load(self, progress: Progress | None = None) -> None:
        """Load the weights now; otherwise the first use does it.

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

    def load_options(self) -> LoadOptions:
        """Which weights this object runs, and how."""
        return LoadOptions(**{name: getattr(self, name) for name in load_names(type(self))})

    def _load(self, progress: Progress | None = None, model: str | None = None) -> Running:
        kept = self.load_options().kv_cache_dtype
        return self._weights_of(model).get(kept, allow_download=self.allow_download, progress=progress)

    def _weights_of(self, model: str | None) -> Weights:
        """The handle of this object's model, or of the one that a call names instead."""
        options = self.load_options()
        if model is not None and model != self.model:
            return self._other(replace(options, model=model))
        if not self._weights.are_of(options):  # a field was set since
            self._weights = share(options)
        return self._weights

    def _other(self, options: LoadOptions) -> Weights:
        """The handle of another model, which takes the place of the last other one."""
        other = self._other_weights  # read once: another thread may name a third model meanwhile
        if other is None or not other.are_of(options):
            other = self._other_weights = share(options)  # lets go of the last one before this one loads
        return other

    def _tokenizer(self) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        return self._weights_of(None).get_tokenizer(allow_download=self.allow_download)


@cache
def _fields_of(cls: type[BaseModel]) -> SchemaValidator:
    """What checks the fields of a class one by one, with their own validators, and not the object as a whole.

    Validators of the whole object may set fields, and complain of several together.
    """
    whole: Any = cls.__pydantic_core_schema__
    shared = {each["ref"]: each for each in whole.get("definitions", ())}
    schema, config = whole, None
    while schema["type"] != "model-fields":
        config = schema.get("config", config)
        schema = shared[schema["schema_ref"]] if schema["type"] == "definition-ref" else schema["schema"]
    return SchemaValidator(core_schema.definitions_schema(schema, list(shared.values())), config)
