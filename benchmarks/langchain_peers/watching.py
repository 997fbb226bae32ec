"""What a model does behind its interface: connections, passes through its weights, waits."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest import mock
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler


@contextmanager
def connections() -> Iterator[list[str]]:
    """The hosts that this process looks up or connects to meanwhile."""
    hosts: list[str] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def watch_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        hosts.append(str(host))
        return look_up(host, *args, **kwargs)

    def watch_connect(self: socket.socket, address: Any) -> None:
        hosts.append(str(address[0]) if isinstance(address, tuple) else str(address))
        connect(self, address)

    with mock.patch("socket.getaddrinfo", watch_look_up), mock.patch("socket.socket.connect", watch_connect):
        yield hosts


@contextmanager
def hooked(module: Any, act: Callable[[], Any]) -> Iterator[None]:
    """Call ``act`` after each pass through ``module``."""

    def run(*_: Any) -> None:
        act()

    hook = module.register_forward_hook(run)
    try:
        yield
    finally:
        hook.remove()


async def longest_wait_s(run: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """How long the event loop was held up at most while ``run`` ran, and how long that took, in seconds."""
    ticks = [time.perf_counter()]

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.002)
            ticks.append(time.perf_counter())

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    await run()
    ticks.append(time.perf_counter())
    ticker.cancel()
    return max(after - before for before, after in pairwise(ticks)), ticks[-1] - ticks[0]


def with_patience(act: Callable[[], Any], *, patience_s: float) -> BaseException | None:
    """What ``act`` raises; None if it raises nothing, or nothing in time."""
    raised: queue.Queue[BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            act()
        except BaseException as error:  # it is the answer
            raised.put(error)
        else:
            raised.put(None)

    threading.Thread(target=run, daemon=True).start()
    try:
        return raised.get(timeout=patience_s)
    except queue.Empty:
        return None


class InFlight(BaseCallbackHandler):
    """Counts the replies that are under way."""

    def __init__(self) -> None:
        self._running: set[UUID] = set()
        self._lock = threading.Lock()
        self.most = 0

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """One more."""
        with self._lock:
            self._running.add(run_id)
            self.most = max(self.most, len(self._running))

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """One less."""
        with self._lock:
            self._running.discard(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """One less."""
        with self._lock:
            self._running.discard(run_id)
