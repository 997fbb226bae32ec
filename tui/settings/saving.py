"""One setting written into ``settings.toml``: comments and order stay, and the file is whole at every moment."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.writing import write_whole
from tui.settings.values import LoadedSettings, Settings


def change(path: Path, loaded: LoadedSettings, key: str, value: object) -> tuple[LoadedSettings, str]:
    """The settings with one changed and saved, and why it could not be saved, which is empty if it was.

    Raises:
        ConfigError: the value cannot be used.
    """
    changed = loaded.with_value(key, value)
    try:
        save(path, key, value)
    except ConfigError as error:
        return changed, str(error)
    return changed, ""


def save(path: Path, key: str, value: object) -> None:
    """Set ``"group.name"``; ``None`` takes it out of the file, so that the default holds again.

    Raises:
        ConfigError: the value cannot be used, the file is broken (it stays as it is), or it cannot be written.
    """
    if value is not None:
        Settings().with_value(key, value)
    group, _, name = key.partition(".")
    try:
        document = _read(path)
        _set(document, group, name, list(value) if isinstance(value, tuple) else value)
        write_whole(path, document.as_string())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); the setting is not saved", key=key) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); repair it, then set {key} again", key=key) from error


def _read(path: Path) -> Any:
    import tomlkit  # 30 ms, only needed here

    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()


def _set(document: Any, group: str, name: str, value: object) -> None:
    import tomlkit

    if group not in document:
        if value is None:
            return
        document[group] = tomlkit.table()
    table = document[group]
    if not isinstance(table, MutableMapping):
        raise ValueError(f"{group} is not a table")
    table, name = _inner(table, name)
    if value is not None:
        table[name] = value
    elif name in table:
        del table[name]


def _inner(table: Any, name: str) -> tuple[Any, str]:
    """Where ``app.quit`` stands: as one key, or, written with dots, in a table of its own."""
    before, _, rest = name.partition(".")
    if name not in table and rest and isinstance(table.get(before), MutableMapping):
        return _inner(table[before], rest)
    return table, name
