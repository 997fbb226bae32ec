"""Files that passages came from: whether they are still what they were, and opening them with the system's program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

from chatglm_slim_llm.storage import Source

State = Literal["there", "changed", "gone", "elsewhere"]
"""``elsewhere``: it never was a file of this machine."""

_AS_WRITTEN = {".md", ".markdown", ".txt", ".text", ".rst", ".log"}
"""Kinds whose passages are their text as it stands in the file."""
_MOST_BYTES = 10_000_000
_PROGRAMS = re.compile(
    r"\.(app|appimage|bat|cmd|com|command|desktop|exe|hta|jar|jse?|lnk|msi|pif|ps1|reg|scr|sh|terminal|url|vb[es]"
    r"|workflow|wsf)",
    re.IGNORECASE,
)
"""Kinds that a system's opener may run instead of show."""


def file_of(source: Source) -> Path | None:
    """The file that a passage came from, there or not; ``None`` where it is none of this machine's."""
    if "://" in source.source or "\0" in source.source:
        return None
    path = Path(source.source)
    return path if path.is_absolute() else None


def state_of(source: Source) -> State:
    """What became of the file; ``there`` also where it cannot be told whether it has changed."""
    path = file_of(source)
    if path is None:
        return "elsewhere"
    try:
        if not path.is_file():
            return "gone"
        if path.suffix.lower() not in _AS_WRITTEN or path.stat().st_size > _MOST_BYTES:
            return "there"
        text = _squeezed(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:  # of an encoding that takes longer to find out
        return "there"
    except OSError:
        return "gone"
    lines = map(_squeezed, source.text.removesuffix("…").split("\n"))
    return "there" if all(line in text for line in lines) else "changed"


def may_open(path: Path) -> bool:
    """Whether opening shows the file; what runs instead of being shown stays closed."""
    return _PROGRAMS.fullmatch(path.suffix) is None


def open_file(path: Path) -> None:
    """Open a file with the program that the system has for it; does not wait for that.

    Raises:
        OSError: there is no such opener.
    """
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    nowhere = subprocess.DEVNULL
    try:
        process = subprocess.Popen(  # a session of its own: it outlives the terminal
            [opener, os.fspath(path)], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    except FileNotFoundError as error:
        missing = f"there is no program {opener}, which opens files; install it, mostly in the package xdg-utils"
        raise FileNotFoundError(error.errno, missing) from error
    threading.Thread(target=process.wait, name="opener", daemon=True).start()


def _squeezed(text: str) -> str:
    return "".join(text.split())
