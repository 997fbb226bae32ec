"""Whether a wheel holds exactly what it should: the tracked files of the packages, and what is made of them.

The list comes from git, not from what setuptools was told, so a file that somebody forgot to name is missed here.
"""

from __future__ import annotations

import configparser
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.metadata import Metadata
from packaging.utils import parse_wheel_filename

LIBRARY = "chatglm_slim_llm/kernels/_native.so"
LICENCES = ("LICENSE", "THIRD_PARTY_LICENSES.md")
_PACKAGES = ("chatglm_slim_llm/", "tui/")
_SOURCES_OF_LIBRARY = "chatglm_slim_llm/kernels/native/"
_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", *(f"licenses/{name}" for name in LICENCES))


def expected_files(tracked: Iterable[str], info: str, *, has_library: bool) -> set[str]:
    """The names that a wheel should have.

    Args:
        tracked: the names of the files that git has, from the root.
        info: name of the wheel's ``.dist-info`` folder.
        has_library: whether the kernels are built.
    """
    shipped = {name for name in tracked if name.startswith(_PACKAGES) and not name.startswith(_SOURCES_OF_LIBRARY)}
    made = {"chatglm_slim_llm/plugins.toml", *(f"{info}/{name}" for name in _INFO)}
    return shipped | made | ({LIBRARY} if has_library else set())


def faults(wheel: Path, tracked: Iterable[str], project: Mapping[str, Any], version: str) -> list[str]:
    """What is wrong with a wheel, a sentence each.

    Args:
        wheel: its file.
        tracked: the names of the files that git has.
        project: the table ``project`` of pyproject.toml.
        version: of the program.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(f"{info}/METADATA")
        entries = archive.read(f"{info}/entry_points.txt").decode()
    wanted = expected_files(tracked, info, has_library=not is_pure(wheel))
    return [
        *(f"{wheel.name} lacks {name}" for name in sorted(wanted - names)),
        *(f"{wheel.name} has {name}, which nobody wants there" for name in sorted(names - wanted)),
        *_metadata_faults(metadata, project, version),
        *_entry_faults(entries, project),
    ]


def is_pure(wheel: Path) -> bool:
    """Whether a wheel says that it runs everywhere, and so has no kernels."""
    return {tag.platform for tag in parse_wheel_filename(wheel.name)[3]} == {"any"}


def _metadata_faults(text: bytes, project: Mapping[str, Any], version: str) -> list[str]:
    try:
        found = Metadata.from_email(text, validate=True)
    except ExceptionGroup as group:
        return [f"METADATA is not as it should be: {error}" for error in group.exceptions]
    pairs = {
        "Name": (found.name, project["name"]),
        "Version": (str(found.version), version),
        "License-Expression": (found.license_expression, project["license"]),
        "Requires-Python": (str(found.requires_python), project["requires-python"]),
    }
    return [f"METADATA has {has} for {key}, not {wanted}" for key, (has, wanted) in pairs.items() if has != wanted]


def _entry_faults(text: str, project: Mapping[str, Any]) -> list[str]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(text)
    found = {(group, name): target for group in parser.sections() for name, target in parser[group].items()}
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    wanted = {(group, name): target for group, entries in groups.items() for name, target in entries.items()}
    return [f"entry point {key} is not as in pyproject.toml" for key in sorted(dict(found.items() ^ wanted.items()))]
