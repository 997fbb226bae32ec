"""Plain text and source code: one text, cut only where it is too long to be held as one section."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders.boundary import loader
from chatglm_slim_llm.retrieval.loaders.encoding import BinaryDataError, decode
from chatglm_slim_llm.retrieval.loaders.outline import pieces
from chatglm_slim_llm.retrieval.passages import Section


@loader("text")
def load(path: Path) -> Iterator[Section]:
    """The text of a file in whatever encoding, with the line on which each section begins."""
    for line, piece in pieces(read_text(path)):
        yield Section(piece, first_line=line)


def read_text(path: Path) -> str:
    r"""The text of a file with ``\n`` at the end of each line.

    Raises:
        UnreadableFileError: it is binary.
    """
    try:
        text = decode(path.read_bytes())
    except BinaryDataError as error:
        raise UnreadableFileError(str(error), path=path) from error
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text
