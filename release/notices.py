"""THIRD_PARTY_LICENSES.md: what the packages that we need are licensed under. ``python -m release.notices --write``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from release import ROOT
from release.dependencies import Package, direct_requirements, find_packages, read_project
from release.licences import is_accepted

PAGE = ROOT / "THIRD_PARTY_LICENSES.md"
_HEAD = """\
# Licences of others

ChatGLM-Slim is under the MIT licence, see `LICENSE`. The wheel and the sdist hold nothing of others: no code, no
tables, no fonts, no weights. The demo model and its vocabulary were trained from nothing on text that was written for
it. The compiled library has pieces of the compiler's C++ standard library in it, as GCC's Runtime Library Exception
allows.

What pip installs beside it stands under licences of its own; none of it is changed or shipped. With the versions that
were installed when this page was made, by `python -m release.notices --write`, on Linux with a CPU build of torch
(a CUDA build brings NVIDIA's libraries, which have NVIDIA's terms):

| package | version | licence (SPDX) | needed by |
| --- | --- | --- | --- |
"""
_EVERYONE = "every installation"


def page(packages: Iterable[Package]) -> str:
    """The page's text."""
    return _HEAD + "".join(f"| {' | '.join(_row(package))} |\n" for package in packages)


def _row(package: Package) -> tuple[str, str, str, str]:
    name = f"**{package.name}**" if package.is_direct else package.name
    wanted = _EVERYONE if "" in package.extras else ", ".join(f"`[{extra}]`" for extra in sorted(package.extras))
    return name, package.version or "not looked at", package.licence, wanted


def objections(packages: Iterable[Package]) -> list[str]:
    """The packages that may not be needed, a sentence each."""
    return [
        f"{package.name} is under {package.licence}, which is neither permissive nor weak copyleft"
        for package in packages
        if not is_accepted(package.licence)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or compare it; an unwanted licence fails both."""
    parser = argparse.ArgumentParser(prog="python -m release.notices", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page; without, say whether it is current")
    asked = parser.parse_args(arguments)
    packages = find_packages(direct_requirements(read_project())).values()
    problems = objections(packages)
    if asked.write:
        PAGE.write_text(page(packages), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page(packages):
        problems.append(f"{PAGE.name} is not what `python -m release.notices --write` would write here")
    print(*problems, sep="\n", end="\n" * bool(problems), file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
