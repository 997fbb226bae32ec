"""Which ``plugins.toml`` of working folders the user has looked at and trusts, by their content.

A folder may come from anywhere, and its file can name any code; so it has to be trusted before it brings any in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.writing import write_whole

_NAME = "trusted-plugins.json"


def is_trusted(file: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user trusts this file as it is now."""
    try:
        return _trusted(environ).get(os.path.realpath(file)) == _digest(file)
    except OSError:
        return False


def trust(file: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Trust this file until it changes."""
    record = _trusted(environ) | {os.path.realpath(file): _digest(file)}
    write_whole(_place(environ), json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _trusted(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads(_place(environ).read_text("utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: nothing is trusted
        return {}
    return found if isinstance(found, dict) else {}


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _place(environ: Mapping[str, str]) -> Path:
    return Folders.of_user(environ).data / _NAME
