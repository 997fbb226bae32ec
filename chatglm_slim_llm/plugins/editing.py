"""``plugins.toml`` changed for the user: comments and order stay, and the file is whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.plugins.entries import OURS
from chatglm_slim_llm.plugins.spec import PluginSpec
from chatglm_slim_llm.plugins.tables import file_in_use, is_same, is_users_choice, shipped_file, user_file
from chatglm_slim_llm.plugins.trust import content_of, how_to_trust, in_turn, is_trusted, trust
from chatglm_slim_llm.writing import write_whole

_BOM = "\ufeff"


def set_enabled(spec: PluginSpec, enabled: bool, environ: Mapping[str, str] = os.environ) -> Path:
    """Switch a plugin on or off; returns the file that says so now.

    That is the file in use; where that is the one we ship, it is the user's own, which is made.

    Raises:
        ConfigError: the file is broken (it stays as it is), not trusted yet, or cannot be written.
    """
    file = file_to_edit(environ)

    def refused(what: str) -> ConfigError:
        return ConfigError(f"{file} {what}", key=spec.key, source=str(file))

    if str(file) == os.devnull:  # which an administrator could replace
        raise refused("keeps nothing; leave --no-plugins out to switch plugins on and off")
    try:
        with in_turn(environ):
            _change(file, spec, enabled, environ, refused)
    except OSError as error:
        raise refused(f"cannot be written ({error.strerror or error})") from error
    return file


def file_to_edit(environ: Mapping[str, str] = os.environ) -> Path:
    """The file in use, or the user's own where that is the shipped one."""
    file = file_in_use(environ)
    return user_file(environ) if is_same(file, shipped_file()) else file


def _change(
    file: Path, spec: PluginSpec, enabled: bool, environ: Mapping[str, str], refused: Callable[[str], ConfigError]
) -> None:
    is_theirs = not is_users_choice(file, environ)
    try:
        content = content_of(file)
    except FileNotFoundError:
        content = b""
    if is_theirs and content and not is_trusted(file, content, environ):
        raise refused(f"is of a folder that you have not trusted; look at it, then: {how_to_trust(file)}")
    text = _switched(content, spec, enabled, refused)
    write_whole(file, text)
    if is_theirs:
        trust(file, text.encode(), environ)


def _switched(content: bytes, spec: PluginSpec, enabled: bool, refused: Callable[[str], ConfigError]) -> str:
    import tomlkit  # 30 ms, only needed here
    from tomlkit.exceptions import TOMLKitError

    try:
        text = content.decode()
        document = tomlkit.parse(text.removeprefix(_BOM))
        group: Any = document.setdefault(spec.group, tomlkit.table(is_super_table=True))
        if not isinstance(group, MutableMapping) or not isinstance(group.get(spec.name, {}), MutableMapping):
            raise refused(f"has a [{spec.key}] that is no table; repair it")
        if spec.name not in group:
            group[spec.name] = tomlkit.table()
        _set(document[spec.group][spec.name], spec, enabled)
        changed = document.as_string()
    except (ValueError, TOMLKitError, RecursionError) as error:
        raise refused(f"is not valid TOML ({error}); repair it") from error
    if text.count("\r\n") == text.count("\n") > 0:
        changed = changed.replace("\r\n", "\n").replace("\n", "\r\n")
    return (_BOM if text.startswith(_BOM) else "") + changed


def _set(table: Any, spec: PluginSpec, enabled: bool) -> None:
    table["enabled"] = enabled
    if not enabled or not spec.distribution:
        return
    table.pop("target", None)  # else it stays what is used
    if table.get("package", OURS) != spec.distribution:
        table["package"] = spec.distribution
