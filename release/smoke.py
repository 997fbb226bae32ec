"""Installs a wheel into an empty environment and uses it there. ``python -m release.smoke dist/*.whl``.

The environment lies in a temporary folder, sees nothing of the checkout, and is gone afterwards. First the wheel alone,
then the extras on top of it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from packaging.utils import parse_wheel_filename

from release import smoke_commands, smoke_llm, smoke_mcp, smoke_plugin, smoke_terminal, smoke_types
from release.environment import Environment, SmokeError

Check = Callable[[Environment], str]
"""Uses one thing as a user would; returns what it saw in a few words, or raises SmokeError."""

ALONE: tuple[Check, ...] = (
    smoke_commands.versions,
    smoke_commands.names,
    smoke_commands.doctor,
    smoke_commands.plugins,
    smoke_commands.chat,
    smoke_commands.invoke,
    smoke_terminal.terminal,
    smoke_plugin.tutorial_plugin,
)
EXTRAS = ("llm", "mcp", "rag")
WITH_EXTRAS: tuple[Check, ...] = (smoke_commands.documents, smoke_llm.llm, smoke_mcp.mcp, smoke_types.types)


def smoke(wheel: Path, folder: Path, *, torch: str) -> int:
    """Install and use a wheel.

    Args:
        wheel: its file.
        folder: an empty folder for the environment.
        torch: what to tell pip to install first; which build of torch is not the wheel's business.

    Returns:
        How many things do not work.
    """
    place = Environment.create(folder, wheel.resolve(), str(parse_wheel_filename(wheel.name)[1]))
    failed = 0
    for line, worked in _steps(place, torch):
        print(line, flush=True)
        failed += not worked
    return failed


def _steps(place: Environment, torch: str) -> Iterator[tuple[str, bool]]:
    yield _step(place, f"install {torch}", lambda place: place.install(*shlex.split(torch)))
    yield _step(place, "install the wheel", lambda place: place.install(place.wheel))
    yield from (_step(place, check.__name__, check) for check in ALONE)
    extras = ",".join(EXTRAS)
    yield _step(place, f"install [{extras}]", lambda place: place.install(f"{place.wheel}[{extras}]"))
    yield from (_step(place, check.__name__, check) for check in WITH_EXTRAS)


def _step(place: Environment, name: str, check: Check) -> tuple[str, bool]:
    started = time.monotonic()
    try:
        mark, said = "✓", check(place)
    except (SmokeError, ValueError, KeyError) as error:  # what was printed may have another form than it should
        mark, said = "✗", str(error) if isinstance(error, SmokeError) else repr(error)
    return f"{mark} {name:<24} {time.monotonic() - started:6.1f} s  {said}", mark == "✓"


def main(arguments: list[str] | None = None) -> int:
    """Use one wheel."""
    parser = argparse.ArgumentParser(prog="python -m release.smoke", description=__doc__)
    parser.add_argument("wheel", type=Path, help="the wheel's file")
    parser.add_argument("--torch", default="torch", help="what pip installs first (default: torch)")
    asked = parser.parse_args(arguments)
    if not asked.wheel.is_file():
        parser.error(f"there is no {asked.wheel}; make one with: make dist")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chatglm-slim-smoke-", ignore_cleanup_errors=True) as folder:
        failed = smoke(asked.wheel, Path(folder), torch=asked.torch)
    print(f"{failed or 'nothing'} failed, {time.monotonic() - started:.0f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
