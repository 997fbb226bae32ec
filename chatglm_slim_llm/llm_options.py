"""What may be said to `ChatGLMSlim`, and how it is told what is wrong with it.

Every complaint is one `ConfigError` in one sentence, whether it is found by us or by pydantic.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

from pydantic import BaseModel, ValidationError

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError

_COUNTS = ("top_k", "max_tokens", "max_length", "seed")
CALL_OPTIONS = ("temperature", "top_p", "repetition_penalty", *_COUNTS)
"""Fields that can be given for one call as well, beside ``stop``."""


def load_options(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Model, level and device, from the arguments, the environment or the defaults."""
    names = ("model", "quantization", "device")
    given = {name: value for name in names if (value := kwargs.get(name)) is not None}
    if isinstance(given.get("model"), os.PathLike):
        given["model"] = os.fspath(given["model"])
    for name, value in given.items():
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{name} is {value!r}; it must be a text that is not empty", key=name)
    return asdict(LoadOptions.resolve(**given))


def check_number(name: str, value: Any) -> Any:
    """A sampling option of one call; those of the object were checked when it was made."""
    wanted = Integral if name in _COUNTS else Real
    if isinstance(value, wanted) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{name} is {value!r}; it must be a {'whole ' * (wanted is Integral)}number", key=name)


def stop_list(stop: Any) -> list[str] | None:
    """``stop`` as a list; one string is one stop string, not its letters."""
    if stop is None:
        return None
    if isinstance(stop, str):
        return [stop]
    if isinstance(stop, Iterable):
        return list(stop)
    raise ConfigError(f"stop is {stop!r}; it must be a list of strings", key="stop")


def want_known(kwargs: Mapping[str, Any], cls: type[BaseModel]) -> None:
    """Refuse what a call cannot change; ``stream`` is LangChain's own switch."""
    for name in kwargs:
        if name in cls.model_fields and name not in CALL_OPTIONS:
            raise ConfigError(f"{name} cannot be given for one call; make another {cls.__name__} with it", key=name)
        if name not in (*CALL_OPTIONS, "stream"):
            raise _unknown_option(name, ["stop", *CALL_OPTIONS], cls)


def _unknown_option(name: str, known: Iterable[str], cls: type[BaseModel]) -> ConfigError:
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
    return ConfigError(f"{cls.__name__} has no option {name!r}; {advice}", key=name)


def config_error(error: ValidationError, cls: type[BaseModel]) -> ConfigError:
    """The first complaint of pydantic in one sentence."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "options"
    if first["type"] == "extra_forbidden":
        return _unknown_option(name, cls.model_fields, cls)
    return ConfigError(f"{name} is {first['input']!r}: {first['msg'].lower()}", key=name)
