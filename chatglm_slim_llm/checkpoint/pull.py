"""From what a user calls a model to a folder on this disk; from the hub if it must be.

Importing this module loads neither torch nor transformers, so the terminal may ask ``is_available``
before it decides what to show.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.checkpoint.hub import REQUIRED_FILES, find_weights, plan_pull
from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL
from chatglm_slim_llm.errors import CheckpointNotFoundError

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint.progress import Progress

DEMO_FOLDER = Path(__file__).parent.parent / "demo"

_FILE_KINDS = {".json", ".safetensors", ".bin", ".model"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


def pull(
    repo_id: str = DEFAULT_HUB_ID,
    *,
    revision: str | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a checkpoint from the hub, resumed and checked, and return the folder to load it from.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit; the main branch without it.
        folder: where the files go; into the hub's cache without it.
        progress: told what is being done, the bytes done and the bytes in all.

    Raises:
        CheckpointNotFoundError: the hub has no such checkpoint, or gives no access to it.
        CheckpointError: no network, no room on the disk, or a damaged download.
    """
    from chatglm_slim_llm.checkpoint.download import fetch

    return fetch(plan_pull(repo_id, revision=revision, folder=folder), progress).folder


def resolve_folder(model: str, *, allow_download: bool = False, progress: Progress | None = None) -> Path:
    """The folder that holds ``model``: ``"demo"``, a folder, or a hub id, downloaded when that is allowed.

    Raises:
        CheckpointNotFoundError: there is no such folder, or the hub id is not on this machine.
        CheckpointError: a download was allowed and failed.
    """
    if (found := find_folder(model)) is not None:
        return found
    if not is_hub_id(model):
        raise CheckpointNotFoundError(
            f"there is no checkpoint folder {model!r}; give 'demo', an existing folder, "
            f"or a hub id such as {DEFAULT_HUB_ID}"
        )
    if not allow_download:
        raise CheckpointNotFoundError(
            f"{model} is neither a folder here nor on this machine yet; download it with 'chatglm-slim pull {model}'"
        )
    return pull(model, progress=progress)


def is_available(model: str) -> bool:
    """Whether ``model`` can be loaded without a download."""
    folder = find_folder(model)
    return folder is not None and not missing_files(folder)


def fingerprint(folder: Path) -> str:
    """Changes when a file of the checkpoint does; from names, sizes and times, so nothing is read."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in _FILE_KINDS and path.is_file()]
    facts = [(path.name, stat.st_size, stat.st_mtime_ns) for path in files for stat in (path.stat(),)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def find_folder(model: str) -> Path | None:
    """The folder of ``model`` on this machine, without asking the network; ``None`` if it would need a download."""
    if model == DEMO_MODEL:
        return DEMO_FOLDER
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    return _find_in_cache(model) if is_hub_id(model) else None


def is_hub_id(model: str) -> bool:
    """Whether ``model`` has the form ``owner/name``."""
    return _HUB_ID.fullmatch(model) is not None


def missing_files(folder: Path) -> list[str]:
    """Names of the files that a checkpoint in ``folder`` still lacks; shards are taken from its index."""
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    missing = [name for name in REQUIRED_FILES if name not in names]
    weights = find_weights(names)
    if not weights:
        return [*missing, "model*.safetensors or pytorch_model*.bin"]
    for index in (folder / name for name in weights if name.endswith(".index.json")):
        missing += sorted(_shards_of(index) - names)
    return missing


def _shards_of(index: Path) -> set[str]:
    try:
        return {str(shard) for shard in json.loads(index.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, AttributeError):
        return {f"a readable {index.name}"}


def _find_in_cache(repo_id: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo_id, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return None if missing_files(folder) else folder
