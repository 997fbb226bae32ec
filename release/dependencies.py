"""What the package needs, directly and by what it needs in turn, read from the installed packages' metadata."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release import PROJECT, ROOT
from release.licences import licence_of, licence_of_absent

NOT_FOR_USERS = frozenset({"dev", "docs", "release"})
"""Extras with what is needed to work on the project."""


@dataclass
class Package:
    """A package that is needed."""

    name: str
    version: str
    """As installed here; empty where it cannot be."""
    licence: str
    """An SPDX expression."""
    extras: set[str]
    """Of ours that need it; the empty name stands for an installation without extras."""
    needs: set[str] = field(default_factory=set)
    """The names of the packages that it needs in turn."""
    is_direct: bool = False
    """Whether pyproject.toml names it."""


def read_project(root: Path = ROOT) -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def direct_requirements(project: Mapping[str, Any]) -> dict[str, list[str]]:
    """The requirements that users can ask for, by extra; those of every installation below the empty name."""
    extras = {name: list(lines) for name, lines in project["optional-dependencies"].items()}
    return {"": list(project["dependencies"])} | {k: v for k, v in extras.items() if k not in NOT_FOR_USERS}


def find_packages(requirements: Mapping[str, Iterable[str]]) -> dict[str, Package]:
    """Every package that is needed on this system, by name.

    Args:
        requirements: lines by extra, as `direct_requirements` gives them.

    Raises:
        ValueError: a package's licence is not known.
    """
    found: dict[str, Package] = {}
    for extra, lines in requirements.items():
        names = set()
        for requirement in _holding(lines, [""]):
            if _name(requirement) != PROJECT:  # an extra made of other extras, which are looked at themselves
                names.add(_name(requirement))
                _walk(found, requirement, extra, set())
        for name in names:
            found[name].is_direct = True
    return dict(sorted(found.items()))


def _walk(found: dict[str, Package], requirement: Requirement, extra: str, seen: set[str]) -> None:
    if str(requirement) in seen:
        return
    seen.add(str(requirement))
    name = _name(requirement)
    installed = _installed(name)
    package = found.setdefault(name, _package(name, installed))
    package.extras.add(extra)
    for needed in _holding(installed.requires or () if installed else (), ["", *requirement.extras]):
        package.needs.add(_name(needed))
        _walk(found, needed, extra, seen)


def _package(name: str, installed: Distribution | None) -> Package:
    if installed is None:
        return Package(name, "", licence_of_absent(name), set())
    return Package(name, installed.version, licence_of(installed), set())


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _holding(lines: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """The requirements that hold on this system with these extras."""
    wanted = list(extras)
    for requirement in map(Requirement, lines):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in wanted):
            yield requirement


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)
