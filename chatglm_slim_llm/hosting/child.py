"""The model's own process: ``python -m chatglm_slim_llm.hosting.child``, started by ``process.py``.

Requests come as JSON lines on stdin, answers go as JSON lines to stdout; each request has a thread. The process ends
when its input does, so a program that was killed leaves none behind, and Ctrl-C is for the program alone.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from chatglm_slim_llm.hosting.wire import MAX_LINE_BYTES, Message, decode, encode, error_to_wire
from chatglm_slim_llm.hosting.work import Job, Work


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(10_000)  # what torch and transformers make while they are imported is no garbage
    _die_first()
    requests, replies = _take_pipes()
    server = _Server(replies)
    for line in _lines(requests):
        server.take(decode(line))
    os._exit(0)  # whatever the threads are at, nobody waits for it any more


def _die_first() -> None:
    """Where memory runs out, the system is to end this process and not the terminal."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Our pipes under other numbers, so that a library that prints or asks cannot break the talk."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a locale may lack the character
    return requests, replies


def _lines(pipe: BinaryIO) -> Iterator[bytes]:
    while line := pipe.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n"):
            return
        yield line


class _Server:
    """The jobs that are under way, and the one pipe that all of them answer into."""

    def __init__(self, replies: BinaryIO) -> None:
        self._replies = replies
        self._writing = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._work = Work(lambda who: self._send({"doing": who}))

    def take(self, message: Message) -> None:
        """Begin a job, or stop one; never waits for it."""
        number = message["id"]
        if message["do"] == "stop":
            if (job := self._jobs.get(number)) is not None:
                job.stop.set()
            return
        self._jobs[number] = job = Job(say=lambda said: self._send({"id": number, "say": said}))
        threading.Thread(target=self._run, args=(number, message, job), name=message["do"], daemon=True).start()

    def _run(self, number: int, message: Message, job: Job) -> None:
        try:
            end = {"id": number, "end": self._work.do(message["do"], message["with"], job)}
        except BaseException as error:  # a model, and what reads files, may raise anything
            end = {"id": number, "error": error_to_wire(error, self._work.who(message["do"]))}
        del self._jobs[number]
        self._send(end)

    def _send(self, message: Message) -> None:
        line = encode(message)
        try:
            with self._writing:
                self._replies.write(line)
                self._replies.flush()
        except OSError:  # nobody listens
            os._exit(0)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
