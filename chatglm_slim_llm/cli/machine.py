"""Facts about this machine that decide what it can run: processor, memory, accelerators.

What cannot be found out here is ``None``; nothing is guessed.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_TELLING_FEATURES = (
    "f16c",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
)


@dataclass(frozen=True)
class Processor:
    """The processor, as far as it matters for the speed of a language model."""

    name: str
    architecture: str
    usable_cores: int | None
    features: tuple[str, ...]
    """Those instruction sets that our kernels or torch use."""


@dataclass(frozen=True)
class Memory:
    """Main memory, within the limit that a container may set."""

    total_bytes: int | None
    available_bytes: int | None


def find_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Name and instruction sets of the processor."""
    fields = _read_table(cpuinfo, ":")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Processor(
        name=fields.get("model name") or platform.processor() or "unknown",
        architecture=platform.machine(),
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        features=tuple(feature for feature in _TELLING_FEATURES if feature in flags),
    )


def find_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Main memory in all and free for us; a container's limit counts as the end of it."""
    fields = _read_table(meminfo, ":")
    total, available = _kibibytes(fields.get("MemTotal")), _kibibytes(fields.get("MemAvailable"))
    if total is None:
        return Memory(_physical_bytes(), None)
    limit = _first_number(cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes")
    if limit is not None and limit < total:
        used = _first_number(cgroup / "memory.current", cgroup / "memory" / "memory.usage_in_bytes") or 0
        total, available = limit, min(limit - used, available if available is not None else limit)
    return Memory(total, available)


def find_devices() -> tuple[list[str], str | None]:
    """What torch can compute on, and why it cannot be imported, if so."""
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # a library that is missing, broken or of another build
        return [], f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    devices = [f"cpu ({torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()})"]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            devices.append(f"cuda:{number} ({name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free)")
    if torch.backends.mps.is_available():
        devices.append("mps (Apple GPU)")
    return devices, None


def _read_table(path: Path, separator: str) -> dict[str, str]:
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
