"""Which ``plugins.toml`` of working folders the user has looked at and trusts, by their content.

A folder may come from anywhere, and its file can name any code; so it has to be trusted before it brings any in.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.writing import write_whole

_NAME = "trusted-plugins.json"
_MAX_BYTES = 1_000_000
"""Thousands of plugins; of more than that, parsing takes seconds."""
_PATIENCE_S = 10


def content_of(file: Path) -> bytes:
    """What a ``plugins.toml`` holds.

    Raises:
        OSError: it is not there, cannot be read, is too large, or is a pipe, which would be waited for.
    """
    if str(file) == os.devnull:
        return b""
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    if about.st_size > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, more than the {_MAX_BYTES:,} that are read")
    return file.read_bytes()


def is_trusted(file: Path, content: bytes, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user trusts this file with this content."""
    return _trusted(environ).get(os.path.realpath(file)) == sha256(content).hexdigest()


def trust(file: Path, content: bytes, environ: Mapping[str, str] = os.environ) -> None:
    """Trust this file until it holds anything else.

    Raises:
        OSError: that cannot be written down.
    """
    with in_turn(environ):
        record = _trusted(environ) | {os.path.realpath(file): sha256(content).hexdigest()}
        write_whole(_place(environ), json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def how_to_trust(file: Path) -> str:
    """The command for a shell, which may read the names of folders as more than names."""
    return f"chatglm-slim plugins trust {shlex.quote(str(file))}"


@contextmanager
def in_turn(environ: Mapping[str, str]) -> Iterator[None]:
    """Hold what one process of this user may hold at a time: the right to change these files.

    Raises:
        OSError: another process holds it for long, or the folder cannot be written.
    """
    from filelock import FileLock  # 20 ms, and listing needs none

    place = _place(environ)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(
        f"{place}.lock", timeout=_PATIENCE_S, mode=0o600, is_singleton=True
    ):  # of one process, once is enough
        yield


def _trusted(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads(_place(environ).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # none yet, or damaged: nothing is trusted
        return {}
    return found if isinstance(found, dict) else {}


def _place(environ: Mapping[str, str]) -> Path:
    return Folders.of_user(environ).data / _NAME
