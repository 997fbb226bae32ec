"""CPU seconds that `chatglm-tui` takes until its prompt is on the screen, in a real pseudo-terminal.

    python -m benchmarks.paint [RUNS]

Each run starts a fresh process with an empty history; the median counts.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte

_SIZE = (30, 100)
_SHOWN = "Quit"  # stands in the footer, which is painted last
_TIMEOUT_S = 30.0


def measure() -> float:
    """CPU seconds, user and system, from the start of the process to its first full screen."""
    screen = pyte.Screen(_SIZE[1], _SIZE[0])
    stream = pyte.Stream(screen)
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"CHATGLM_SLIM_HOME": home, "TERM": "xterm-256color"}
        program = str(Path(sys.executable).parent / "chatglm-tui")
        child = pexpect.spawn(program, env=environ, dimensions=_SIZE, encoding="utf-8")
        deadline = time.monotonic() + _TIMEOUT_S
        while not any(_SHOWN in row for row in screen.display):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{program} painted nothing within {_TIMEOUT_S:.0f} s")
            try:
                stream.feed(child.read_nonblocking(65536, timeout=0.01))
            except pexpect.TIMEOUT:
                continue
        cpu_s = _cpu_seconds(child.pid)
        child.close(force=True)
    return cpu_s


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run several times, print each figure and the median."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    figures = [measure() for _ in range(runs)]
    print("CPU seconds to the first screen:", *(f"{figure:.2f}" for figure in figures))
    print(f"median {statistics.median(figures):.2f} s")


if __name__ == "__main__":
    main()
