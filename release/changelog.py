"""CHANGELOG.md in the form of keepachangelog.com: looked at, and turned to a new version.

``python -m release.changelog`` says what is wrong with it; ``--release`` gives what stands under [Unreleased] the
version in ``chatglm_slim_llm.__version__`` and today's date.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from packaging.version import Version

from chatglm_slim_llm import __version__
from release import ROOT

PAGE = ROOT / "CHANGELOG.md"
GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_HEADING = re.compile(r"\[(?P<version>[^]]+)](?: - (?P<day>.+))?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class Section:
    """What one version changed."""

    version: str
    """``Unreleased`` for what has no version yet."""
    day: str
    groups: dict[str, list[str]] = field(default_factory=dict)
    """The lines below each third heading."""


def read(text: str) -> list[Section]:
    """The sections, in the order of the page.

    Raises:
        ValueError: a heading has another form.
    """
    sections: list[Section] = []
    for line in text.splitlines():
        if line.startswith("## "):
            sections.append(_section(line.removeprefix("## ")))
        elif line.startswith("### ") and sections:
            sections[-1].groups[line.removeprefix("### ")] = []
        elif line.strip() and sections:
            _lines(sections[-1]).append(line)
    return sections


def _section(heading: str) -> Section:
    if not (match := _HEADING.fullmatch(heading)):
        raise ValueError(f"the heading '## {heading}' is neither '## [Unreleased]' nor '## [1.2.3] - 2026-01-31'")
    return Section(match["version"], match["day"] or "")


def _lines(section: Section) -> list[str]:
    if not section.groups:
        raise ValueError(f"[{section.version}] has a line before its first '### ' heading")
    return list(section.groups.values())[-1]


def faults(text: str, version: str, tagged: Iterable[str] = ()) -> list[str]:
    """What is wrong with the page, a sentence each.

    Args:
        text: the page.
        version: of the program.
        tagged: versions that were released.
    """
    try:
        sections = read(text)
    except ValueError as error:
        return [str(error)]
    if not sections or sections[0].version != "Unreleased" or sections[0].day:
        return ["the first section is not '## [Unreleased]'"]
    found = [fault for section in sections for fault in _section_faults(section)]
    return found or [*_order_faults(sections[1:]), *_version_faults(sections, version, tagged)]


def _section_faults(section: Section) -> list[str]:
    where, is_released = f"[{section.version}]", section.version != "Unreleased"
    found = [
        f"{where} has a group '{name}'; there are {', '.join(GROUPS)}" for name in section.groups.keys() - {*GROUPS}
    ]
    found += [f"{where} has nothing under '{name}'" for name, lines in section.groups.items() if not lines]
    if is_released and not _is_day(section.day):
        found.append(f"{where} has {section.day or 'nothing'} where its day should stand, as in 2026-01-31")
    if is_released and not re.fullmatch(r"\d+\.\d+\.\d+(rc\d+)?", section.version):
        found.append(f"{where} is not a version such as 1.2.3 or 1.2.3rc1")
    if is_released and not section.groups:
        found.append(f"{where} says nothing")
    return found


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _order_faults(released: list[Section]) -> list[str]:
    found = []
    for newer, older in pairwise(released):
        if Version(newer.version) <= Version(older.version):
            found.append(f"[{newer.version}] stands above [{older.version}]")
        if newer.day < older.day:
            found.append(f"[{newer.version}] is of {newer.day}, before [{older.version}] of {older.day}")
    return found


def _version_faults(sections: list[Section], version: str, tagged: Iterable[str]) -> list[str]:
    versions = [section.version for section in sections[1:]]
    found = [f"{tag} was released and has no section" for tag in tagged if tag not in versions]
    if versions and Version(version) < Version(versions[0]):
        found.append(f"the program is {version}, and [{versions[0]}] has a section already")
    if version not in versions and not sections[0].groups:
        found.append(f"{version} has no section, and nothing stands under [Unreleased]")
    return found


def turned(text: str, version: str, day: str) -> str:
    """The page with what stood under [Unreleased] under a version.

    Raises:
        ValueError: there is nothing to release, or the version has a section already.
    """
    sections = read(text)
    if any(section.version == version for section in sections):
        raise ValueError(f"{version} has a section already; raise __version__ in chatglm_slim_llm/__init__.py")
    if not sections[0].groups:
        raise ValueError("nothing stands under [Unreleased]")
    return text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {day}\n", 1)


def tagged_versions(root: Path) -> list[str]:
    """The versions that git has tags for, as v1.2.3."""
    asked = subprocess.run(["git", "-C", root, "tag", "--list", "v*"], capture_output=True, text=True, check=False)
    return [tag.removeprefix("v") for tag in asked.stdout.split()]


def main(arguments: list[str] | None = None) -> int:
    """Look at the page, after turning it if that is asked."""
    parser = argparse.ArgumentParser(prog="python -m release.changelog", description=__doc__)
    parser.add_argument("--release", action="store_true", help=f"make [Unreleased] the section of {__version__}")
    asked = parser.parse_args(arguments)
    text = PAGE.read_text(encoding="utf-8")
    if asked.release:
        try:
            text = turned(text, __version__, datetime.now(UTC).date().isoformat())
        except ValueError as error:
            sys.exit(f"CHANGELOG.md: {error}")
        PAGE.write_text(text, encoding="utf-8")
    problems = faults(text, __version__, tagged_versions(ROOT))
    for problem in problems:
        print(f"CHANGELOG.md: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
