"""The child process that opens files: ``python -m chatglm_slim_llm.retrieval.reader``, started by `reading.py`.

One JSON line on stdin sets the limits, each further one names a file; the answer is lines of chunks and
one that ends the file. Whatever a file or a loader does here, it does it to this process alone, which has
a limit of memory and of time and ends with its parent. Nothing of ours but loaders and splitting is imported.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import io
import json
import os
import queue
import signal
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.plugins import PluginSpec, catalogue
from chatglm_slim_llm.retrieval.passages import Chunk, Section
from chatglm_slim_llm.retrieval.splitting import split

Loader = Callable[[Path], Iterable[Section]]
Identity = tuple[int, int, int, int]


class _ChangedError(Exception):
    """The file is not the one that was there when its reading began."""


def main() -> None:
    requests, replies = _take_pipes()
    settings = json.loads(requests.readline())
    _limit_memory(settings["memory_bytes"])
    reader = _Reader(replies, settings)
    reader.send({"ready": True})
    with Path(os.devnull).open("wb") as nowhere:  # until here a failure to start was to be heard
        os.dup2(nowhere.fileno(), 2)
    for request in _requests(requests):
        _limit_time(settings["seconds"])
        reader.answer(request)
        _limit_time(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Our pipes under other numbers, so that a library that prints or asks cannot break the talk."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, replies


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit but does not take it
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """The system ends this process itself if the parent is gone or asleep; a library cannot hold that up."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _requests(pipe: BinaryIO) -> Iterator[dict[str, Any]]:
    """Requests as they come. A thread waits for them and ends the process with its parent, even amid a file."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        for line in pipe:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(lines.get())


class _Reader:
    """Answers requests, one at a time."""

    def __init__(self, replies: BinaryIO, settings: dict[str, Any]) -> None:
        self._replies, self._settings = replies, settings
        # A broken one is to be complained of, not to be passed over.
        usable = [spec for spec in catalogue("loaders") if spec.state in ("on", "broken")]
        self._specs: dict[str, PluginSpec] = {spec.name: spec for spec in usable}
        self._loaders: dict[str, Loader] = {}

    def send(self, message: dict[str, Any]) -> None:
        try:
            self._replies.write(json.dumps(message).encode() + b"\n")
            self._replies.flush()
        except BrokenPipeError:
            os._exit(0)

    def answer(self, request: dict[str, Any]) -> None:
        path = Path(os.fsdecode(base64.b64decode(request["path"])))
        is_last = False
        try:
            end = self._read_twice(path)
        except UnreadableFileError as error:
            end = {"unread": error.reason}
        except MemoryError:
            end, is_last = (
                {"unread": f"needs more than the {self._settings['memory_bytes'] >> 20} MB of memory it may"},
                True,
            )
        except OSError as error:
            end = {"unread": f"cannot be read: {error.strerror or error}"}
        except BaseException as error:  # a loader of others may raise anything, SystemExit as well
            end = {"unread": f"its loader failed: {type(error).__name__}: {error}"}
        if "unread" in end:
            end["unread"] = _one_line(end["unread"])
        is_last = is_last or _resident_bytes() > self._settings["memory_bytes"] // 4
        self.send({**end, "is_last": is_last})
        if is_last:
            os._exit(0)  # what a large file took is given back

    def _read_twice(self, path: Path) -> dict[str, Any]:
        for _ in range(2):
            with contextlib.suppress(_ChangedError):
                return self._read(path)
            self.send({"again": True})
        return {"unread": "changes while it is read; the next sync tries again"}

    def _read(self, path: Path) -> dict[str, Any]:
        with _open_regular(path) as file:
            before = os.fstat(file.fileno())
            if before.st_size > self._settings["max_file_bytes"]:
                raise UnreadableFileError("has grown beyond the size that is read", path=path)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            found = self._send_chunks(path)
            after = os.fstat(file.fileno())
        if not _identity(before) == _identity(after) == _identity(path.stat()):
            raise _ChangedError
        if not found:
            raise UnreadableFileError("holds no text", path=path)
        return {"digest": digest, "size_bytes": before.st_size, "mtime_ns": before.st_mtime_ns}

    def _send_chunks(self, path: Path) -> int:
        """Load and split; give the number of chunks."""
        found = 0
        part: list[list[Any]] = []
        for chunk in split(_checked(self._loader(path)(path)), max_tokens=self._settings["max_tokens"]):
            found += 1
            if found > self._settings["max_chunks"]:
                limit = self._settings["max_chunks"]
                raise UnreadableFileError(f"it would make more than {limit:,} passages; split it", path=path)
            part.append(_row(chunk))
            if len(part) == _PART:
                self.send({"chunks": part})
                part = []
        self.send({"chunks": part})
        return found

    def _loader(self, path: Path) -> Loader:
        """The suffix's loader; a suffix without one may be of code or notes, so it is tried as text."""
        suffix = path.suffix.lower().lstrip(".")
        if suffix not in self._specs:
            suffix = "txt"
        if suffix not in self._loaders:
            self._loaders[suffix] = (
                cast(Loader, self._specs[suffix].function()) if suffix in self._specs else _text_loader()
            )
        return self._loaders[suffix]


def _text_loader() -> Loader:
    """Ours by its own name: there are no entry points where the package runs without being installed."""
    return cast(Loader, importlib.import_module("chatglm_slim_llm.retrieval.loaders.text").load)


def _open_regular(path: Path) -> io.BufferedReader:
    """Open a file without waiting: what was a file when it was found may be a pipe by now."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableFileError("is not a file any more", path=path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFileError("is not a file any more", path=path)
    return open(descriptor, "rb")  # noqa: PTH123  # there is no path to a descriptor


def _identity(info: os.stat_result) -> Identity:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def _checked(sections: Iterable[Section]) -> Iterator[Section]:
    """Sections as they should be: a loader of others may give anything, and half surrogates no database takes."""
    for section in sections:
        if not isinstance(section, Section):
            raise TypeError(f"it gives {type(section).__name__} instead of Section")
        text, heading = (part.encode("utf-8", "replace").decode() for part in (section.text, section.heading))
        yield Section(text, heading, section.page, section.first_line)


def _row(chunk: Chunk) -> list[Any]:
    return [
        chunk.text,
        chunk.heading,
        chunk.page,
        chunk.first_line,
        chunk.last_line,
        chunk.tokens,
        dict(chunk.metadata),
    ]


def _one_line(reason: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in reason.encode("utf-8", "backslashreplace").decode())
    text = " ".join(printable.split())
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def _resident_bytes() -> int:
    """Memory in use, where the system tells cheaply; else nothing."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


_PART = 64
"""Chunks in a line: some hundred kilobytes at most."""
_MAX_REASON = 300

if __name__ == "__main__":
    main()
