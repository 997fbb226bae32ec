"""``plugins.toml`` as it is read: the first file there is, on top of the one that we ship.

What is wrong in a file is a problem to be told; the rest of the file holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.plugins.spec import GROUPS
from chatglm_slim_llm.plugins.trust import content_of, is_trusted
from chatglm_slim_llm.plugins.words import VARIABLE

NAME = "plugins.toml"
_TYPES = {"target": str, "enabled": bool, "description": str, "package": str, "options": dict}
_WORDS = {str: "a text in quotes", bool: "true or false", dict: "a table"}


@dataclass(frozen=True)
class Table:
    """What a file says of one plugin; ``None`` where it says nothing."""

    group: str
    name: str
    file: Path
    is_trusted: bool
    target: str | None = None
    enabled: bool | None = None
    description: str | None = None
    package: str | None = None
    options: Mapping[str, object] | None = None
    complaint: str = ""
    """What is wrong with it; then nothing it says is followed."""

    def on_top_of(self, below: Table | None) -> Table:
        """This table, with what another says where it is silent."""
        if below is None:
            return self
        silent = {name: getattr(below, name) for name in _TYPES if getattr(self, name) is None}
        return replace(self, **silent)


@dataclass(frozen=True)
class Tables:
    """The tables of the files in use, by group and name, in the order of use."""

    file: Path
    """The file in use; the shipped one if there is no other."""
    tables: Mapping[tuple[str, str], Table] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def shipped_file() -> Path:
    """The file that comes with the program: in the package, or at the root of the repository."""
    package = Path(__file__).parent.parent
    inside = package / NAME
    return inside if inside.exists() else package.parent / NAME


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own file, whether or not there is one."""
    return Folders.of_user(environ).config / NAME


def file_in_use(environ: Mapping[str, str] = os.environ) -> Path:
    """The first there is: ``CHATGLM_SLIM_PLUGINS``, the working folder's, the user's, the shipped one."""
    if named := environ.get(VARIABLE):
        return Path(os.path.expanduser(named))  # noqa: PTH111  # Path's own raises where there is no such user
    if os.path.isfile(NAME) and not _is_as_shipped(Path(NAME)):  # noqa: PTH113  # false in a folder that is gone
        return Path(os.path.realpath(NAME))  # files beside it are those beside what a link names, whoever made the link
    own = user_file(environ)
    return own if os.path.isfile(own) else shipped_file()  # noqa: PTH113


def _is_as_shipped(file: Path) -> bool:
    """Whether it is our own file, or one like it to the letter, as in a clone of the program: it adds nothing."""
    try:
        return content_of(file) == content_of(shipped_file())
    except OSError:
        return False


def is_users_choice(file: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user has named this file, or it is the user's own: then it is trusted as it is."""
    return bool(environ.get(VARIABLE)) or is_same(file, user_file(environ))


def read_tables(environ: Mapping[str, str] = os.environ) -> Tables:
    """What the file in use and the shipped one say."""
    file, shipped = file_in_use(environ), shipped_file()
    below, below_problems = _read(shipped, lambda content: True) if shipped.is_file() else ({}, ())
    if is_same(file, shipped):
        return Tables(file, below, below_problems)
    is_chosen = is_users_choice(file, environ)
    upper, problems = _read(file, lambda content: is_chosen or is_trusted(file, content, environ))
    merged = {key: table.on_top_of(below.get(key)) for key, table in upper.items()}
    return Tables(file, merged | {key: table for key, table in below.items() if key not in merged}, problems)


def is_same(one: Path, other: Path) -> bool:
    """Whether both are one file, whether or not it is there."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _read(file: Path, trusts: Callable[[bytes], bool]) -> tuple[dict[tuple[str, str], Table], tuple[str, ...]]:
    import tomllib  # 10 ms, and not every program that imports this reads a file

    try:
        content = content_of(file)
        found = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        return {}, (f"{file} cannot be read ({error.strerror}); only what we ship is on",)
    except (ValueError, RecursionError) as error:
        return {}, (f"{file} is not valid TOML ({error}); only what we ship is on until it is repaired",)
    has_trust = trusts(content)
    tables: dict[tuple[str, str], Table] = {}
    problems = []
    for group, entries in found.items():
        if group not in GROUPS:
            problems.append(f"{file}: [{group}] is no group of plugins{_hint(group, GROUPS)}")
            continue
        if not isinstance(entries, dict):
            problems.append(f"{file}: [{group}] must be a table of plugins, found {entries!r}")
            continue
        tables |= {(group, name): _table(group, name, table, file, has_trust) for name, table in entries.items()}
    problems += [
        f"{file}: [{table.group}.{table.name}] {table.complaint}" for table in tables.values() if table.complaint
    ]
    return tables, tuple(problems)


def _table(group: str, name: str, given: Any, file: Path, is_trusted: bool) -> Table:
    complaint = next(_complaints(given), "")
    # A table that cannot be read as it is meant must not bring anything in.
    return Table(group, name, file, is_trusted, **({"complaint": complaint} if complaint else given))


def _complaints(given: Any) -> Iterator[str]:
    if not isinstance(given, dict):
        yield f"must be a table, found {given!r}"
        return
    for key, value in given.items():
        if key not in _TYPES:
            options = "; options of the plugin stand in a table of their own, [….options]"
            yield f"has no key {key}{_hint(key, _TYPES)}{options}"
        elif not isinstance(value, _TYPES[key]):
            yield f"{key} must be {_WORDS[_TYPES[key]]}, found {value!r}"


def _hint(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
