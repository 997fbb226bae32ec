"""``plugins.toml`` changed for the user: comments and order stay, and the file is whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.plugins.spec import PluginSpec
from chatglm_slim_llm.plugins.tables import VARIABLE, file_in_use, shipped_file, user_file
from chatglm_slim_llm.plugins.trust import is_trusted, trust
from chatglm_slim_llm.writing import write_whole


def set_enabled(spec: PluginSpec, enabled: bool, environ: Mapping[str, str] = os.environ) -> Path:
    """Switch a plugin on or off; returns the file that says so now.

    That is the file in use; where that is the one we ship, it is the user's own, which is made.

    Raises:
        ConfigError: the file is broken (it stays as it is), not trusted yet, or cannot be written.
    """
    file = file_to_edit(environ)
    is_ours_to_trust = _needs_trust(file, environ)
    if is_ours_to_trust and file.exists() and not is_trusted(file, environ):
        raise ConfigError(
            f"{file} is of a folder that you have not trusted; look at it, then: chatglm-slim plugins trust {file}",
            key=spec.key,
            source=str(file),
        )
    try:
        document = _read(file)
        _set(document, spec, enabled)
        write_whole(file, document.as_string())
        if is_ours_to_trust:
            trust(file, environ)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror})", key=spec.key, source=str(file)) from error
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML ({error}); repair it", key=spec.key, source=str(file)) from error
    return file


def file_to_edit(environ: Mapping[str, str] = os.environ) -> Path:
    """The file in use, or the user's own where that is the shipped one."""
    file, shipped = file_in_use(environ), shipped_file()
    return user_file(environ) if file == shipped or (file.exists() and file.samefile(shipped)) else file


def _needs_trust(file: Path, environ: Mapping[str, str]) -> bool:
    return not environ.get(VARIABLE) and file != user_file(environ)


def _read(file: Path) -> Any:
    import tomlkit  # 30 ms, only needed here

    try:
        return tomlkit.parse(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()


def _set(document: Any, spec: PluginSpec, enabled: bool) -> None:
    import tomlkit

    group: Any = document.setdefault(spec.group, tomlkit.table(is_super_table=True))
    if not isinstance(group, MutableMapping) or not isinstance(group.get(spec.name, {}), MutableMapping):
        raise ValueError(f"{spec.key} is not a table")
    if spec.name not in group:
        group[spec.name] = tomlkit.table()
    table = document[spec.group][spec.name]
    table["enabled"] = enabled
    if enabled and spec.state == "new" and spec.distribution:
        table["package"] = spec.distribution
