"""textual-serve with a guard at its door, a page without outside hosts, and sessions that end with the server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import textual_serve
from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server as TextualServer
from textual_serve.server import to_int

from tui.serve import TOKEN_VARIABLE, greeting
from tui.serve.guard import Guard
from tui.serve.page import SCRIPT, STYLE, page

MOST_SESSIONS = 8
"""Each may hold a model of its own."""

_GRACE_S = 5.0
_START = "import sys; from tui.app import main; sys.exit(main())"


class Session(AppService):
    """One ``chatglm-tui`` in a process group of its own."""

    def __init__(self, arguments: Sequence[str], **options: Any) -> None:
        super().__init__("chatglm-tui", **options)
        self._arguments = arguments

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        environment.pop(TOKEN_VARIABLE, None)
        return {**environment, "TEXTUAL_DRIVER": "tui.serve.driver:ServedDriver"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _START,
            *self._arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Pass on what the app paints; the page learns when it is over, however it ended."""
        await super().run()
        await self.remote_close()

    async def stop(self) -> None:
        """Ask the app to quit, which saves everything; end it if it does not."""
        task, self._task = self._task, None
        if task is None or self._process is None:
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        quitting = asyncio.gather(self.send_meta({"type": "quit"}), task, return_exceptions=True)
        try:
            await asyncio.wait_for(quitting, _GRACE_S)
        except TimeoutError:
            _kill(self._process)

    async def on_meta(self, data: bytes) -> None:
        """A link of an answer is opened only if it is one of the web."""
        told = json.loads(data)
        if told.get("type") != "open_url" or urlsplit(str(told.get("url"))).scheme in ("http", "https", "mailto"):
            await super().on_meta(data)


def _kill(process: Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself after all
        return


class Server(TextualServer):
    """Serves sessions of the terminal to those whom the guard lets in."""

    def __init__(self, arguments: Sequence[str], host: str, port: int, token: str | None) -> None:
        super().__init__("chatglm-tui", host=host, port=port)
        self._arguments, self._token = arguments, token
        self._guard = Guard(host, token)
        self._sessions: set[Session] = set()

    def serve(self, debug: bool = False) -> None:
        """Serve until interrupted or told to end."""
        try:
            asyncio.run(self._serve())
        except KeyboardInterrupt:
            return

    async def _serve(self) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host.strip("[]"), self.port)
            await site.start()
            self._guard.port = self.port = runner.addresses[0][1]
            sys.stdout.write(greeting(f"http://{_reachable(self.host)}:{self.port}", self.host, self._token) + "\n")
            sys.stdout.flush()
            await ended.wait()
        finally:
            await self._end_sessions()
            await runner.cleanup()

    async def _end_sessions(self) -> None:
        await asyncio.gather(*(session.stop() for session in list(self._sessions)), return_exceptions=True)

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard.check])
        statics = Path(textual_serve.__file__).parent / "static"
        app.add_routes(
            [
                web.get("/", _text(page, "text/html")),
                web.get("/page.js", _text(lambda: SCRIPT, "text/javascript")),
                web.get("/page.css", _text(lambda: STYLE, "text/css")),
                web.get("/ws", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),
                web.static("/static", statics),
            ]
        )
        return app

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One session, from its page's opening to its end."""
        if len(self._sessions) >= MOST_SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"There are {MOST_SESSIONS} sessions already.\n")
        websocket = web.WebSocketResponse(heartbeat=15)
        session = Session(
            self._arguments,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=websocket.close,
            download_manager=self.download_manager,
        )
        self._sessions.add(session)
        try:
            await websocket.prepare(request)
            await session.start(*(_cells(request, name, usual) for name, usual in (("width", 80), ("height", 24))))
            await self._process_messages(websocket, session)
        except (AssertionError, KeyError, IndexError, TypeError, ValueError, ConnectionError):
            pass  # what was sent is not what our page sends, or the page is gone
        finally:
            await asyncio.shield(session.stop())
            self._sessions.discard(session)
            await websocket.close()
        return websocket


def _reachable(host: str) -> str:
    """The host as it is written in an address; this machine's name where it listens everywhere."""
    plain = host.strip("[]")
    if plain in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{plain}]" if ":" in plain else plain


def _cells(request: web.Request, name: str, usual: int) -> int:
    return min(max(to_int(request.query.get(name, ""), usual), 1), 1000)


def _text(text: Any, content_type: str) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text(), content_type=content_type)

    return answer
