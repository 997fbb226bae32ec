"""Work in a thread of its own, read by an event loop that never waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(stream: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Run an iterator in a thread of its own and yield what it yields, or raise what it raises.

    The thread does not end when its reader does: tell the iterator by other means that nobody wants more.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[T | BaseException | None] = asyncio.Queue()

    def put(item: T | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    def work() -> None:
        try:
            for chunk in stream():
                put(chunk)
        except BaseException as error:  # it belongs to whoever reads the stream
            put(error)
        else:
            put(None)

    threading.Thread(target=work, name="chatglm-slim-reply").start()
    while (item := await arrived.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
