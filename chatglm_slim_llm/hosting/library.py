"""Knowledge bases and files for someone who must not wait for them: the work is done in a process of its own.

Listing needs none; it starts with the first thing that does, and ends with ``close``. Nothing here imports torch or
LangChain. All methods block, and may be called from any thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatglm_slim_llm.hosting.process import Call, ChildProcess
from chatglm_slim_llm.hosting.wire import Message
from chatglm_slim_llm.storage import Attachment

Progress = Callable[[str, int, int], None]
"""Called with a stage (``starting``, ``looking``, ``embedding``, ``indexing``), files or passages done, and all."""

_TELL_S = 0.2
_STOP_S = 10.0
"""A stop waits for the files in hand; what is longer at it is ended, and what was indexed stays."""


@dataclass(frozen=True)
class LibraryFacts:
    """One knowledge base."""

    name: str
    passages: int
    files: int
    embedder: str
    """What finds by meaning; empty for none, or while nobody has chosen."""
    size_bytes: int
    folders: tuple[str, ...]
    """The files and folders that were added."""


@dataclass(frozen=True)
class LibraryReport:
    """What adding or syncing did."""

    added: int
    changed: int
    unchanged: int
    removed: int
    passages: int
    """Passages written."""
    skipped: tuple[tuple[str, str], ...]
    """Files that were left out, with the reason."""
    missing: tuple[str, ...]
    """Folders that are not there now; what was in them is kept."""
    was_stopped: bool


class Library:
    """The knowledge bases of this user."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None

    def names(self) -> list[str]:
        """What knowledge bases there are; reads a folder and nothing else."""
        from chatglm_slim_llm.retrieval.place import knowledge_base_names

        return knowledge_base_names()

    def facts(self, name: str) -> LibraryFacts:
        """What is in a knowledge base.

        Raises:
            RetrievalError: it is gone.
            StorageError: its file is damaged.
        """
        about = self._ask("facts", {"name": name}).result()
        return LibraryFacts(**about | {"folders": tuple(about["folders"])})

    def create(self, name: str, embedder: str | None = None) -> None:
        """Make an empty knowledge base; by default the embedder is chosen when something is added.

        Raises:
            RetrievalError: there is one of this name.
            ConfigError: that is no name.
            PluginNotFoundError: there is no such embedder.
        """
        self._ask("create", {"name": name, "embedder": embedder}).result()

    def add(self, name: str, paths: Iterable[str | os.PathLike[str]], progress: Progress) -> LibraryReport:
        """Add files and folders; what ``progress`` raises stops it, and what was indexed stays.

        Raises:
            RetrievalError: a path does not exist, or the knowledge base is gone or busy.
        """
        given = {"name": name, "paths": [os.path.abspath(os.path.expanduser(path)) for path in paths]}  # noqa: PTH100, PTH111
        return self._work("add", given, progress)

    def sync(self, name: str, progress: Progress) -> LibraryReport:
        """Follow new, changed and removed files; what ``progress`` raises stops it."""
        return self._work("sync", {"name": name}, progress)

    def remove(self, name: str) -> None:
        """Delete a knowledge base; the files that were added to it stay.

        Raises:
            KnowledgeBaseBusyError: it is being indexed.
        """
        self._ask("remove", {"name": name}).result()

    def read_file(self, path: str | os.PathLike[str]) -> Attachment:
        """The text of a file of any kind that documents have.

        Raises:
            UnreadableFileError: it holds no text, is of a kind that has none, or is too large.
        """
        from chatglm_slim_llm.hosting.files import read_attachment

        return read_attachment(Path(path).expanduser().absolute())

    def close(self) -> None:
        """End the library's process; the next call starts it again."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _ask(self, do: str, given: Message) -> Call:
        with self._lock:
            if self._child is None or not self._child.is_alive():
                self._child = ChildProcess("The library's process", "add fewer files at once")
            return self._child.call(do, given)

    def _work(self, do: str, given: Message, progress: Progress) -> LibraryReport:
        call = self._ask(do, given)
        last: tuple[str, int, int] = ("starting", 0, 0)
        try:
            while True:
                progress(*last)
                message = call.next(_TELL_S)
                if message is None:
                    continue
                if "end" in message:
                    return _report(message["end"])
                what, done, total = message["say"]
                last = (what, done, total)
        finally:
            if not call.is_over and not call.stop(_STOP_S):
                self.close()


def _report(given: dict[str, Any]) -> LibraryReport:
    skipped = tuple((path, reason) for path, reason in given["skipped"])
    return LibraryReport(**given | {"skipped": skipped, "missing": tuple(given["missing"])})
