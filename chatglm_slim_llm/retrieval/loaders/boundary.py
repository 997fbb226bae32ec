"""What every loader promises, in one place: one kind of error, clean text, and not more of it than can be meant."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chatglm_slim_llm.errors import ChatGLMSlimError, MissingExtraError, UnreadableFileError
from chatglm_slim_llm.retrieval.passages import Section

MAX_CHARACTERS = 1 << 26
"""More text than this from one file is no document: a small file can repeat one string for ever."""

Loader = Callable[[Path], Iterator[Section]]

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")  # neither SQLite's text nor UTF-8 can hold them
_LONGEST_REASON = 200


def loader(kind: str) -> Callable[[Loader], Loader]:
    """Make a function that reads ``kind`` (as in "damaged PDF") a loader that keeps the promises above."""

    def wrap(read: Loader) -> Loader:
        @functools.wraps(read)
        def load(path: Path) -> Iterator[Section]:
            with _one_error(kind, path):
                yield from _bounded(read(path), path)

        return load

    return wrap


@contextmanager
def extra_packages() -> Iterator[None]:
    """Say which extra to install when an import inside fails."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"reading this kind of file needs a package that is not installed ({error.name});"
            " run: pip install 'chatglm-slim-llm[rag]'",
            extra="rag",
        ) from error


@contextmanager
def _one_error(kind: str, path: Path) -> Iterator[None]:
    try:
        yield
    except ChatGLMSlimError:
        raise
    except MemoryError as error:
        raise UnreadableFileError("reading it takes more memory than there is", path=path) from error
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror or error}", path=path) from error
    except Exception as error:  # the libraries raise whatever a hostile file makes them stumble over
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnreadableFileError(f"damaged {kind}: {first_line[:_LONGEST_REASON]}", path=path) from error


def _bounded(sections: Iterator[Section], path: Path) -> Iterator[Section]:
    characters = 0
    for section in sections:
        text = _NOT_TEXT.sub("", section.text)
        characters += len(text)
        if characters > MAX_CHARACTERS:
            raise UnreadableFileError(f"holds more than {MAX_CHARACTERS:,} characters of text", path=path)
        if text.strip():
            yield replace(section, text=text, heading=_NOT_TEXT.sub("", section.heading))
