"""A client of the official package for tests that are not async: it lives in a loop of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import mcp.types as types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

T = TypeVar("T")


class Client:
    """One session."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, session: ClientSession, greeting: types.InitializeResult
    ) -> None:
        self._loop, self.session, self.greeting = loop, session, greeting

    def begin(self, work: Coroutine[Any, Any, T]) -> Any:
        """Begin a request; gives a future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The answer to a request."""
        return self.begin(work).result(60)

    def call(self, tool: str, **arguments: Any) -> types.CallToolResult:
        """What a tool gives."""
        return self.run(self.session.call_tool(tool, arguments))

    def told(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result of a tool that succeeds."""
        result = self.call(tool, **arguments)
        assert not result.isError, result.content
        assert result.structuredContent is not None
        return result.structuredContent

    def refusal(self, tool: str, **arguments: Any) -> str:
        """The sentence of a tool that fails."""
        result = self.call(tool, **arguments)
        assert result.isError
        return result.content[0].text


def over_stdio(command: list[str], env: Mapping[str, str]) -> AbstractAsyncContextManager[tuple[Any, Any]]:
    """Streams to a process."""
    return stdio_client(StdioServerParameters(command=command[0], args=command[1:], env=dict(env)))


@asynccontextmanager
async def over_http(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """Streams to an address."""
    async with (
        create_mcp_http_client(headers=headers) as client,
        streamable_http_client(url, http_client=client) as (incoming, outgoing, _),
    ):
        yield incoming, outgoing


@contextmanager
def connected(open_streams: Callable[[], AbstractAsyncContextManager[tuple[Any, Any]]]) -> Iterator[Client]:
    """A session over these streams, open until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ending = asyncio.Event()

    async def keep(ready: asyncio.Future[Client]) -> None:
        async with open_streams() as streams, ClientSession(*streams) as session:
            ready.set_result(Client(loop, session, await session.initialize()))
            await ending.wait()

    async def begin() -> tuple[asyncio.Task[None], Client]:
        ready = loop.create_future()
        keeping = asyncio.ensure_future(keep(ready))
        await asyncio.wait({keeping, ready}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        return keeping, ready.result()

    try:
        keeping, client = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
        try:
            yield client
        finally:
            loop.call_soon_threadsafe(ending.set)
            asyncio.run_coroutine_threadsafe(asyncio.wait({keeping}), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
