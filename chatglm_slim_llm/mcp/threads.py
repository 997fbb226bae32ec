"""Blocking work beside an event loop, in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from chatglm_slim_llm.errors import ChatGLMSlimError

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` gives. Cancelling leaves the thread behind; it keeps neither the loop nor the process alive.

    Raises:
        ChatGLMSlimError: the work tried to end the process, which is not its to end.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except StopIteration as error:  # which a future does not take
            _call_in(loop, _fail, future, RuntimeError(f"StopIteration: {error}"))
        except Exception as error:
            _call_in(loop, _fail, future, error)
        except BaseException as error:  # a plugin that calls sys.exit
            sentence = f"something that was loaded tried to end the program ({type(error).__name__})"
            _call_in(loop, _fail, future, ChatGLMSlimError(sentence))
        else:
            _call_in(loop, _finish, future, result)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await future


def noticed(future: asyncio.Future[Any]) -> None:
    """Take note of how it ended, for perhaps nobody waits for it any more."""
    if not future.cancelled():
        future.exception()


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *given: Any) -> None:
    with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(call, *given)
