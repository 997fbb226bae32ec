"""The checkpoints that are on this machine, by their small files alone: nothing here loads torch or reads weights."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, Folders, Quantization
from chatglm_slim_llm.errors import ChatGLMSlimError, CheckpointFormatError, CheckpointNotFoundError
from chatglm_slim_llm.hosting.amounts import memory_needs
from tui.language import tr

LEVELS: tuple[Quantization, ...] = ("fp16", "int8", "int4")
_SIX_B = {"hidden_size": 4096, "num_layers": 28, "vocab_size": 130528}
_SIX_B_BYTES = 13_000_000_000
_SIZES = ("hidden_size", "num_layers", "vocab_size")
_OPTIONAL_SIZES = ("inner_hidden_size", "max_sequence_length", "quantization_bit", "quantization_group_size")

Place = Literal["built in", "hub cache", "folder"]


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint that can be loaded."""

    model: str
    """What ``LoadOptions.model`` is to be."""
    name: str
    """What it is called on the screen."""
    place: Place
    size_bytes: int
    needs: Mapping[Quantization, int]
    """Bytes of memory, about, at each level that it can be loaded at."""


def find_models(current: str) -> list[LocalModel]:
    """The demo model, what is in the models folder and in the hub's cache, and ``current`` if it is a folder."""
    from chatglm_slim_llm.checkpoint.pull import find_folder, is_hub_id

    found: dict[str, LocalModel] = {}
    for model in (DEMO_MODEL, *_hub_ids(), *_folders(), current):
        folder = find_folder(model)
        if folder is None or model in found:
            continue
        try:
            found[model] = look_at(folder, model, is_hub=is_hub_id(model) and not Path(model).is_dir())
        except (ChatGLMSlimError, OSError):  # a checkpoint of another model, or half a download
            continue
    return list(found.values())


def look_at(folder: Path, model: str | None = None, *, is_hub: bool = False) -> LocalModel:
    """The checkpoint in a folder.

    Raises:
        CheckpointNotFoundError: there is none, or files of it are missing.
        CheckpointFormatError: it is one of another model.
    """
    from chatglm_slim_llm.checkpoint.pull import missing_files

    config = _config(folder)
    if missing := missing_files(folder):
        text = tr("{folder} lacks {missing}; fetch the checkpoint again", folder=folder, missing=", ".join(missing))
        raise CheckpointNotFoundError(text)
    place: Place = "built in" if model == DEMO_MODEL else "hub cache" if is_hub else "folder"
    size_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    is_named = place != "folder" or folder.parent == models_folder()
    name = (model if place != "folder" else None) or (folder.name if is_named else short_path(folder))
    return LocalModel(model or str(folder), name, place, size_bytes, memory_needs(config))


def hub_model(repo_id: str) -> LocalModel:
    """A checkpoint of the hub that is not here: what it needs is known of the 6B model alone."""
    is_known = repo_id == DEFAULT_HUB_ID
    needs = memory_needs(_SIX_B) if is_known else dict.fromkeys(LEVELS, 0)
    return LocalModel(repo_id, repo_id, "hub cache", _SIX_B_BYTES if is_known else 0, needs)


def best_level(needs: Mapping[Quantization, int], free_bytes: int | None) -> Quantization:
    """The finest level that fits; the smallest where none does, the finest where nobody knows."""
    fitting = [level for level, needed in needs.items() if free_bytes is None or needed <= free_bytes]
    return fitting[0] if fitting else min(needs, key=lambda level: needs[level])


def devices(chosen: str) -> list[str]:
    """The devices that this machine seems to have; ``chosen`` is always among them."""
    has_cuda = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists() or shutil.which("nvidia-smi") is not None
    found = ["auto", "cpu", *(["cuda"] if has_cuda else []), *(["mps"] if sys.platform == "darwin" else [])]
    return found if chosen in found else [*found, chosen]


def short_path(path: Path) -> str:
    """A path with ``~`` for the home folder."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def models_folder() -> Path:
    """Where checkpoints are looked for beside the hub's cache."""
    return Folders.of_user().data / "models"


def hub_cache() -> Path:
    """Where downloads go."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _folders() -> Iterator[str]:
    folder = models_folder()
    if folder.is_dir():
        yield from (str(each) for each in sorted(folder.iterdir()) if each.is_dir())


def _hub_ids() -> Iterator[str]:
    for folder in sorted(hub_cache().glob("models--*--*")):
        yield folder.name.removeprefix("models--").replace("--", "/", 1)


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise CheckpointNotFoundError(tr("{folder} is not a folder", folder=folder))
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        text = tr("{folder} has no config.json; give the folder that holds it and the weights", folder=folder)
        raise CheckpointNotFoundError(text) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointFormatError(tr("{path} cannot be read", path=path), path=path) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "chatglm" or "padded_vocab_size" in config:
        shown = "chatglm2" if kind == "chatglm" else kind
        text = tr("{folder} holds a {kind} model; this program runs ChatGLM-6B only", folder=folder, kind=shown)
        raise CheckpointFormatError(text, path=path, key="model_type")
    if any(not isinstance(config.get(key), int) for key in _SIZES) or not _is_sound(config):
        raise CheckpointFormatError(tr("{path} cannot be read", path=path), path=path)
    return dict(config)


def _is_sound(config: Mapping[str, Any]) -> bool:
    """Whether what may be left out is as memory is counted from it."""
    numbers = (config.get(key) or 0 for key in _OPTIONAL_SIZES)
    return all(isinstance(number, int) for number in numbers) and (config.get("quantization_bit") or 8) in (4, 8)
