"""Several inputs at once, answered in common steps of the model; whoever stops waiting stops them all.

LangChain's own batches wait for replies that nobody wants any more, after Ctrl-C or when another input has failed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import as_completed
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor, get_config_list

T = TypeVar("T")

_MOST_AT_ONCE = 64
"""Of a batch that gives no ``max_concurrency``; the engine takes from them what fits into a step."""

cancel_of_batch: ContextVar[threading.Event | None] = ContextVar("cancel_of_batch", default=None)
"""Ends the replies of the batch that this thread works for."""


class Batching:
    """``batch`` and its kin for a runnable with ``invoke`` and ``ainvoke``."""

    def batch(self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any) -> Any:
        """Answer several inputs in common steps of the model; the results are in the order of the inputs."""
        results = dict(self.batch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs))
        return [results[number] for number in range(len(inputs))]

    def batch_as_completed(
        self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> Any:
        """Answer several inputs in common steps of the model; each with its number, as soon as it is there."""
        configs, at_once = _configs(config, len(inputs))

        def answer(number: int) -> Any:
            try:
                return self.invoke(inputs[number], configs[number], **kwargs)  # type: ignore[attr-defined]
            except Exception as error:
                if not return_exceptions:
                    raise
                return error

        return run_all(answer, len(inputs), at_once)

    async def abatch(self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any) -> Any:
        """As `batch`, for an event loop."""
        completed = self.abatch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs)
        async with aclosing(completed):
            results = {number: result async for number, result in completed}
        return [results[number] for number in range(len(inputs))]

    async def abatch_as_completed(
        self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> AsyncGenerator[Any]:
        """As `batch_as_completed`, for an event loop."""
        configs, at_once = _configs(config, len(inputs))

        async def answer(number: int) -> Any:
            try:
                return await self.ainvoke(inputs[number], configs[number], **kwargs)  # type: ignore[attr-defined]
            except Exception as error:
                if not return_exceptions:
                    raise
                return error

        async with aclosing(arun_all(answer, len(inputs), at_once)) as completed:
            async for numbered in completed:
                yield numbered


def run_all(answer: Callable[[int], T], count: int, at_once: int = _MOST_AT_ONCE) -> Generator[tuple[int, T]]:
    """Call ``answer`` for 0, 1, .. in threads; yield each number with its result, in the order in which they are ready.

    Closing the iterator, an error in one and Ctrl-C end all the replies that the others wait for.
    """
    cancel = _Cancel(cancel_of_batch.get())

    def call(number: int) -> T:
        cancel_of_batch.set(cancel)  # this context is a copy
        return answer(number)

    with ContextThreadPoolExecutor(max(1, min(at_once, count))) as pool:
        numbers = {pool.submit(call, number): number for number in range(count)}
        try:
            for future in as_completed(numbers):
                yield numbers[future], future.result()
        finally:
            cancel.set()
            for future in numbers:
                future.cancel()


class _Cancel(threading.Event):
    """Set with its batch, or with the one around it: a batch of plain texts asks for each of them as a batch of one."""

    def __init__(self, around: threading.Event | None) -> None:
        super().__init__()
        self._around = around

    def is_set(self) -> bool:
        """Whether the replies should end."""
        return super().is_set() or (self._around is not None and self._around.is_set())


async def arun_all(
    answer: Callable[[int], Awaitable[T]], count: int, at_once: int = _MOST_AT_ONCE
) -> AsyncGenerator[tuple[int, T]]:
    """As `run_all`, in tasks of the running event loop."""
    places = asyncio.Semaphore(at_once)

    async def call(number: int) -> tuple[int, T]:
        async with places:
            return number, await answer(number)

    tasks = [asyncio.create_task(call(number)) for number in range(count)]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # so that no error of theirs goes unseen


def _configs(config: Any, num_inputs: int) -> tuple[list[RunnableConfig], int]:
    """A configuration for each input, and how many of them may run at once."""
    configs = get_config_list(config, num_inputs)
    return configs, (configs[0].get("max_concurrency") if configs else None) or _MOST_AT_ONCE
