"""Files that a terminal hands over as text when they are dropped on it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LONGEST = 4096
_BEGINNING = re.compile(r"""['"]?(?:/|~|file://|[A-Za-z]:[\\/])""")


def dropped_files(text: str) -> list[Path]:
    """The files that ``text`` names and nothing else: whole paths, plain, quoted, escaped or as ``file://``."""
    text = text.strip()
    if len(text) > _LONGEST or not _BEGINNING.match(text):
        return []
    if whole := _existing(text):
        return [whole]
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    files = [_existing(word) for word in words]
    return [path for path in files if path] if all(files) else []


def _existing(word: str) -> Path | None:
    if not _BEGINNING.match(word):
        return None
    try:
        path = Path(unquote(urlsplit(word).path) if word.startswith("file://") else word).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no home
        return None
