"""Plugins of a folder: a ``plugins.toml`` and the files beside it, for this process and for those that it starts."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

SCRIPTED = (Path(__file__).parent / "data" / "plugins" / "scripted.py").read_text()
"""A model that calls the tools that the question names."""


class PluginFolder:
    """A ``plugins.toml`` that grows; each plugin has a file of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "plugins.toml"
        self.file.write_text("")
        patch.setenv("CHATGLM_SLIM_PLUGINS", str(self.file))

    def add(self, group: str, name: str, source: str, options: str = "") -> None:
        """Add a plugin, whose file names it ``make``; ``options`` are lines of TOML."""
        path = self.file.with_name(f"{group}_{name.replace('-', '_')}.py")
        path.write_text(textwrap.dedent(source))
        with self.file.open("a") as file:
            file.write(f'[{group}.{name}]\ntarget = "{path.name}:make"\n')
            file.write(f"[{group}.{name}.options]\n{options}\n" if options else "")
