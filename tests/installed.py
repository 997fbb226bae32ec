"""A small package in a folder, as pip would leave it there."""

from __future__ import annotations

from pathlib import Path

import pytest


def install(site: Path, name: str, group: str, entries: dict[str, str], module: str, source: str) -> None:
    """Write the package ``name`` with one module and entry points of one group.

    Args:
        site: the folder, which may not be there yet.
        name: of the package.
        group: of the entry points.
        entries: their targets by name.
        module: name of the module.
        source: its text.
    """
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{entry} = {target}\n" for entry, target in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    (site / f"{module}.py").write_text(source)


def enable(monkeypatch: pytest.MonkeyPatch, file: Path, *keys: str) -> Path:
    """Switch plugins of others on, such as `loaders.odd`, in a file that is in use from now on."""
    file.write_text("".join(f"[{key}]\nenabled = true\n" for key in keys))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    return file
