"""How much memory this process holds, and how much there is for it, where the system tells."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Memory:
    """Main memory, within the limit that a container may set."""

    total_bytes: int | None
    available_bytes: int | None


def memory_bytes() -> int:
    """What is in memory of this process, on its device too once torch runs there; 0 where nobody knows."""
    return _resident_bytes() + _device_bytes()


def _resident_bytes() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _device_bytes() -> int:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return int(torch.cuda.memory_reserved())


def find_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Main memory in all and free for us; a container's limit counts as the end of it."""
    fields = read_table(meminfo, ":")
    total, available = _kibibytes(fields.get("MemTotal")), _kibibytes(fields.get("MemAvailable"))
    if total is None:
        return Memory(_physical_bytes(), None)
    limit = _first_number(cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes")
    if limit is not None and limit < total:
        used = _first_number(cgroup / "memory.current", cgroup / "memory" / "memory.usage_in_bytes") or 0
        total, available = limit, min(limit - used, available if available is not None else limit)
    return Memory(total, available)


def read_table(path: Path, separator: str) -> dict[str, str]:
    """The first value of each name in a file of ``name : value`` lines; empty where there is no such file."""
    table: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return table
    for line in text.splitlines():
        name, found, value = line.partition(separator)
        if found:
            table.setdefault(name.strip(), value.strip())
    return table


def _kibibytes(value: str | None) -> int | None:
    return int(value.split()[0]) * 1024 if value else None


def _first_number(*paths: Path) -> int | None:
    for path in paths:
        try:
            return int(path.read_text().strip())
        except (OSError, ValueError):  # not this kind of system, or "max"
            continue
    return None


def _physical_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
