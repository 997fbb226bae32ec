"""How another MCP server is reached: what ``plugins.toml`` says of it, checked, and shown without its secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from chatglm_slim_llm.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WITHOUT_VALUE = ("-y", "--yes", "-m", "run")
"""Words after which a command names what it runs; after other options an argument may be a secret."""
_SHORTEST_SECRET = 4


Pairs = tuple[tuple[str, str], ...]
"""A table that does not change, and can be part of a key."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """One server, which is either a command or a url."""

    command: str = ""
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Pairs = field(default=(), repr=False)
    cwd: str = ""
    url: str = field(default="", repr=False)
    headers: Pairs = field(default=(), repr=False)
    timeout_s: float = 60.0
    """What its start, and each call, may take."""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ConfigError(
                'an MCP server has a command or a url: give one of them in the options, such as command = "uvx" and '
                'args = ["mcp-server-time"]',
                key="command",
            )
        for given, wanted in (("args", "command"), ("env", "command"), ("cwd", "command"), ("headers", "url")):
            if getattr(self, given) and not getattr(self, wanted):
                raise ConfigError(f"{given} is for a server with a {wanted}; this one has none", key=given)
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigError("url is no http:// or https:// address of an MCP server", key="url")
        if self.cwd and not Path(self.cwd).is_dir():
            raise ConfigError(f"cwd {self.cwd} is no folder", key="cwd")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s is {self.timeout_s:g}; give seconds above 0", key="timeout_s")

    @property
    def label(self) -> str:
        """What it is called in a sentence; nothing of it can be a secret."""
        if self.url:
            parts = urlsplit(self.url)
            return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
        first, *_ = [arg for arg in self.args if arg not in _WITHOUT_VALUE] or [""]
        named = "" if first.startswith("-") else Path(first).name if os.sep in first else first
        return f"{Path(self.command).name} {named}".strip()

    def hidden(self, text: str) -> str:
        """The text without what is secret."""
        values = [value for _, value in (*self.env, *self.headers)]
        secrets = [*values, *_tokens(values), *_login_and_query(self.url)]
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


def filled(given: Mapping[str, str], where: str) -> Pairs:
    """Values in which ``${NAME}`` is what the environment says.

    Raises:
        ConfigError: it has no such variable.
    """
    return tuple((name, _filled(value, f"{where}.{name}")) for name, value in given.items())


def at_home(word: str) -> str:
    """The word, in which ``~`` at the beginning is the user's folder."""
    return os.path.expanduser(word)  # noqa: PTH111  # an argument need not be a path


def _filled(value: str, where: str) -> str:
    def variable(match: re.Match[str]) -> str:
        if (found := os.environ.get(match[1])) is None:
            raise ConfigError(
                f"{where} wants the variable {match[1]}, which is not set; set it before the program is started",
                key=where,
            )
        return found

    return _VARIABLE.sub(variable, value)


def _tokens(values: Sequence[str]) -> list[str]:
    """The token of ``Bearer token``, which a server may repeat by itself."""
    return [value.partition(" ")[2] for value in values]


def _login_and_query(url: str) -> list[str]:
    parts = urlsplit(url)
    values = [each.partition("=")[2] for each in parts.query.split("&")]
    return [parts.query, *values, parts.password or "", parts.username or ""]
