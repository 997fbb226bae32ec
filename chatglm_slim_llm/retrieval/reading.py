"""Files become chunks in child processes, so that no file can crash, block or exhaust the indexer.

`ReaderPool` keeps the children (`reader.py`), hands each one file at a time, kills what takes too long and
starts another for what died. Which files to read, and where chunks go, is for others to say.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.retrieval.passages import Chunk
from chatglm_slim_llm.retrieval.scanning import FoundFile


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What one file may take."""

    seconds: float = 60
    memory_bytes: int = 1536 << 20
    """Address space of the child, where the system can limit it."""
    max_chunks: int = 50_000
    max_tokens: int = 256
    """Length of a chunk."""
    max_file_bytes: int = 64 << 20
    """Refused if it has grown beyond this since it was found."""


@dataclass(frozen=True)
class ReadFile:
    """A file's chunks, and what it was when they were read, which may be newer than when it was found."""

    file: FoundFile
    digest: str
    """SHA-256 of its bytes, hexadecimal."""
    chunks: list[Chunk]


@dataclass(frozen=True)
class UnreadFile:
    """A file that gave nothing, and why, in words for people."""

    file: FoundFile
    reason: str


Result = ReadFile | UnreadFile


class ReaderPool:
    """Child processes that read files; a context manager, so that none is left behind.

    Args:
        processes: how many files are read at the same time. Children start when they are first needed.
        limits: what one file may take.
    """

    def __init__(self, processes: int, limits: ReadLimits) -> None:
        self._limits, self._is_closed = limits, False
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._workers = [_Worker(self._tasks, limits) for _ in range(max(processes, 1))]

    def __enter__(self) -> ReaderPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children, whatever they do."""
        self._is_closed = True
        for worker in self._workers:
            worker.close()
        for _ in self._workers:
            self._tasks.put(None)
        for worker in self._workers:
            worker.join()

    def read(self, files: Iterable[FoundFile], stop: Callable[[], bool]) -> Iterator[Result]:
        """Read files, in the order in which they get done; two for each process are under way, no more are taken.

        Args:
            files: asked for from this thread, as room for them comes.
            stop: when it says so the rest is dropped at once, unread.

        Raises:
            RetrievalError: a child cannot be started at all.
        """
        if self._is_closed:
            raise RuntimeError("the pool of readers is closed; make a new one")
        run = _Run()
        source = iter(files)
        room = 2 * len(self._workers)
        try:
            while not stop():
                while room and (file := next(source, None)) is not None:
                    self._tasks.put(_Task(file, run))
                    self._wake()
                    room -= 1
                if room == 2 * len(self._workers):
                    return
                result = self._wait(run)
                if result is not None:
                    room += 1
                    yield result
        finally:
            run.is_cancelled = True
            for worker in self._workers:
                worker.kill_if(run)

    def _wake(self) -> None:
        for worker in self._workers:
            if worker.start():
                return

    def _wait(self, run: _Run) -> Result | None:
        for worker in self._workers:
            worker.kill_if_late()
        try:
            result = run.results.get(timeout=_POLL_S)
        except queue.Empty:
            return None
        if isinstance(result, RetrievalError):
            raise result
        return result


@dataclass
class _Run:
    """One call of `read`."""

    results: queue.SimpleQueue[Result | RetrievalError] = field(default_factory=queue.SimpleQueue)
    is_cancelled: bool = False


@dataclass(frozen=True)
class _Task:
    file: FoundFile
    run: _Run


class _Worker:
    """A thread that talks to one child after the other. The lock guards which child there is, and for what."""

    def __init__(self, tasks: queue.SimpleQueue[_Task | None], limits: ReadLimits) -> None:
        self._tasks, self._limits = tasks, limits
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: _Child | None = None
        self._run: _Run | None = None
        self._is_closed = False

    def start(self) -> bool:
        """Start the thread; False if it runs already."""
        if self._thread is not None:
            return False
        self._thread = threading.Thread(target=self._serve, name="reader", daemon=True)
        self._thread.start()
        return True

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(timeout=10)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._child:
                self._child.kill()

    def kill_if(self, run: _Run) -> None:
        with self._lock:
            if self._child and self._run is run:
                self._child.kill()

    def kill_if_late(self) -> None:
        with self._lock:
            if self._child and time.monotonic() > self._child.deadline:
                self._child.is_late = True
                self._child.kill()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                result: Result | RetrievalError | None = self._read(task)
            except RetrievalError as error:
                result = error
            if result is not None:
                task.run.results.put(result)
        self._drop()

    def _read(self, task: _Task) -> Result | None:
        with self._lock:
            if self._is_closed or task.run.is_cancelled:
                return None
            self._run = task.run
            if self._child is None:
                self._child = _Child(self._limits)
            child = self._child
        result = child.read(task.file)
        with self._lock:
            child.deadline = float("inf")
            self._run = None
        if child.is_over or child.is_killed:
            self._drop()
        return result

    def _drop(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child:
            child.end()


class _Child:
    """One process of `reader.py` and the pipes to it."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._is_ready = False
        self.deadline = float("inf")
        self.is_late = False
        self.is_killed = False
        self.is_over = False
        """It died, or said that it would."""
        try:
            self._process = subprocess.Popen(
                # -P: a folder that is indexed from within must not give the child its modules
                [sys.executable, "-P", "-m", "chatglm_slim_llm.retrieval.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                start_new_session=True,  # Ctrl-C is for the parent, which decides what to do
            )
        except OSError as error:
            raise RetrievalError(f"the process that reads files cannot be started: {error}") from error

    def read(self, file: FoundFile) -> Result:
        """Have one file read; a child that dies of it is over."""
        try:
            if not self._is_ready:
                self._get_ready()
            self.deadline = time.monotonic() + self._limits.seconds
            self._send({"path": base64.b64encode(os.fsencode(file.path)).decode()})
            return self._receive(file)
        except (OSError, EOFError, ValueError):
            self.is_over = True
            return UnreadFile(file, self._cause_of_death())

    def _get_ready(self) -> None:
        self.deadline = time.monotonic() + _START_S
        try:
            self._send(asdict(self._limits))
            self._next()
        except (OSError, EOFError, ValueError) as error:
            self.is_over = True
            self._process.kill()
            said = self._pipe(self._process.stderr).read().decode(errors="replace").strip().rpartition("\n")[2]
            raise RetrievalError(f"the process that reads files does not start: {said or 'it says nothing'}") from error
        self._is_ready = True

    def _receive(self, file: FoundFile) -> Result:
        chunks: list[Chunk] = []
        while True:
            message = self._next()
            if "again" in message:
                chunks = []
            elif "chunks" in message:
                chunks += [Chunk(*row) for row in message["chunks"]]
            else:
                break
        self.is_over = message["is_last"]
        if "unread" in message:
            return UnreadFile(file, message["unread"])
        read = FoundFile(file.path, message["size_bytes"], message["mtime_ns"])
        return ReadFile(read, message["digest"], chunks)

    def _send(self, message: dict[str, Any]) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()

    def _next(self) -> dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line.endswith(b"\n"):
            raise EOFError
        message: dict[str, Any] = json.loads(line)
        return message

    def _cause_of_death(self) -> str:
        self._process.kill()
        status = self._process.wait()
        if self.is_late or status == -getattr(signal, "SIGALRM", 0):
            return f"took longer than {self._limits.seconds:g} s"
        if status < 0:
            why = ", perhaps for want of memory" if status == -9 else ""
            return f"the reader crashed on it (signal {-status}{why})"
        return f"the reader crashed on it (exit status {status})"

    def kill(self) -> None:
        self.is_killed = True
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):  # what was still to be written has nobody to read it
                self._pipe(pipe).close()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


_POLL_S = 0.05
_START_S = 60
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Libraries that start a thread for each core would only fill the address space that is limited."""
