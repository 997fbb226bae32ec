"""What ``llm -o NAME VALUE`` may say to our models, checked where it is said."""

from __future__ import annotations

import json
from typing import Any

import llm
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.errors import ConfigError

_LOADING = ("model", "quantization", "device", "kv_cache_dtype")


class SlimOptions(llm.Options):
    """Options of a model whose checkpoint is fixed; what is not given keeps the default of `ChatGLMSlim`."""

    temperature: float | None = Field(
        default=None, description="Above 1 flattens the distribution, 0 takes the likeliest token (default 0.95)"
    )
    top_p: float | None = Field(
        default=None, description="Sample from the likeliest tokens whose probability reaches this (default 0.7)"
    )
    top_k: int | None = Field(default=None, description="Sample from so many tokens; 0 is all (default 50)")
    repetition_penalty: float | None = Field(
        default=None, description="Scores of tokens already seen are divided by this (default 1, which is off)"
    )
    max_tokens: int | None = Field(default=None, description="Most tokens of the reply")
    max_length: int | None = Field(default=None, description="Prompt and reply together, in tokens (default 2048)")
    seed: int | None = Field(default=None, description="The same seed, prompt and options give the same reply")
    stop: str | list[str] | None = Field(
        default=None, description="End the reply before this text; several as a JSON list"
    )
    quantization: str | None = Field(
        default=None, description="fp16, int8 or int4 (default: CHATGLM_SLIM_QUANTIZATION or fp16)"
    )
    device: str | None = Field(
        default=None, description="auto, cpu, cuda, cuda:N or mps (default: CHATGLM_SLIM_DEVICE or auto)"
    )
    kv_cache_dtype: str | None = Field(
        default=None,
        description="auto, fp16 or int8, for the context's keys and values "
        "(default: CHATGLM_SLIM_KV_CACHE_DTYPE or auto)",
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _read_list(cls, value: Any) -> Any:
        """On a command line the last of several options counts, so a list has to be one text."""
        if isinstance(value, str) and value.startswith("["):
            try:
                read = json.loads(value)
            except ValueError:
                return value
            return read if all(isinstance(each, str) for each in read) else value
        return value

    @field_validator("*")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what cannot be used in the words that everything of ours has for it."""
        if value is None:
            return value
        name = str(info.field_name)
        own: dict[str, Any] = {name: tuple(_as_list(value)) if name == "stop" else value}
        try:
            LoadOptions(**own) if name in _LOADING else GenerationOptions(**own)
        except ConfigError as error:
            raise PydanticCustomError("option", "{sentence}", {"sentence": str(error)}) from error
        return value

    def given(self) -> dict[str, Any]:
        """What was said, as keywords of `ChatGLMSlim`."""
        return self.model_dump(exclude_none=True)


class DefaultOptions(SlimOptions):
    """Options of the model that stands for the user's default, which may be another one."""

    model: str | None = Field(
        default=None, description="'demo', a checkpoint folder or a hub id (default: CHATGLM_SLIM_MODEL or demo)"
    )


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
