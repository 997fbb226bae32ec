"""A report without what nobody else may know: tokens, passwords, the logins of addresses, the user's own folder.

Whatever a value is quoted in, a message or a path, it is hidden by what it is, not by where it stands.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chatglm_slim_llm.plugins.concealing import HIDDEN, hide, shown
from chatglm_slim_llm.plugins.trust import content_of

_SHORTEST = 6
"""A shorter value is no secret, and would be found within words."""


def is_secret(name: str) -> bool:
    """Whether a variable or an option of this name holds something to hide."""
    return shown("value", name) != "value"


def secrets(environ: Mapping[str, str] = os.environ, files: Iterable[Path] = ()) -> list[str]:
    """Values of the environment, and of these TOML files, whose names say that they are secret; longest first."""
    found = {value for name, value in environ.items() if is_secret(name)}
    for file in files:
        try:
            found.update(_secret_values(tomllib.loads(content_of(file).decode("utf-8-sig"))))
        except (OSError, ValueError, RecursionError):  # not there, or not to be read: then nothing of it is shown
            continue
    return sorted((each for each in found if len(each) >= _SHORTEST), key=len, reverse=True)


def _secret_values(given: Any, name: str = "") -> Iterator[str]:
    """The texts in a table that are under a secret name, or in a table of headers or of an environment."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            inherits = is_secret(name) or name.lower() in ("headers", "env")
            yield from _secret_values(value, name if inherits else str(key))
    elif isinstance(given, list):
        for each in given:
            yield from _secret_values(each, name)
    elif isinstance(given, str) and (is_secret(name) or name.lower() in ("headers", "env")):
        yield given


def concealed(report: Any, secret_values: Iterable[str] = (), home: Path | None = None) -> Any:
    """The report, at any depth, without the secrets; the user's own folder becomes ``~``."""
    if isinstance(report, Mapping):
        return {
            _hidden(key, secret_values, home): concealed(value, secret_values, home) for key, value in report.items()
        }
    if isinstance(report, list):
        return [concealed(each, secret_values, home) for each in report]
    return _hidden(report, secret_values, home) if isinstance(report, str) else report


def _hidden(text: str, secret_values: Iterable[str], home: Path | None) -> str:
    for value in secret_values:
        text = text.replace(value, HIDDEN)
    text = hide(text)
    if home is not None and home != Path(home.anchor):
        text = re.sub(rf"{re.escape(str(home))}(?=[/\\\s:,;)]|$)", "~", text)
    return text
