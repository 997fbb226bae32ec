"""The settings as they are read: default < file < environment < argument.

A variable or an argument that cannot be used is an error; what the file says wrongly is a problem to be told, and the
default takes its place, so that the program always starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.errors import ConfigError
from tui.settings.values import ENVIRONMENT, KEYS, LoadedSettings, Settings, hints, shown


def settings_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's ``settings.toml``."""
    return Folders.of_user(environ).config / "settings.toml"


def load(
    path: Path, arguments: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ
) -> LoadedSettings:
    """Read the settings; ``arguments`` are by ``"group.name"``, ``None`` where one was not given.

    Raises:
        ConfigError: an argument or a variable cannot be used; ``.source`` names the variable.
    """
    loaded = _load_file(path)
    for key, variable in ENVIRONMENT.items():
        if value := environ.get(variable):
            loaded = _of_variable(loaded, key, variable, value)
    for key, given in (arguments or {}).items():
        if given is not None:
            loaded = loaded.with_value(key, _parsed(key, given), "argument")
    return loaded


def _of_variable(loaded: LoadedSettings, key: str, variable: str, value: str) -> LoadedSettings:
    try:
        return loaded.with_value(key, _parsed(key, value), "environment")
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}", key=error.key, source=variable) from error


def _parsed(key: str, value: object) -> object:
    """A value out of the text of a variable or an argument, as the setting's type wants it."""
    if isinstance(value, str) and hints().get(key) is bool:
        spelled = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        return spelled.get(value.lower(), value)
    return value


# --- the file

_GROUPS = frozenset(group.name for group in fields(Settings))


def _load_file(path: Path) -> LoadedSettings:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return LoadedSettings()
    except (OSError, UnicodeDecodeError) as error:
        return LoadedSettings(problems=(f"{path} cannot be read ({_reason(error)}); the defaults are used",))
    import tomllib  # 10 ms, and most people have no such file

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return LoadedSettings(problems=(f"{path} is not valid TOML ({error}); the defaults are used",))
    loaded, problems = LoadedSettings(), []
    for key, value in _flat(table):
        try:
            _refuse_group(key, value)
            loaded = loaded.with_value(key, _listed(value))
        except ConfigError as error:
            problems.append(f"{path}{_line(text, key)}: {error}")
    return replace(loaded, problems=tuple(problems))


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group, values in table.items():
        if not isinstance(values, dict) or group not in _GROUPS:
            yield group, values
        elif group == KEYS:
            yield from ((f"{KEYS}.{name}", value) for name, value in _joined(values))
        else:
            yield from ((f"{group}.{name}", value) for name, value in values.items())


def _refuse_group(key: str, value: object) -> None:
    if key in _GROUPS:
        raise ConfigError(f"{key} is {shown(value)}; it must be a table, which begins with [{key}]", key=key)


def _joined(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """``app.quit = "x"`` is a table in TOML, ``"app.quit" = "x"`` a key; both are meant the same way."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _joined(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _line(text: str, key: str) -> str:
    """``", line 3"`` where a key stands in the file, as far as a look at its lines tells."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            table = header[1].replace('"', "") + "."
        elif (name := re.match(r"\s*([^=#]+?)\s*=", line)) and table + re.sub(r"[\"'\s]", "", name[1]) == key:
            return f", line {number}"
        if table == f"{key}.":
            return f", line {number}"
    return ""


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unknown reason") if isinstance(error, OSError) else "it is not UTF-8 text"
