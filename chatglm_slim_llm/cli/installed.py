"""What of this program is installed: its dependencies and extras, with versions, and which of them do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "chatglm-slim-llm"
_FOR_DEVELOPERS = ("dev", "docs", "release")


@dataclass(frozen=True)
class Installed:
    """The packages that the program needs, those of its extras, and what is wrong with them, as (found, do)."""

    packages: dict[str, str] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find_installed() -> Installed:
    """Compare what is installed with what this version of the program asks for."""
    found = Installed()
    for extra, wanted in _requirements().items():
        if not extra:
            for requirement in wanted:
                found.packages[requirement.name] = _look_at(requirement, found.problems)
        elif extra not in _FOR_DEVELOPERS:
            found.extras[extra] = _extra_text(extra, wanted, found.problems)
    return found


def _requirements() -> Mapping[str, list[Requirement]]:
    """By extra; an empty name for what is always needed."""
    from packaging.requirements import Requirement

    try:
        about = metadata.metadata(NAME)
    except metadata.PackageNotFoundError:  # run from a folder, without being installed
        return {}
    extras = ["", *(about.get_all("Provides-Extra") or [])]
    by_extra: dict[str, list[Requirement]] = {extra: [] for extra in extras}
    for line in about.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        belongs = extras if marker is None else [extra for extra in extras if marker.evaluate({"extra": extra})]
        if belongs and requirement.name != NAME:  # the first: what is always needed is needed for each extra, too
            by_extra[belongs[0]].append(requirement)
    return by_extra


def _extra_text(extra: str, wanted: Iterable[Requirement], problems: list[tuple[str, str]]) -> str:
    versions = {each.name: _version(each.name) for each in wanted}
    if missing := [name for name, version in versions.items() if version is None]:
        return f"not installed: {', '.join(missing)} (pip install '{NAME}[{extra}]')"
    return ", ".join(f"{each.name} {_look_at(each, problems)}" for each in wanted)


def _look_at(requirement: Requirement, problems: list[tuple[str, str]]) -> str:
    version = _version(requirement.name)
    advice = f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        problems.append((f"{requirement.name} is not installed", advice))
        return "not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        problems.append((f"{requirement.name} {version} is installed, {requirement.specifier} is wanted", advice))
        return f"{version} ({requirement.specifier} is wanted)"
    return version


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
