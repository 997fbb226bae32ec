"""Messages over streamable HTTP, for clients of this machine, or of others that know a token.

Host and Origin of each request are checked by the official package, so that a page in a browser cannot reach the
server under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chatglm_slim_llm.errors import ConfigError

PATH = "/mcp"
TOKEN_VARIABLE = "CHATGLM_SLIM_MCP_TOKEN"
_SHORTEST_TOKEN = 16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MOST_SESSIONS = 100


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may come."""

    host: str
    port: int
    """0 takes one that is free."""
    token: str = ""
    """What requests have to know; may be empty where only this machine can reach us."""
    names: tuple[str, ...] = ()
    """Other names under which clients reach us, for their ``Host`` header."""

    @classmethod
    def parse(cls, text: str, token: str = "", names: Sequence[str] = ()) -> Address:
        """``HOST:PORT``, or a port alone for this machine.

        Raises:
            ConfigError: it is no address, or one that others can reach although there is no token.
        """
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or _LOOPBACK[0]
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"{text!r} is no address; give HOST:PORT such as 127.0.0.1:8765", key="http")
        if token and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
            raise ConfigError(
                f"{TOKEN_VARIABLE} is no good token; give {_SHORTEST_TOKEN} or more letters and digits, such as "
                "python -c 'import secrets; print(secrets.token_urlsafe())' prints",
                key="token",
                source=TOKEN_VARIABLE,
            )
        if not is_loopback(host) and not token:
            raise ConfigError(
                f"others could read your documents at {host}; serve at 127.0.0.1, or put a token that clients have to "
                f"send into {TOKEN_VARIABLE}",
                key="http",
            )
        if host in ("0.0.0.0", "::") and not names:
            raise ConfigError(
                f"{host} is every address of this machine; say with --allow-host by which name or address clients "
                "reach it",
                key="http",
            )
        return cls(host, int(port), token, tuple(names))

    def security(self) -> TransportSecuritySettings:
        """What Host and Origin may be."""
        names = [f"[{name}]" if ":" in name else name for name in (*_LOOPBACK, self.host, *self.names)]
        hosts = [*names, *(f"{name}:*" for name in names)]
        origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=origins
        )

    def url(self, port: int) -> str:
        """What to give to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}{PATH}"

    def listen(self) -> socket.socket:
        """A socket that listens; taken before anything is loaded, so that a taken port is said at once.

        Raises:
            ConfigError: the address cannot be taken.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        taken = socket.socket(family)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((self.host, self.port))
            taken.listen(100)
        except OSError as error:
            taken.close()
            raise ConfigError(
                f"{self.host}:{self.port} cannot be taken: {error.strerror or error}; choose another port or address",
                key="http",
            ) from error
        return taken


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve_http(server: Server[Any, Any], address: Address, taken: socket.socket) -> None:
    """Serve any number of clients until a signal ends it."""
    manager = StreamableHTTPSessionManager(
        server, security_settings=address.security(), max_sessions=_MOST_SESSIONS, max_request_body_size=1 << 20
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    app = Starlette(routes=[Route(PATH, _Door(manager, address.token))], lifespan=lifespan)
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="on", ws="none")
    # It logs a traceback for each client that leaves while its stream is open, as clients do.
    logging.getLogger("mcp.server.streamable_http").setLevel(logging.CRITICAL)
    web = _Server(config)
    serving = asyncio.ensure_future(web.serve([taken]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        logging.disable()  # streams that are cut complain
        web.should_exit = web.force_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """Leaves signals to the command."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class _Door:
    """Lets in who knows the token."""

    def __init__(self, manager: StreamableHTTPSessionManager, token: str) -> None:
        self._manager, self._expected = manager, f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("authorization", "").encode("latin-1", "replace")
        if self._expected and not hmac.compare_digest(given, self._expected):
            refusal = PlainTextResponse(
                "this server wants a token: Authorization: Bearer …", 401, {"WWW-Authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
            return
        await self._manager.asgi_app(scope, receive, send)
