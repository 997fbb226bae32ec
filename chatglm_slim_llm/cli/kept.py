"""What the program keeps on disk: where, how much, in what state. Files are only read, and no content is shown."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.hosting.amounts import size_text


@dataclass(frozen=True)
class Kept:
    """The folders, the files in them, and what is wrong with them, as (found, do)."""

    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find_kept(environ: Mapping[str, str] = os.environ) -> Kept:
    """Look at the folders of the user and what is in them."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = Folders.of_user(environ)
    paths = {"settings": folders.config, "data": folders.data, "cache": folders.cache, "hub cache": Path(HF_HUB_CACHE)}
    kept = Kept({name: _folder_text(path) for name, path in paths.items()})
    _look_at_settings(kept, folders.config / "settings.toml")
    _look_at_history(kept, folders.data / "history.db")
    kept.files["knowledge bases"] = _sizes_text((folders.data / "knowledge").glob("*.db"), "none")
    kept.files["packed weights"] = _sizes_text((folders.cache / "packed").glob("*.safetensors"), "none")
    return kept


def _folder_text(path: Path) -> str:
    there = next(each for each in (path, *path.parents) if each.exists())
    try:
        free = f"{size_text(shutil.disk_usage(there).free)} free"
    except OSError:
        free = "free space unknown"
    writable = "" if os.access(there, os.W_OK) else ", not writable"
    return f"{path} ({'' if there == path else 'not there yet, '}{free}{writable})"


def _look_at_settings(kept: Kept, path: Path) -> None:
    try:
        tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        kept.files["settings.toml"] = "not there; everything has its default"
    except (OSError, ValueError) as error:
        kept.files["settings.toml"] = "BROKEN"
        kept.problems.append((f"{path} cannot be read: {error}", "correct it, or move it away"))
    else:
        kept.files["settings.toml"] = size_text(path.stat().st_size)


def _look_at_history(kept: Kept, path: Path) -> None:
    from chatglm_slim_llm.storage.looking import KNOWN_SCHEMA, history_facts

    if not path.exists():
        kept.files["history"] = "nothing was said yet"
        return
    size = size_text(sum(each.stat().st_size for each in path.parent.glob("history.db*") if "backup" not in each.name))
    copies = len(list(path.parent.glob("history.db.backup-*")))
    try:
        facts = history_facts(path)
    except (sqlite3.Error, OSError) as error:
        kept.files["history"] = f"BROKEN, {size}, {copies} copies from before upgrades"
        kept.problems.append((f"{path} cannot be read: {error}", "close other programs that use it, or move it away"))
        return
    kept.files["history"] = (
        f"{facts.conversations} conversations, {facts.messages} messages, {size}, schema {facts.schema} of"
        f" {KNOWN_SCHEMA}, {copies} copies from before upgrades"
    )
    if facts.schema > KNOWN_SCHEMA:
        kept.problems.append((f"{path} was written by a newer version", "upgrade: pip install -U chatglm-slim-llm"))


def _sizes_text(paths: Iterable[Path], none: str) -> str:
    sizes = [path.stat().st_size for path in paths]
    return f"{len(sizes)}, {size_text(sum(sizes))}" if sizes else none
