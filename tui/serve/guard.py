"""Who is let in.

- At a loopback address, the ``Host`` must be one of its names, so that a page whose name was bound to 127.0.0.1
  afterwards is refused; and without a token, the connection must be one of this user's, as Linux knows.
- With a token, it is given once in the address and then kept in a cookie, which no script can read and no other site
  makes the browser send. What the cookie holds is not the token.
- A websocket must come from a page of ours: its ``Origin`` is the ``Host`` it speaks to.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from tui.serve.peers import is_loopback, user_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Decides on each request; a refusal says in one sentence what to do."""

    def __init__(self, host: str, token: str | None) -> None:
        self._host, self._token = host, token
        self._key = secrets.token_urlsafe(32)
        self.port = 0
        """Where the server listens, as soon as it does."""

    @property
    def _cookie(self) -> str:
        return f"chatglm_tui_{self.port}"  # cookies do not know ports: two servers must not take each other's

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through or refuse it; every answer carries the headers that keep others out."""
        refusal = self._refusal(request)
        try:
            response = web.Response(status=403, text=refusal + "\n") if refusal else await handler(request)
        except web.HTTPException as error:
            response = error
        if not response.prepared:
            response.headers.update(HEADERS)
            if self._token and not refusal and not self._has_cookie(request):
                response.set_cookie(self._cookie, self._key, httponly=True, samesite="Strict", path="/")
        if isinstance(response, web.HTTPException):
            raise response
        return response

    def _refusal(self, request: web.Request) -> str:
        if is_loopback(self._host) and urlsplit(f"//{request.host}").hostname not in self._names():
            return "This server is only reached by the address that it has printed."
        if self._token and not (self._has_cookie(request) or self._has_token(request)):
            return "Open the address with the token, which the server has printed."
        if not self._token and not _is_ours(request):
            return "It cannot be told that you are the user who started this server; start it with --token."
        if request.headers.get("Upgrade", "").lower() == "websocket" and not _is_same_origin(request):
            return "This page is not one of this server's."
        return ""

    def _names(self) -> set[str]:
        return {"localhost", "127.0.0.1", "::1", self._host.strip("[]")}

    def _has_cookie(self, request: web.Request) -> bool:
        return secrets.compare_digest(request.cookies.get(self._cookie, "").encode(), self._key.encode())

    def _has_token(self, request: web.Request) -> bool:
        given = request.query.get("token", "") if request.path == "/" else ""
        return secrets.compare_digest(given.encode(), (self._token or "").encode())


def _is_same_origin(request: web.Request) -> bool:
    origin = urlsplit(request.headers.get("Origin", ""))
    return origin.scheme in ("http", "https") and origin.netloc == request.host


def _is_ours(request: web.Request) -> bool:
    """Whether the other end of a connection within this machine is a process of this user, or of root."""
    transport = request.transport
    if transport is None:
        return False
    here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return user_of(there[:2], here[:2]) in (os.getuid(), 0)
