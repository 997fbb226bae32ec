"""The checkpoints on this machine, found by names of files alone: ``llm`` asks for them with every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatglm_slim_llm.config import Folders


def checkpoints() -> dict[str, str]:
    """What `ChatGLMSlim` takes as ``model``, by name: hub ids in the hub's cache, folders in the folder for models."""
    try:
        return dict(_in_hub_cache()) | dict(_in_models_folder())
    except (OSError, RuntimeError):  # no folder that cannot be read or named may keep llm from the models of others
        return {}


def _in_hub_cache() -> Iterator[tuple[str, str]]:
    from huggingface_hub.constants import HF_HUB_CACHE

    for folder in sorted(Path(HF_HUB_CACHE).glob("models--*--*")):
        main = folder / "refs" / "main"
        if main.is_file() and _is_checkpoint(folder / "snapshots" / main.read_text(encoding="utf-8", errors="replace")):
            repo_id = folder.name.removeprefix("models--").replace("--", "/", 1)
            yield repo_id, repo_id


def _in_models_folder() -> Iterator[tuple[str, str]]:
    folder = Folders.of_user().data / "models"
    if folder.is_dir():
        yield from ((each.name, str(each)) for each in sorted(folder.iterdir()) if _is_checkpoint(each))


def _is_checkpoint(folder: Path) -> bool:
    from chatglm_slim_llm.checkpoint.pull import missing_files

    return (folder / "ice_text.model").is_file() and not missing_files(folder)  # no other model has such a tokenizer
