"""Who is at the other end of a connection within this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

_TCP = Path("/proc/net/tcp")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def knows_users() -> bool:
    """Whether the system tells which user a connection within this machine belongs to."""
    return _TCP.exists() and hasattr(os, "getuid")


def user_of(
    local: tuple[str, int], remote: tuple[str, int], tables: tuple[Path, ...] = (_TCP, Path(f"{_TCP}6"))
) -> int | None:
    """The user that the end of a connection belongs to, from the kernel's tables; ``None`` if it is not there."""
    wanted = (_written(*local), _written(*remote))
    for table in tables:
        try:
            rows = table.read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            cells = row.split()
            if (cells[1], cells[2]) == wanted:
                return int(cells[7])
    return None


def _written(host: str, port: int) -> str:
    """An address as the kernel's tables write it: groups of four bytes, each turned around."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    groups = [packed[start : start + 4][::-1] for start in range(0, len(packed), 4)]
    return f"{b''.join(groups).hex().upper()}:{port:04X}"
