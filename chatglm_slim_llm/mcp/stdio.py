"""Messages over stdin and stdout, and nothing else over them: what prints, prints to stderr.

The official transport reads the lines; what it reads them from is ours, because a thread that waits for stdin must not
keep a process alive that was told to end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from chatglm_slim_llm.mcp.threads import in_thread

MOST_BYTES = 4 << 20
"""A longer line is no message; the HTTP transport of the official package has the same limit."""
_LAST_WORDS_S = 2.0
"""How long a client that has closed our stdin may take to read what is left."""


async def serve_stdio(server: Server[Any, Any]) -> None:
    """Serve one client until it closes our stdin, or stops reading."""
    requests, replies = take_pipes()
    with anyio.CancelScope() as scope:
        talk = stdio_server(cast(Any, _Lines(requests)), cast(Any, _Writer(replies, scope)))
        async with talk as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
            scope.deadline = anyio.current_time() + _LAST_WORDS_S


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Our stdin and stdout under other numbers, so that a library that prints or asks cannot break the talk."""
    stdout = sys.stdout.fileno()  # which the command line may have moved
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(stdout), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout.flush()
    os.dup2(2, stdout)
    return requests, replies


class _Lines:
    """Lines of a pipe as text, each read by a thread that nobody has to wait for."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await in_thread(self._next):
            yield line.decode(errors="replace")

    def _next(self) -> bytes:
        try:
            line = self._pipe.readline(MOST_BYTES)
            if len(line) == MOST_BYTES and not line.endswith(b"\n"):
                while (rest := self._pipe.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
                    pass
                return b"(a line that is too long)\n"
        except OSError:  # the client is gone
            return b""
        return line


class _Writer:
    """Writes text to a pipe; when nobody reads it any more, the talk is over."""

    def __init__(self, pipe: BinaryIO, scope: anyio.CancelScope) -> None:
        self._pipe, self._scope = pipe, scope

    async def write(self, text: str) -> None:
        def write() -> bool:
            try:
                self._pipe.write(text.encode())
                self._pipe.flush()
            except OSError:
                return False
            return True

        if not await in_thread(write):
            self._scope.cancel()
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Writing has done so."""
