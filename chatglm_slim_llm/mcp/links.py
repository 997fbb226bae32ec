"""Talks with MCP servers that stay open: begun by the first use, begun again after a server ended, closed at the end.

All of them live in one event loop in a thread of its own, so that it does not matter which loop or thread asks.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import httpx
import mcp.types as types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import McpError

from chatglm_slim_llm import __version__
from chatglm_slim_llm.errors import PluginError
from chatglm_slim_llm.mcp.options import ServerOptions
from chatglm_slim_llm.mcp.threads import in_thread, noticed

T = TypeVar("T")

_END_S = 5.0
"""How long servers may take to end with the program: the official package waits 2 s, then kills."""
_CANCEL_S = 1.0
_LAST_WORDS_S = 0.5
"""What it said last has come by then, but a process that it started may hold the pipe open."""
_MOST_PAGES = 100
_TAIL_BYTES = 4096
_LONGEST_WORDS = 200
_SESSION_UNKNOWN = "Session terminated"
"""What the official client makes of status 404."""


class _ClosedBeforeError(Exception):
    """The server was gone before anything was sent to it, so another try does nothing twice."""


class Link:
    """One server, and the talk with it."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._opening = asyncio.Lock()
        self._talk: _Talk | None = None

    async def list_tools(self) -> list[types.Tool]:
        """All tools of the server.

        Raises:
            PluginError: it does not start, or does not answer.
        """
        found: list[types.Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._do(_page(cursor))
            found += page.tools
            if not (cursor := page.nextCursor):
                break
        return found

    async def call_tool(self, name: str, arguments: dict[str, Any] | None = None, **_: Any) -> types.CallToolResult:
        """The result of a tool; that the server failed is a result as well, so that an answer goes on without it."""
        try:
            result = await self._do(lambda session: session.call_tool(name, arguments))
        except PluginError as error:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(error))], isError=True)
        return result.model_copy(update={"content": [_readable(block) for block in result.content]})

    async def close(self) -> None:
        """End the talk, and the server if it is a process."""
        if self._talk is not None:
            await self._talk.close()

    async def _do(self, step: Callable[[ClientSession], Awaitable[T]]) -> T:
        try:
            return await (await self._opened()).do(step)
        except _ClosedBeforeError:
            pass
        try:
            return await (await self._opened()).do(step)
        except _ClosedBeforeError as error:
            raise PluginError(f"the MCP server {self.options.label} ends as soon as it is started") from error

    async def _opened(self) -> _Talk:
        async with self._opening:
            if self._talk is None or self._talk.is_over:
                self._talk = _Talk(self.options)
            await self._talk.opened()
            return self._talk


def _page(cursor: str | None) -> Callable[[ClientSession], Awaitable[types.ListToolsResult]]:
    return lambda session: session.list_tools(cursor=cursor)


class _Talk:
    """One session, kept by a task that ends when the server does."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._words = b""
        self._ending = asyncio.Event()
        self._ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._listener: threading.Thread | None = None
        self._keeping: asyncio.Future[None] = asyncio.ensure_future(self._keep())
        self._keeping.add_done_callback(noticed)

    @property
    def is_over(self) -> bool:
        return self._ending.is_set() or self._keeping.done()

    async def opened(self) -> None:
        await self._first_of(self._ready)
        if self._ready.done():
            return
        if self._keeping.done():
            raise await self._failure("cannot be used")
        self._keeping.cancel()
        await asyncio.wait({self._keeping}, timeout=_END_S)
        raise self._late("was not ready")

    async def _first_of(self, other: asyncio.Future[Any]) -> None:
        """Wait for it, or for the end of the server, or until it is too late."""
        waiting = {other, self._keeping}
        await asyncio.wait(waiting, timeout=self._options.timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def do(self, step: Callable[[ClientSession], Awaitable[T]]) -> T:
        call = asyncio.ensure_future(step(self._ready.result()))
        try:
            await self._first_of(call)
            if not call.done() and not self._keeping.done():
                raise self._late("gave no answer")
            if not call.done():
                raise await self._failure("broke off")
            return call.result()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            await self.close()
            raise _ClosedBeforeError from error
        except McpError as error:
            raise await self._said(error) from error
        except (RuntimeError, ValueError) as error:  # an answer that does not fit its own schema
            raise PluginError(self._sentence(f"gave what cannot be used: {_first_line(error)}")) from error
        finally:
            if not call.done():
                call.cancel()
                await asyncio.wait({call}, timeout=2 * _CANCEL_S)

    async def close(self) -> None:
        self._ending.set()
        await asyncio.wait({self._keeping}, timeout=_END_S)

    async def _keep(self) -> None:
        async with (
            self._transport() as (incoming, outgoing),
            _Session(incoming, outgoing, client_info=_us()) as session,
        ):
            await session.initialize()
            self._ready.set_result(session)
            await self._ending.wait()

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[tuple[Any, Any]]:
        options = self._options
        if options.url:
            timeout = httpx.Timeout(min(options.timeout_s, 30), read=max(options.timeout_s, 300))
            async with (
                create_mcp_http_client(headers=dict(options.headers), timeout=timeout) as client,
                streamable_http_client(options.url, http_client=client) as (incoming, outgoing, _),
            ):
                yield incoming, outgoing
            return
        given = StdioServerParameters(
            command=options.command, args=list(options.args), env=dict(options.env), cwd=options.cwd or None
        )
        listening, speaking = os.pipe()
        self._listener = threading.Thread(target=self._listen, args=(listening,), name="MCP server", daemon=True)
        self._listener.start()
        async with AsyncExitStack() as stack:
            with os.fdopen(speaking, "w") as errors:
                streams = await stack.enter_async_context(stdio_client(given, errlog=errors))
            yield streams

    def _listen(self, pipe: int) -> None:
        """Keep the last of what it says, to explain its end."""
        with suppress(OSError):
            while said := os.read(pipe, _TAIL_BYTES):
                self._words = (self._words + said)[-_TAIL_BYTES:]
        os.close(pipe)

    async def _said(self, error: McpError) -> Exception:
        if error.error.message == _SESSION_UNKNOWN:
            await self.close()
            return _ClosedBeforeError()
        if error.error.code == types.CONNECTION_CLOSED:
            await self.close()
            return await self._failure("ended")
        return PluginError(self._sentence(f"refused: {_first_line(error)}"))

    async def _failure(self, what: str) -> PluginError:
        """Why the talk is over."""
        await asyncio.wait({self._keeping}, timeout=_END_S)
        error = self._keeping.exception() if self._keeping.done() and not self._keeping.cancelled() else None
        cause = _cause(error) if error is not None else ""
        if (listener := self._listener) is not None:
            await in_thread(lambda: listener.join(_LAST_WORDS_S))
        tail = self._words.decode(errors="replace").strip().splitlines()
        last = "".join(c if c.isprintable() else " " for c in tail[-1])[:_LONGEST_WORDS] if tail else ""
        return PluginError(self._sentence(": ".join(filter(None, (what, cause, last)))))

    def _late(self, what: str) -> PluginError:
        return PluginError(
            self._sentence(f"{what} in {self._options.timeout_s:g} s; give it more with timeout_s, or repair it")
        )

    def _sentence(self, what: str) -> str:
        return self._options.hidden(f"the MCP server {self._options.label} {what}")


class _Session(ClientSession):
    """Tells the server of a call that nobody waits for any more; the official class leaves it at work."""

    async def send_request(self, request: types.ClientRequest, *args: Any, **more: Any) -> Any:
        number = self._request_id
        try:
            return await super().send_request(request, *args, **more)
        except asyncio.CancelledError:
            if isinstance(request.root, types.CallToolRequest):
                with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_S), suppress(Exception):
                    await self.send_notification(_cancelled(number))
            raise


def _cancelled(number: types.RequestId) -> types.ClientNotification:
    given = types.CancelledNotificationParams(requestId=number, reason="nobody waits for it any more")
    return types.ClientNotification(types.CancelledNotification(params=given))


def _us() -> types.Implementation:
    return types.Implementation(name="chatglm-slim", version=__version__)


def _readable(block: types.ContentBlock) -> types.ContentBlock:
    """Audio as a line, for LangChain's messages have no place for it."""
    if isinstance(block, types.AudioContent):
        return types.TextContent(type="text", text=f"(a sound, {block.mimeType}, is left out)")
    return block


def _cause(error: BaseException) -> str:
    """The first cause in a few words, without addresses, which may hold a key."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        return f"it answered {response.status_code} {response.reason_phrase}; check url and headers"
    if isinstance(error, httpx.HTTPError):
        return f"it cannot be reached ({type(error).__name__}); check url"
    if isinstance(error, McpError):
        closed, unknown = error.error.code == types.CONNECTION_CLOSED, error.error.message == _SESSION_UNKNOWN
        return "it ended" if closed else "it answered 404; check url" if unknown else f"it said: {_first_line(error)}"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"{error.strerror}; check command, or install it"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:_LONGEST_WORDS]


# --- the loop in which all of it happens


class _Home:
    """The loop, its thread, and the links in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: dict[ServerOptions, Link] = {}
        threading.Thread(target=self._loop.run_forever, name="MCP servers", daemon=True).start()
        atexit.register(self.close)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def link(self, options: ServerOptions) -> Link:
        """The link to a server: the same for the same options."""
        return self._links.setdefault(options, Link(options))

    def close(self) -> None:
        """End all servers."""
        with suppress(TimeoutError):
            self.begin(self._close()).result(_END_S)

    async def _close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links.values()), return_exceptions=True)


_lock = threading.Lock()
_homes: list[_Home] = []


def home() -> _Home:
    """The one of this process."""
    with _lock:
        if not _homes:
            _homes.append(_Home())
        return _homes[0]
