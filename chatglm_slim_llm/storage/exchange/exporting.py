"""Conversations out of a history file, as text or as a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Literal, get_args

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage.conversations import ConversationStore
from chatglm_slim_llm.storage.exchange import markdown, own
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.whole import WholeConversation

Format = Literal["markdown", "json", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {
    ".md": "markdown", ".markdown": "markdown", ".json": "json", ".html": "html", ".htm": "html"
}  # fmt: skip


def export_text(store: ConversationStore, conversation_id: int, format: Format) -> str:
    """One conversation as text.

    Args:
        store: the history that has it.
        conversation_id: which one.
        format: ``markdown`` and ``html`` show the branch that is shown, ``json`` has everything.

    Raises:
        StorageError: it is gone.
    """
    return "".join(_pieces(format, iter([store.whole(conversation_id)])))


def export_to(
    write: Callable[[str], object], store: ConversationStore, conversation_ids: Sequence[int], format: Format
) -> None:
    """Conversations one after the other, never all in memory.

    Raises:
        StorageError: one is gone.
    """
    for piece in _pieces(format, (store.whole(conversation_id) for conversation_id in conversation_ids)):
        write(storable(piece))


def write_export(
    store: ConversationStore,
    conversation_ids: Sequence[int],
    path: Path,
    format: Format | None = None,
    *,
    replace: bool = False,
) -> Path:
    """Conversations as one file, which is there whole or not at all; returns its path.

    Args:
        store: the history that has them.
        conversation_ids: which ones, in this order.
        path: the file to write.
        format: without it, what the file's suffix says.
        replace: whether a file that is there may be replaced.

    Raises:
        StorageError: the file is there already or cannot be written, its suffix is unknown, or a conversation is gone.
    """
    wanted = format or format_of(path)
    if path.exists() and not replace:
        raise _is_there(path)
    draft = path.with_name(f".{path.name[:50]}.{token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as file:
            export_to(file.write, store, conversation_ids, wanted)
            file.flush()
            os.fsync(file.fileno())
        _put(draft, path, replace=replace)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({error.strerror or error}); choose another folder, or make room"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return path


def format_of(path: Path) -> Format:
    """The format that a file's suffix asks for.

    Raises:
        StorageError: it is none of ours.
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise StorageError(f"{path.name} does not say which format to write; end it in .md, .html or .json")
    return found


def _pieces(format: Format, conversations: Iterator[WholeConversation]) -> Iterator[str]:
    if format == "json":
        return own.pieces(conversations)
    if format == "html":
        from chatglm_slim_llm.storage.exchange import html  # Pygments and a Markdown parser, 50 ms

        return html.pieces(conversations)
    return _below(map(markdown.pieces, conversations))


def _below(documents: Iterable[Iterator[str]]) -> Iterator[str]:
    for number, document in enumerate(documents):
        if number:
            yield "\n---\n\n"
        yield from document


def _put(draft: Path, path: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)  # unlike a rename, this never replaces what somebody else has put there meanwhile
    except FileExistsError:
        raise _is_there(path) from None
    except OSError:  # a file system without links
        if path.exists():
            raise _is_there(path) from None
        draft.rename(path)


def _is_there(path: Path) -> StorageError:
    return StorageError(f"{path} is there already; choose another name, or say that it may be replaced")
