"""Facts about this machine that decide what it can run: processor and accelerators; ``hosting/memory.py`` knows memory.

What cannot be found out here is ``None``; nothing is guessed.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from chatglm_slim_llm.hosting.memory import read_table

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


def find_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Name and instruction sets of the processor."""
    fields = read_table(cpuinfo, ":")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Processor(
        name=fields.get("model name") or platform.processor() or "unknown",
        architecture=platform.machine(),
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        features=tuple(feature for feature in _TELLING_FEATURES if feature in flags),
    )


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
