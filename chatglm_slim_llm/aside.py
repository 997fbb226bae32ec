"""Work beside whoever waits for it, so that it can be given up: in a thread of its own, or in an event loop that stays.

It is the work of others, so what it prints goes to stderr. A thread cannot be ended: what is given up goes on until it
ends by itself, and what it gives then interests nobody.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from typing import Any, TypeVar

from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.plugins.printing import printing_aside

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

POLL_S = 0.05
"""How often whoever waits can give up."""
_ALIVE_S = 0.5


class TooLateError(Exception):
    """The work has not ended in time."""


class ExitError(Exception):
    """The work wanted to end the program: ``sys.exit``, or what Ctrl-C raises."""


def begin(work: Callable[[], T], name: str) -> Future[T]:
    """Begin ``work`` in a thread; what it raises, ``result`` raises."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled

    def run() -> None:
        try:
            with printing_aside():
                future.set_result(work())
        except Exception as error:  # the work of others may raise anything
            future.set_exception(error)
        except BaseException as error:
            future.set_exception(_exit(error))

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def why(error: BaseException) -> str:
    """An error of other people's code in a few words, on one line."""
    if isinstance(error, ExitError | ChatGLMSlimError):
        return str(error)
    detail = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__


def _exit(error: BaseException) -> ExitError:
    return ExitError(f"it wanted to end the program ({type(error).__name__}: {error})")


def waiting(future: Future[T], seconds: float) -> Generator[None, None, T]:
    """Wait for the work, in steps; closing the generator gives it up. Gives its result.

    Raises:
        TooLateError: it has not ended after so many seconds.
        Exception: whatever it raised.
    """
    deadline_s = time.monotonic() + seconds
    try:
        while not wait([future], POLL_S).done:
            if time.monotonic() >= deadline_s:
                raise TooLateError
            yield
    finally:
        future.cancel()
    return future.result()


def finished(steps: Generator[Any, None, T]) -> T:
    """Wait for what is done in steps, and give what it gives."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def each_as(steps: Generator[S, None, T], make: Callable[[S], R]) -> Generator[R, None, T]:
    """The same steps as something else; gives what they give."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            yield make(step)


class Loop:
    """An event loop in a thread, begun by the first use; it stays, because what was opened in it needs it again."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine."""
        with self._lock:
            if self._loop is None or not _answers(self._loop):  # something in it waits without giving way
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="event loop", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(_without_exit(work), self._loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        with suppress(SystemExit, KeyboardInterrupt), printing_aside():  # of a task that a tool has begun
            loop.run_forever()


def _answers(loop: asyncio.AbstractEventLoop) -> bool:
    answered = threading.Event()
    loop.call_soon_threadsafe(answered.set)
    return answered.wait(_ALIVE_S)


async def _without_exit(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:  # it would end the loop
        raise _exit(error) from error
