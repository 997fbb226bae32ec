"""What may be said to `ChatGLMSlim`, and how it is told what is wrong with it.

Every complaint is one `ConfigError` in one sentence, whether it is found by us or by pydantic.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from inspect import get_annotations
from numbers import Integral, Real
from typing import Any

from pydantic import BaseModel, ValidationError

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.wishes import WISH_OPTIONS

PROVIDER = "chatglm"
"""Before the colon of ``init_chat_model("chatglm:demo")``, once `ChatGLMSlim.register` was called."""
_COUNTS = ("top_k", "max_tokens", "max_length", "seed")
CALL_OPTIONS = ("temperature", "top_p", "repetition_penalty", *_COUNTS)
"""Sampling options: fields that can be given for one call as well, beside ``stop``."""
IGNORED_OPTIONS = ("api_key", "base_url", "max_retries")
"""What programs give to every chat model, and a model in the same process has no use for."""
_FOR_ONE_CALL = (*CALL_OPTIONS, *WISH_OPTIONS, "model", "timeout", "stream")
_UNSET = ("max_tokens", "seed")


def load_names(cls: type[BaseModel]) -> list[str]:
    """The fields of a class that say which weights it runs, and how."""
    return [field.name for field in fields(LoadOptions) if field.name in cls.model_fields]


def load_options(kwargs: Mapping[str, Any], cls: type[BaseModel]) -> dict[str, Any]:
    """What a class knows of `LoadOptions`, from the arguments, the environment or the defaults."""
    names = load_names(cls)
    given: dict[str, Any] = {
        name: load_option(name, value) for name in names if (value := kwargs.get(name)) is not None
    }
    resolved = LoadOptions.resolve(**given)
    return {name: getattr(resolved, name) for name in names}


def load_option(name: str, value: Any) -> str:
    """One of `load_names` as a text.

    Raises:
        ConfigError: it is none, or an empty one.
    """
    text = os.fspath(value) if name == "model" and isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{name} is {value!r}; it must be a text that is not empty", key=name)
    return text


@cache
def own_options(cls: type[BaseModel]) -> frozenset[str]:
    """The fields that a class has from this package, not from LangChain nor from who derived it."""
    ours = [base for base in cls.__mro__ if base.__module__.partition(".")[0] == __name__.partition(".")[0]]
    return frozenset(name for base in ours for name in get_annotations(base) if name in cls.model_fields)


def call_options(kwargs: Mapping[str, Any], cls: type[BaseModel]) -> dict[str, Any]:
    """The sampling options that one call gives; those of the object were checked when it was made.

    ``None`` means the object's own value, but for ``max_tokens`` and ``seed``, where it is a value.

    Raises:
        ConfigError: an option is unknown, cannot be given for one call, or is no number.
    """
    _want_known(kwargs, cls)
    if not isinstance(stream := kwargs.get("stream"), bool | None):
        raise ConfigError(f"stream is {stream!r}; it must be True or False", key="stream")
    check_numbers(kwargs)
    given = {name: kwargs[name] for name in CALL_OPTIONS if name in kwargs}
    return {name: value for name, value in given.items() if value is not None or name in _UNSET}


def check_numbers(kwargs: Mapping[str, Any]) -> None:
    """Refuse what is no number where one is wanted; `GenerationOptions` knows which numbers will do.

    Raises:
        ConfigError: an option is no number, or ``timeout`` is not above 0.
    """
    for name in (*CALL_OPTIONS, "timeout"):
        value, wanted = kwargs.get(name), Integral if name in _COUNTS else Real
        if value is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise ConfigError(f"{name} is {value!r}; it must be a {'whole ' * (wanted is Integral)}number", key=name)
    if (timeout := kwargs.get("timeout")) is not None and not timeout > 0:  # nor is nan
        raise ConfigError(f"timeout is {timeout!r}; it must be a number of seconds above 0, or None", key="timeout")


def stop_list(stop: Any) -> list[str] | None:
    """``stop`` as a list; one string is one stop string, not its letters."""
    if stop is None:
        return None
    if isinstance(stop, str):
        return [stop]
    if isinstance(stop, Iterable) and not isinstance(stop, bytes | bytearray):
        return list(stop)
    raise ConfigError(f"stop is {stop!r}; it must be a list of strings", key="stop")


def _want_known(kwargs: Mapping[str, Any], cls: type[BaseModel]) -> None:
    """Refuse what a call cannot change; ``stream`` is LangChain's own switch."""
    for name in kwargs:
        if name in cls.model_fields and name not in _FOR_ONE_CALL:
            raise ConfigError(f"{name} cannot be given for one call; make another {cls.__name__} with it", key=name)
        if name not in _FOR_ONE_CALL:
            raise unknown_option(name, ["stop", *_FOR_ONE_CALL], cls)
    if not isinstance(model := kwargs.get("model"), str | None) or model == "":
        raise ConfigError(f"model is {model!r}; it must be a text that is not empty", key="model")


def unknown_option(name: str, known: Iterable[str], cls: type[BaseModel]) -> ConfigError:
    """The complaint about a name that is not among those that are known."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
    return ConfigError(f"{cls.__name__} has no option {name!r}; {advice}", key=name)


def config_error(error: ValidationError, cls: type[BaseModel]) -> ConfigError:
    """The first complaint of pydantic in one sentence."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "options"
    if first["type"] == "extra_forbidden":
        return unknown_option(name, cls.model_fields, cls)
    return ConfigError(f"{name} is {first['input']!r}: {first['msg'].lower()}", key=name)
