"""A file as the text that is sent with a message.

What is text already is taken as it is; documents go through the loaders, in a process with limits of time and memory.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.errors import RetrievalError, UnreadableFileError
from chatglm_slim_llm.plugins import plugins
from chatglm_slim_llm.storage import Attachment

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval.passages import Chunk
    from chatglm_slim_llm.retrieval.scanning import FoundFile

MAX_FILE_BYTES = 32 << 20
MAX_CHARACTERS = 1_000_000
"""More text than any message takes."""
_AS_THEY_ARE = {"", "csv", "markdown", "md", "tsv", "txt"}
_SECTION_TOKENS = 10_000_000
_SECONDS = 60
_MEMORY_BYTES = 1536 << 20


def read_attachment(path: Path) -> Attachment:
    """A file's text.

    Raises:
        UnreadableFileError: it is missing, no file, no text, or too large; ``reason`` says which.
    """
    found = _found(path)
    suffix = path.suffix.lower().lstrip(".")
    is_plain = suffix in _AS_THEY_ARE or suffix not in plugins("loaders")
    text = _plain(found) if is_plain else _document(found)
    if not text.strip():
        raise UnreadableFileError("holds no text", path=path)
    if len(text) > MAX_CHARACTERS:
        raise UnreadableFileError(
            f"holds {len(text):,} characters of text, more than the {MAX_CHARACTERS:,} that a message takes;"
            " put it into a knowledge base instead",
            path=path,
        )
    return Attachment(_name(path), text, path, mimetypes.guess_type(path.name)[0] or "text/plain")


def _found(path: Path) -> FoundFile:
    from chatglm_slim_llm.retrieval.scanning import FoundFile, ScanLimits, scan

    try:
        if path.is_dir():
            raise UnreadableFileError("is a folder; attach its files, or put it into a knowledge base", path=path)
        limits = ScanLimits(max_file_bytes=MAX_FILE_BYTES)
        found = next(iter(scan([path], limits=limits, loadable=list(plugins("loaders")))), None)
    except UnreadableFileError:
        raise
    except (RetrievalError, OSError) as error:
        raise UnreadableFileError("does not exist", path=path) from error
    if not isinstance(found, FoundFile):
        raise UnreadableFileError(found.reason if found else "cannot be read", path=path)
    return found


def _plain(found: FoundFile) -> str:
    from chatglm_slim_llm.retrieval.loaders.text import read_text

    try:
        return read_text(found.path)
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror or error}", path=found.path) from error


def _document(found: FoundFile) -> str:
    from chatglm_slim_llm.retrieval.reading import ReaderPool, ReadFile, ReadLimits

    limits = ReadLimits(
        seconds=_SECONDS, memory_bytes=_MEMORY_BYTES, max_tokens=_SECTION_TOKENS, max_file_bytes=MAX_FILE_BYTES
    )
    with ReaderPool(1, limits) as readers:
        result = next(iter(readers.read([found], lambda: False)))
    if isinstance(result, ReadFile):
        return _joined(result.chunks)
    raise UnreadableFileError(result.reason, path=found.path)


def _joined(sections: Sequence[Chunk]) -> str:
    """Sections under their headings, each heading once."""
    parts: list[str] = []
    heading = ""
    for section in sections:
        if section.heading and section.heading != heading:
            parts.append(section.heading)
        heading = section.heading
        parts.append(section.text.strip("\n"))
    return "\n\n".join(parts)


def _name(path: Path) -> str:
    from chatglm_slim_llm.retrieval.scanning import display_name

    return display_name(path.name)
