"""Options of the program: frozen values, checked once where they are made.

An explicit argument wins over the environment, which wins over the default. Nothing here
imports torch, transformers or LangChain, so the terminal can paint before they load.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from chatglm_slim_llm.errors import ConfigError

Quantization = Literal["fp16", "int8", "int4"]
QUANTIZATION_BITS: dict[Quantization, int] = {"fp16": 0, "int8": 8, "int4": 4}
"""Bits of an integer weight at each level; 0: weights are not integers."""
KVCacheDtype = Literal["auto", "fp16", "int8"]
KV_CACHE_BITS: dict[KVCacheDtype, Literal[16, 8] | None] = {"auto": None, "fp16": 16, "int8": 8}
"""Bits of a number of keys and values; None: what fits the weights."""

DEMO_MODEL = "demo"
DEFAULT_HUB_ID = "silver/chatglm-6b-slim"

PLUGIN = "plugin:"
"""What a plugin's name begins with where the name of a model, or of a knowledge base, may stand."""

_DEVICE = re.compile(r"auto|cpu|mps|meta|(cuda|xpu|npu)(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Which checkpoint to run, how its weights are stored in memory, and where."""

    model: str = DEMO_MODEL
    """``"demo"`` for the bundled one, a folder, a hub id such as ``silver/chatglm-6b-slim``, or ``plugin:NAME``."""
    quantization: Quantization = "fp16"
    """Bits of the linear layers; a checkpoint that is already quantised keeps its own level."""
    device: str = "auto"
    """``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    kv_cache_dtype: KVCacheDtype = "auto"
    """How keys and values of the context are kept: ``int8`` takes half the memory of ``fp16``, and needs the compiled
    kernels. ``auto`` is int8 beside weights of int4, where those kernels run. Where torch runs the model, they have
    the precision of the checkpoint, as a rule fp16."""

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ConfigError("model is empty; give 'demo', a folder that holds a checkpoint, or a hub id", key="model")
        if self.quantization not in get_args(Quantization):
            raise ConfigError(
                f"quantization {self.quantization!r} is not a level; choose one of fp16, int8, int4",
                key="quantization",
            )
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(f"device {self.device!r} is unknown; choose auto, cpu, cuda, cuda:N or mps", key="device")
        if self.kv_cache_dtype not in get_args(KVCacheDtype):
            raise ConfigError(
                f"kv_cache_dtype {self.kv_cache_dtype!r} is unknown; choose auto, fp16 or int8", key="kv_cache_dtype"
            )

    @property
    def plugin(self) -> str:
        """The plugin whose model is meant, such as ``ollama`` of ``plugin:ollama``; empty for our own models."""
        return self.model.removeprefix(PLUGIN) if self.model.startswith(PLUGIN) else ""

    @classmethod
    def resolve(
        cls,
        model: str | None = None,
        quantization: str | None = None,
        device: str | None = None,
        kv_cache_dtype: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> LoadOptions:
        """Fill what is ``None`` from the environment, then from the defaults.

        The variables are ``CHATGLM_SLIM_MODEL``, ``…_QUANTIZATION``, ``…_DEVICE`` and ``…_KV_CACHE_DTYPE``.

        Raises:
            ConfigError: a value is not usable; ``.source`` names the variable it came from.
        """
        given = {"model": model, "quantization": quantization, "device": device, "kv_cache_dtype": kv_cache_dtype}
        from_environ = {key: environ.get(f"CHATGLM_SLIM_{key.upper()}") or None for key in given}
        values = {key: value or from_environ[key] for key, value in given.items()}
        try:
            return cls(**{key: cast(Any, value) for key, value in values.items() if value is not None})
        except ConfigError as error:
            if given[error.key] is None and from_environ[error.key] is not None:
                variable = f"CHATGLM_SLIM_{error.key.upper()}"
                raise ConfigError(f"{variable}: {error}", key=error.key, source=variable) from error
            raise


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to pick tokens and when to stop. Defaults are those of ChatGLM-6B's own ``chat()``."""

    temperature: float = 0.95
    """Above 1 flattens the distribution, below 1 sharpens it; 0 means greedy."""
    top_p: float = 0.7
    """The smallest set of tokens whose probability reaches this is sampled from; 1 keeps all."""
    top_k: int = 50
    """Only this many of the likeliest tokens are sampled from; 0 keeps all."""
    repetition_penalty: float = 1.0
    """Scores of tokens already seen are divided (or, if negative, multiplied) by this; 1 is off."""
    max_tokens: int | None = None
    """Most tokens of the reply; ``None`` leaves only ``max_length``."""
    max_length: int = 2048
    """Prompt and reply together, in tokens."""
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these strings; they are never shown."""
    seed: int | None = None
    """The same seed, prompt and options give the same reply; ``None`` draws afresh."""

    def __post_init__(self) -> None:
        self._want(math.isfinite(self.temperature) and self.temperature >= 0, "temperature", "a number of 0 or more")
        self._want(math.isfinite(self.top_p) and 0 < self.top_p <= 1, "top_p", "a number above 0 and up to 1")
        self._want(self.top_k >= 0, "top_k", "0 (off) or a positive count")
        self._want(
            math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0,
            "repetition_penalty",
            "a number above 0",
        )
        self._want(self.max_tokens is None or self.max_tokens > 0, "max_tokens", "a positive count or None")
        self._want(self.max_length > 0, "max_length", "a positive count")
        self._want(
            not isinstance(self.stop, str) and all(isinstance(s, str) and s for s in self.stop),
            "stop",
            "a list of non-empty strings",
        )

    def _want(self, holds: bool, key: str, wanted: str) -> None:
        if not holds:
            raise ConfigError(f"{key} is {getattr(self, key)!r}; it must be {wanted}", key=key)


@dataclass(frozen=True)
class Folders:
    """Where the program keeps its files."""

    config: Path
    """``settings.toml`` and the user's ``plugins.toml``."""
    data: Path
    """The conversation history."""
    cache: Path
    """Things that can be made again."""

    @classmethod
    def of_user(cls, environ: Mapping[str, str] = os.environ) -> Folders:
        """The folders of this user; ``CHATGLM_SLIM_HOME`` puts all three under one folder. Creates nothing."""
        if home := environ.get("CHATGLM_SLIM_HOME"):
            root = Path(home).expanduser()
            return cls(root / "config", root / "data", root / "cache")
        from platformdirs import PlatformDirs  # 20 ms, and only needed without CHATGLM_SLIM_HOME

        dirs = PlatformDirs("chatglm-slim", appauthor=False)
        return cls(dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path)
