"""A child process and the talk with it: calls go out, answers come in, and its death is an answer too.

Plain pipes and three threads a child: one writes, so that nobody waits for a child that does not read; one reads; one
keeps the last of what it says on stderr, to explain a crash. All of them end with the child.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO, cast

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.wire import MAX_LINE_BYTES, Message, decode, encode, error_from_wire

_TAIL_BYTES = 8192
_LONGEST_LAST_WORDS = 200
_END_S = 5.0
_PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Threads of OpenMP that spin until the others are done hold up whoever has a processor to give back, the terminal that
paints among them: on two busy cores that took a reply from 450 tokens/s to 5."""
_DYING_S = 2.0
_LAST_WORDS_S = 0.5
"""What it said last has come by then, but a process that it started may hold the pipe open."""


class Call:
    """One request to a child."""

    def __init__(self, child: ChildProcess, number: int) -> None:
        self._child, self._number = child, number
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.is_over = False

    def put(self, message: Message | None) -> None:
        """Take an answer, for whoever waits; ``None`` says that the child is gone."""
        self._answers.put(message)

    def next(self, timeout_s: float) -> Message | None:
        """The next answer; ``None`` if there is none in time.

        Raises:
            ChatGLMSlimError: the work failed, or the child is gone.
        """
        try:
            message = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self.is_over = message is None or "say" not in message
        if message is None:
            raise GenerationError(self._child.epitaph())
        if "error" in message:
            raise error_from_wire(message["error"])
        return message

    def result(self) -> Any:
        """What the work gives, once it is done; for work that says nothing on the way."""
        while (message := self.next(3600)) is None or "end" not in message:
            pass
        return message["end"]

    def stop(self, timeout_s: float) -> bool:
        """Have the work stopped; returns whether it was in time, or was over before."""
        self._child.tell({"id": self._number, "do": "stop"})
        deadline = time.monotonic() + timeout_s
        while not self.is_over and (left := deadline - time.monotonic()) > 0:
            with suppress(Exception):  # that it failed as it was stopped interests nobody
                self.next(left)
        return self.is_over


class ChildProcess:
    """A process of ``child.py``, running from the moment it is made.

    Args:
        name: what it is called when it dies, such as "The model's process".
        advice: what to do if it dies for lack of memory.
    """

    def __init__(self, name: str, advice: str) -> None:
        self._name, self._advice = name, advice
        self._numbers = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._tail = b""
        self._doing = ""
        self._is_closing = self._is_strange = False
        self._process = _start()
        self._threads = [
            threading.Thread(target=target, name=f"child {target.__name__.strip('_')}", daemon=True)
            for target in (self._listen, self._write, self._read)  # the last waits for the first
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process, for those who look at it from outside."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it can still answer; never waits."""
        return not self._gone.is_set()

    def call(self, do: str, given: Message) -> Call:
        """Ask for something; the answers come through what this gives."""
        with self._lock:
            number = next(self._numbers)
            call = self._calls[number] = Call(self, number)
            if self._gone.is_set():
                call.put(None)
                return call
        line = {"id": number, "do": do, "with": given}
        self.tell(line)
        return call

    def tell(self, message: Message) -> None:
        """Send a line; never waits.

        Raises:
            GenerationError: it is longer than any line may be.
        """
        line = encode(message)
        if len(line) > MAX_LINE_BYTES:
            raise GenerationError(f"the request has {len(line) >> 20} MB, more than can be sent; shorten it")
        self._to_write.put(line)

    def close(self) -> None:
        """End it at once, whatever it does, and wait until nothing of it is left."""
        self._is_closing = True
        self._kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_END_S)

    def _kill(self) -> None:
        """With what a plugin has started in there, which would hold our pipes open; it leads a group of its own."""
        if self._process.poll() is not None:
            return
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:  # Windows
                self._process.kill()

    def epitaph(self) -> str:
        """Why it is gone, in a sentence."""
        status = self._process.returncode
        if self._is_closing or status is None:
            return f"{self._name} was stopped; try again to start it anew"
        if self._is_strange:
            return f"{self._name} said what cannot be understood, and was ended; try again to start it anew"
        if status == -getattr(signal, "SIGKILL", 9):
            return (
                f"{self._name} was ended by the system{self._blame}, most likely for lack of memory (signal 9);"
                f" {self._advice}, or close other programs"
            )
        words = self._last_words()
        how = f"crashed ({_signal_name(-status)})" if status < 0 else f"ended by itself (exit status {status})"
        return f"{self._name} {how}{self._blame}{f': {words}' if words else ''}; try again to start it anew"

    @property
    def _blame(self) -> str:
        return f" while {self._doing} was at work" if self._doing else ""

    def _last_words(self) -> str:
        lines = self._tail.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        printable = "".join(c if c.isprintable() else " " for c in last)
        return printable[:_LONGEST_LAST_WORDS].rstrip(".; ")

    # --- the threads

    def _read(self) -> None:
        pipe = cast(BinaryIO, self._process.stdout)
        with suppress(OSError, ValueError, KeyError, TypeError), pipe:  # a line may be anything
            while (line := pipe.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                self._deliver(decode(line))
        self._reap()
        self._threads[0].join(_LAST_WORDS_S)
        with self._lock:
            self._gone.set()
            for call in self._calls.values():
                call.put(None)
            self._calls.clear()
        self._to_write.put(None)

    def _reap(self) -> None:
        try:
            self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:  # it has closed its mouth, or does not speak our language
            self._is_strange = True
            self._kill()
            self._process.wait()

    def _deliver(self, message: Message) -> None:
        if "doing" in message:
            self._doing = str(message["doing"])
            return
        number = message["id"]
        with self._lock:
            call = self._calls.get(number) if "say" in message else self._calls.pop(number, None)
        if call is not None:
            call.put(message)

    def _write(self) -> None:
        pipe = cast(BinaryIO, self._process.stdin)
        with suppress(OSError), pipe:  # it may have ended first
            while (line := self._to_write.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _listen(self) -> None:
        pipe = cast(BinaryIO, self._process.stderr)
        with suppress(OSError), pipe:
            while said := os.read(pipe.fileno(), _TAIL_BYTES):
                self._tail = (self._tail + said)[-_TAIL_BYTES:]


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            # -P: the folder in which a terminal was opened must not give the child its modules
            [sys.executable, "-P", "-m", "chatglm_slim_llm.hosting.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_PATIENT, **os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # Ctrl-C, and a terminal that closes, are for the program
        )
    except OSError as error:
        raise GenerationError(f"the process for the model cannot be started: {error}") from error


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return f"{signal.Signals(number).name}, signal {number}"
    return f"signal {number}"
