"""``chatglm-tui --serve``: the same terminal in a browser, each page a session of its own.

Only this machine and this user are let in, unless there is a token; see ``guard.py``. Everything the page needs comes
from here, so it works without a network.
"""

from __future__ import annotations

import argparse
import errno
import os
import secrets
import socket
import sys
from collections.abc import Sequence

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError
from tui.language import tr
from tui.reasons import told
from tui.serve.peers import is_loopback, knows_users

TOKEN_VARIABLE = "CHATGLM_TUI_TOKEN"
"""Where the token can come from; an argument is seen by everyone who can list the processes."""

_SHORTEST_TOKEN = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--serve`` and what belongs to it."""
    parser.add_argument("--serve", action="store_true", help="show the terminal in a browser; needs the extra 'serve'")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at; any other than this needs a token")
    parser.add_argument("--port", type=int, default=8000, help="port to serve at (default 8000; 0 takes a free one)")
    parser.add_argument(
        "--token", help=f"who knows it is let in (or set {TOKEN_VARIABLE}); made up where one is needed"
    )


def run(argv: Sequence[str]) -> int:
    """Serve until interrupted; each session runs with the arguments that are not about serving. The exit status."""
    parser = argparse.ArgumentParser(prog="chatglm-tui", add_help=False)
    add_options(parser)
    options, arguments = parser.parse_known_args(argv)
    try:
        token = _token(options.host, options.token or os.environ.get(TOKEN_VARIABLE))
        _start(options.host, options.port, token, arguments)
    except ChatGLMSlimError as error:
        sys.stderr.write(f"chatglm-tui: {told(str(error))}\n")
        return 1
    return 0


def _start(host: str, port: int, token: str | None, arguments: Sequence[str]) -> None:
    if "TEXTUAL_DRIVER" in os.environ:
        raise ConfigError("--serve cannot be used inside a served session", key="serve")
    if sys.platform == "win32":  # sessions are ended as process groups, which are POSIX's
        raise ConfigError("--serve needs Linux or macOS; on Windows run it in WSL", key="serve")
    if not 0 <= port < 65536:
        raise ConfigError(f"port {port} is not between 0 and 65535", key="port")
    try:
        from tui.serve.server import Server
    except ModuleNotFoundError as error:
        wanted = "pip install 'chatglm-slim-llm[serve]'"
        raise ConfigError(f"--serve needs textual-serve ({error.name} is missing): {wanted}", key="serve") from error
    try:
        Server(arguments, host, port, token).serve()
    except OSError as error:
        key = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise ConfigError(
            f"{host}:{port} cannot be served at ({_why(error)}); choose another --{key}", key=key
        ) from error


def _why(error: OSError) -> str:
    """In the system's words; asyncio says it with the address once more."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _token(host: str, given: str | None) -> str | None:
    """The token to ask for; ``None`` where the system itself tells who asks."""
    if given is not None and len(given) < _SHORTEST_TOKEN:
        raise ConfigError(f"the token is too short to be safe; give {_SHORTEST_TOKEN} characters or more", key="token")
    return given or (None if is_loopback(host) and knows_users() else secrets.token_urlsafe(24))


def greeting(url: str, host: str, token: str | None) -> str:
    """What is said when the server is ready."""
    lines = [tr("Open {url}", url=f"{url}/?token={token}" if token else f"{url}/"), tr("Ctrl+C ends it.")]
    if not is_loopback(host):
        lines.append(tr("The connection is not encrypted: use it in a network you trust, or through an SSH tunnel."))
    return "\n".join(lines)
