"""The plugins as the terminal shows them. Reading takes many small files: it is done beside the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.commands import COMMANDS, Command, named
from tui.language import tr
from tui.reasons import told
from tui.wrapping import visible

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins import PluginSpec

OURS = "chatglm-slim-llm"
"""The package whose plugins are ours."""


@dataclass(frozen=True)
class PluginList:
    """Every plugin, on or not, as it was when it was read."""

    specs: Sequence[PluginSpec] = ()
    problems: Sequence[str] = ()
    """What is wrong with ``plugins.toml``, a sentence each."""

    def of(self, group: str) -> list[PluginSpec]:
        """Those of a group, in the order of use."""
        return [spec for spec in self.specs if spec.group == group]

    def on(self, group: str) -> list[PluginSpec]:
        """Those of a group that are on."""
        return [spec for spec in self.of(group) if spec.state == "on"]

    @property
    def commands(self) -> tuple[Command, ...]:
        """Our commands, then those of plugins whose names are free and can be typed."""
        added = [_command(spec) for spec in self.on("commands") if not conflict(spec)]
        return (*COMMANDS, *added)

    @property
    def complaints(self) -> list[str]:
        """What is wrong with the files, with plugins that somebody wants, and with names that are taken."""
        wanted = [spec for spec in self.specs if spec.file is not None and spec.distribution != OURS]
        untold = [spec for spec in wanted if not any(f"[{spec.key}]" in problem for problem in self.problems)]
        broken = [
            tr("{name}: {reason}", name=spec.key, reason=told(spec.reason)) for spec in untold if spec.state == "broken"
        ]
        return [*map(told, self.problems), *broken, *filter(None, map(conflict, self.on("commands")))]

    @property
    def kinds(self) -> list[str]:
        """The kinds of documents that are read, with whose plugin reads them where it is not ours."""
        loaders = self.on("loaders")
        return [visible(spec.name) + ("" if _is_ours(spec) else f" ({whose(spec)})") for spec in loaders]


def read() -> PluginList:
    """Read what is installed and what ``plugins.toml`` says; nothing of a plugin is imported."""
    from chatglm_slim_llm.plugins import survey

    return PluginList(*survey())


def kinds_text() -> str:
    """What can be read from files, in a sentence; takes as long as ``read``."""
    return tr("Reads text of any kind, and: {kinds}", kinds=", ".join(read().kinds))


def whose(spec: PluginSpec) -> str:
    """The package or the file that a plugin comes from."""
    if spec.distribution:
        return visible(spec.distribution)
    return visible(spec.target.partition(":")[0])


def about(spec: PluginSpec) -> str:
    """What a plugin says of itself on one line, and whose it is where it is not ours."""
    said = " ".join(visible(spec.description).split())
    if _is_ours(spec):
        return tr(said) if said else ""
    return f"{said} ({whose(spec)})" if said else whose(spec)


def conflict(spec: PluginSpec) -> str:
    """Why a command cannot be given; empty if it can."""
    if named(spec.name) is not None:
        return tr("/{name} is a command of this program, which goes first", name=visible(spec.name))
    if not spec.name or any(letter.isspace() or letter == "/" for letter in spec.name):
        return tr("“{name}” cannot be typed as a command", name=visible(spec.name))
    return ""


def _command(spec: PluginSpec) -> Command:
    help = " ".join(visible(spec.description).split())
    return Command(spec.name, "", help, "TEXT", "" if _is_ours(spec) and help else whose(spec))


def _is_ours(spec: PluginSpec) -> bool:
    return spec.distribution == OURS
