"""The parts of terminal.md that are made: the keys, from the bindings, and the feature table, from its sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatglm_slim_llm.writing import write_whole
from tui import keys
from tui.commands import COMMANDS

PAGE = Path(__file__).with_name("terminal.md")
SOURCES = Path(__file__).with_name("terminal-sources.md")
_AREAS = {
    "app": "Everywhere",
    "chat": "In the chat, wherever the keyboard is",
    "prompt": "In the prompt",
    "attachments": "On the files below the prompt",
    "conversation": "In the messages",
    "find": "While finding in a chat",
    "history": "In the history",
    "passage": "In a passage",
    "knowledge": "In the knowledge bases",
    "tools": "In the tools of a chat",
    "tool": "While a tool asks",
    "tool_uses": "On what was done with tools",
    "plugins": "In the plugins",
    "settings": "In the settings",
    "help": "In the help",
}
_DIALOGS = "In the other dialogs"


@dataclass(frozen=True)
class Cell:
    """What one program has of one feature, and how that is known."""

    has: str
    where: str


@dataclass
class Program:
    """A section of the sources: its cells by feature, and the groups that it has put the features into."""

    name: str
    cells: dict[str, Cell] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)


def programs(sources: str) -> list[Program]:
    """The sections of ``terminal-sources.md`` that have cells; the first one has the groups."""
    found = []
    for section in re.split(r"^## ", sources, flags=re.MULTILINE)[1:]:
        name, _, text = section.partition("\n")
        program, group = Program(name.strip()), ""
        for line in text.splitlines():
            if line.startswith("### "):
                group = line[4:]
            elif line.startswith("| ") and not line.startswith(("| |", "| ---")):
                feature, has, where = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
                program.cells[feature] = Cell(has, where)
                program.groups.setdefault(group, []).append(feature)
        if program.cells:
            found.append(program)
    return found


def feature_tables(sources: str) -> str:
    """A table for each group of features, a column for each program."""
    columns = programs(sources)
    lines: list[str] = []
    for group, features in columns[0].groups.items():
        names = [program.name.partition(" ")[0] for program in columns]
        lines += ["", _row([f"**{group}**", *names]), _row(["---", *(":-:" for _ in names)])]
        lines += [_row([feature, *(program.cells[feature].has for program in columns)]) for feature in features]
    return "\n".join([*lines[1:], ""])


def key_tables() -> str:
    """A table for each place that has keys of its own, then the commands."""
    places: dict[str, list[keys.Action]] = {title: [] for title in [*_AREAS.values(), _DIALOGS]}
    for action in keys.actions():
        places[_AREAS.get(action.id.partition(".")[0], _DIALOGS)].append(action)
    lines: list[str] = []
    for title, actions in places.items():
        lines += ["", f"**{title}**", "", _row(["keys", "what they do", "name in `[keys]`"]), _row(["---"] * 3)]
        lines += [_row([keys.shown(action.keys), action.tooltip, f"`{action.id}`"]) for action in actions]
    lines += ["", "**Commands**, typed into the prompt", "", _row(["command", "what it does"]), _row(["---"] * 2)]
    lines += [_row([f"`{f'/{each.name} {each.argument}'.strip()}`", each.help]) for each in COMMANDS]
    return "\n".join([*lines[1:], ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def made() -> dict[str, str]:
    """The made parts by name."""
    return {"keys": key_tables(), "features": feature_tables(SOURCES.read_text(encoding="utf-8"))}


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with these parts between their marks.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, text in parts.items():
        before, mark, rest = page.partition(f"<!-- begin: {name} ")
        comment, closing, rest = rest.partition("-->\n")
        _old, end, after = rest.partition(f"<!-- end: {name} -->")
        if not (mark and closing and end):
            raise ValueError(f"the page has no place for {name!r}")
        page = f"{before}{mark}{comment}{closing}{text}{end}{after}"
    return page


def write() -> None:
    """Bring the made parts of the page up to date."""
    page = filled(PAGE.read_text(encoding="utf-8"), made())
    write_whole(PAGE, page)
