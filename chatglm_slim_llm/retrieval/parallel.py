"""An embedder on every core: helper processes for one that keeps a single core busy.

Threads do not help where Python holds its lock. A helper is a plain child process that is told texts as a line of JSON
and answers with bytes, so a script needs no ``__main__`` guard and nothing is unpickled. It ends when its input does,
so one whose parent was killed does not stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, cast

import numpy as np

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.retrieval.embedders import Embedder, Vectors, embedder

_WORTH_HELP = 400_000
"""Characters; below them a helper would still be loading when the work is done."""
_SLICE = 20_000
"""Characters a helper is given at once; the last slices end at about the same time everywhere."""


class ParallelEmbedder:
    """The same vectors as its embedder's own, sooner where that one leaves cores idle.

    Helpers start when so much has been asked for that they are worth it, and end with the block.
    """

    def __init__(self, own: Embedder | None, processes: int | None = None) -> None:
        self._own = own
        self.name = own.name if own else ""
        self._processes = processes or cores()
        self._asked = 0
        self._helpers: list[_Helper] = []
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Embedder | None:
        if self._own is None or not getattr(self._own, "keeps_one_core", False) or self._processes < 2:
            return self._own
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for helper in self._helpers:
            helper.close()
        if self._threads is not None:
            self._threads.shutdown()

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions, by the embedder alone."""
        return cast(Embedder, self._own).queries(texts)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, [text, dimension]; their order is kept."""
        own = cast(Embedder, self._own)
        size = sum(map(len, texts))
        self._asked += size
        if self._asked < _WORTH_HELP or size < 2 * _SLICE:
            return own.passages(texts)
        work = deque(enumerate(_slices(texts)))
        parts: dict[int, Vectors] = {}
        busy = [self._pool().submit(_work_off, helper.passages, work, parts) for helper in self._started()]
        _work_off(own.passages, work, parts)
        for each in busy:
            each.result()
        return np.concatenate([parts[place] for place in sorted(parts)])

    def _started(self) -> list[_Helper]:
        if not self._helpers:
            self._helpers = [_Helper(self.name) for _ in range(self._processes - 1)]
        return self._helpers

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._processes - 1, thread_name_prefix="embedding")
        return self._threads


class _Helper:
    """One child process; used by one thread at a time."""

    def __init__(self, choice: str) -> None:
        self._process = subprocess.Popen(
            # -P: a folder that is indexed from within must not give the child its modules
            [sys.executable, "-P", "-m", "chatglm_slim_llm.retrieval.parallel", choice],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent, which may want to finish what it is at
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, made by the child."""
        told, answers = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        try:
            told.write(json.dumps(list(texts)).encode() + b"\n")
            told.flush()
            dimension = int(answers.readline())
            raw = answers.read(4 * dimension * len(texts))
            return np.frombuffer(raw, np.float32).reshape(len(texts), dimension)
        except (OSError, ValueError) as error:
            raise RetrievalError(
                f"a process that makes vectors has ended (exit status {self._process.poll()}); is there memory enough?"
                " Run the same again: what was indexed so far is kept"
            ) from error

    def close(self) -> None:
        """Let the child end."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # it may have ended first
                cast(BinaryIO, pipe).close()
        self._process.wait()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container or `taskset` may leave fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= _SLICE or end == len(texts):
            yield texts[start:end]
            start, size = end, 0


def _work_off(
    passages: Callable[[Sequence[str]], Vectors],
    work: deque[tuple[int, Sequence[str]]],
    parts: dict[int, Vectors],
) -> None:
    """Take slices, one after the other, until none is left."""
    while True:
        try:
            place, texts = work.popleft()
        except IndexError:
            return
        parts[place] = passages(texts)


def _main() -> None:
    """The child: a line of texts in, the dimension as a line and the vectors as bytes out."""
    own = embedder(sys.argv[1])
    with suppress(BrokenPipeError):  # the parent has gone
        for line in sys.stdin.buffer:
            vectors = own.passages(json.loads(line))
            sys.stdout.buffer.write(b"%d\n" % vectors.shape[1] + vectors.astype(np.float32).tobytes())
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
