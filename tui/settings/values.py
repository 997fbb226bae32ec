"""What can be set about the program: frozen values, each explained, checked once where they are made."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.errors import ConfigError

Origin = Literal["default", "file", "environment", "argument", "unsaved"]

ENVIRONMENT = {
    "interface.language": "CHATGLM_TUI_LANGUAGE",
    "interface.theme": "CHATGLM_TUI_THEME",
    "interface.accessible": "CHATGLM_TUI_ACCESSIBLE",
    "load.model": "CHATGLM_SLIM_MODEL",
    "load.quantization": "CHATGLM_SLIM_QUANTIZATION",
    "load.device": "CHATGLM_SLIM_DEVICE",
    "load.kv_cache_dtype": "CHATGLM_SLIM_KV_CACHE_DTYPE",
}
"""The variable that a setting may come from."""

KEYS = "keys"


@dataclass(frozen=True, kw_only=True)
class Interface:
    """How it looks."""

    language: Literal["auto", "en", "zh"] = "auto"
    """The language of the interface; auto follows the system."""
    theme: str = "chatglm-dark"
    """The colours; files in the folder themes beside the settings add your own."""
    code_theme: str = "auto"
    """The colours of code in answers, by their Pygments name; auto fits the theme."""
    accessible: bool = False
    """Plain for screen readers: no boxes, no animation, no signs that mean something alone."""
    animation: bool = True
    """Let things glide and fade; off is calmer over a slow line."""

    def __post_init__(self) -> None:
        for key in ("theme", "code_theme"):
            if not getattr(self, key).strip():
                raise ConfigError(f"{key} is empty; give the name of a theme", key=key)


@dataclass(frozen=True, kw_only=True)
class Program:
    """How it works."""

    process: Literal["child", "inside"] = "child"
    """Where the model runs: in a process of its own, which cannot take the terminal down, or inside this one."""
    editor: str = ""
    """The command of the external editor; empty takes VISUAL or EDITOR."""
    trash_days: int = 30
    """Deleted conversations leave the trash after this many days; 0 keeps them until you empty it."""

    def __post_init__(self) -> None:
        if self.trash_days < 0:
            raise ConfigError(f"trash_days is {self.trash_days}; it must be 0 or more", key="trash_days")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set; each group is a table of ``settings.toml``."""

    interface: Interface = field(default_factory=Interface)
    load: LoadOptions = field(default_factory=LoadOptions)
    sampling: GenerationOptions = field(default_factory=GenerationOptions)
    program: Program = field(default_factory=Program)
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by the id of what they do, several with commas; an id that is missing keeps its own keys."""

    def value(self, key: str) -> Any:
        """The value of ``"group.name"``."""
        group, _, name = key.partition(".")
        return self.keys.get(name, "") if group == KEYS else getattr(getattr(self, group), name)

    def with_value(self, key: str, value: object) -> Settings:
        """The same settings but for one.

        Raises:
            ConfigError: the value cannot be used, or there is no such setting.
        """
        group, _, name = key.partition(".")
        if group == KEYS:
            others = {binding: keys for binding, keys in self.keys.items() if binding != name}
            return replace(self, keys={**others, name: _text(key, value)} if value else others)
        if key not in hints():
            raise ConfigError(f"there is no setting {key!r}{_nearest(key, hints())}", key=key)
        changed: Any = replace(getattr(self, group), **{name: _fitting(key, value)})
        return replace(self, **{group: changed})


@dataclass(frozen=True)
class LoadedSettings:
    """The settings, where each came from, and what is wrong with the file."""

    settings: Settings = field(default_factory=Settings)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where a setting came from, for those that are not a default."""
    problems: tuple[str, ...] = ()
    """What could not be used, one sentence each, to be shown."""

    def origin(self, key: str) -> Origin:
        """Where the value of ``"group.name"`` came from."""
        return self.origins.get(key, "default")

    def with_value(self, key: str, value: object, origin: Origin = "file") -> LoadedSettings:
        """The same but for one value; ``None`` is the default again.

        Raises:
            ConfigError: the value cannot be used, or there is no such setting.
        """
        others = {name: place for name, place in self.origins.items() if name != key}
        if value is None:
            default = Settings().value(key)
            return replace(self, settings=self.settings.with_value(key, default), origins=others)
        return replace(self, settings=self.settings.with_value(key, value), origins={**others, key: origin})


def hints() -> dict[str, Any]:
    """The type of each setting but the keys, by ``"group.name"``."""
    if not _hints:
        for group in fields(Settings):
            if group.name != KEYS:
                kind = type(getattr(Settings(), group.name))
                _hints.update({f"{group.name}.{name}": hint for name, hint in get_type_hints(kind).items()})
    return _hints


_hints: dict[str, Any] = {}


# --- one value


def _fitting(key: str, value: object) -> object:
    """The value, if its type is the setting's; a whole number is also a number.

    Raises:
        ConfigError: it is of another type.
    """
    hint = hints()[key]
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for choice in choices:
        if get_origin(choice) is Literal and value in get_args(choice):
            return value
        if choice is float and type(value) is int:
            return float(value)
        if get_origin(choice) is tuple and isinstance(value, tuple) and all(type(item) is str for item in value):
            return value
        if type(value) is choice:
            return value
    raise ConfigError(f"{key} is {shown(value)}; it must be {' or '.join(map(_wanted, choices))}", key=key)


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list of texts"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(hint, "left out")


def shown(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{key} is {shown(value)}; it must be keys such as 'ctrl+q,f10'", key=key)
    return value


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    """A hint at the setting or the table that was meant; one without its table is found too."""
    meant = {name.partition(".")[2]: name for name in known} | {
        name.partition(".")[0]: name.partition(".")[0] for name in known
    }
    meant |= {name: name for name in known}
    near = difflib.get_close_matches(key, meant, 1, 0.6)
    return f"; did you mean {meant[near[0]]!r}?" if near else ""
