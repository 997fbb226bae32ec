"""The files of a checkpoint folder: which there are, what they hold, and reading them shard by shard.

Nothing here knows what a tensor is for; ``layout.py`` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint.safetensors_file import SafetensorsShard, TensorSpec
from chatglm_slim_llm.checkpoint.torch_file import TorchShard
from chatglm_slim_llm.errors import CheckpointError, CheckpointFormatError, CheckpointNotFoundError

_SINGLE_OR_INDEX = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_LFS_POINTER = b"version https://git-lfs"
_CHUNK_BYTES = 2**23
"""Bytes read, checked and converted at a time. From 32 MiB on every temporary is fresh memory from the system, which
makes quantising half as fast; far less, and threads wait for each other."""


class Shard(Protocol):
    """One open weights file."""

    path: Path
    specs: dict[str, TensorSpec]

    def read_rows(self, name: str, start: int, out: Tensor) -> None:
        """Fill ``out`` (CPU, contiguous, the stored dtype) with the rows from ``start`` on."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True)
class Weights:
    """What the weights files of a folder hold, before any data is read."""

    folder: Path
    shards: Mapping[Path, Mapping[str, TensorSpec]]
    """Shards in order, each with its tensors."""

    @property
    def specs(self) -> dict[str, TensorSpec]:
        """Every tensor of the checkpoint."""
        return {name: spec for specs in self.shards.values() for name, spec in specs.items()}

    def path_of(self, name: str) -> Path:
        """The shard that holds a tensor."""
        return next(path for path, specs in self.shards.items() if name in specs)


def list_weights(folder: Path) -> Weights:
    """Find a folder's weights and read what they promise, not their data.

    Raises:
        CheckpointNotFoundError: there are no weights, or the index names a shard that is not there.
        CheckpointFormatError: a file is damaged, truncated, refused or a git-lfs pointer.
    """
    start = _find_start(folder)
    if start.suffix != ".json":
        return Weights(folder, {start: _list_shard(start)})
    weight_map = _read_weight_map(start)
    shards = {}
    for path in _shard_paths(start, weight_map):
        specs = _list_shard(path)
        shards[path] = {name: spec for name, spec in specs.items() if weight_map.get(name, path.name) == path.name}
    _check_index(start, weight_map, shards)
    return Weights(folder, shards)


@contextmanager
def open_shard(path: Path) -> Iterator[Shard]:
    """Open a weights file of either format; it is released when the block ends."""
    refuse_lfs_pointer(path)
    shard: Shard = SafetensorsShard(path) if path.suffix == ".safetensors" else TorchShard(path)
    with closing(shard):
        yield shard


def row_blocks(spec: TensorSpec, first_row: int = 0) -> Iterator[slice]:
    """Cut a tensor into blocks of rows of a handy size; whole panels of 16, as packed weights want them."""
    step = max(1, _CHUNK_BYTES // max(1, spec.row_bytes) // 16) * 16
    for row in range(first_row, spec.shape[0], step):
        yield slice(row, min(row + step, spec.shape[0]))


def read_in_chunks(shard: Shard, spec: TensorSpec, first_row: int = 0) -> Iterator[tuple[slice, Tensor]]:
    """Yield a tensor block by block as (rows, contents); the memory is used again for the next block."""
    buffer = torch.empty(0, dtype=spec.dtype)
    for rows in row_blocks(spec, first_row):
        if not len(buffer):
            buffer = torch.empty(rows.stop - rows.start, *spec.shape[1:], dtype=spec.dtype)
        chunk = buffer[: rows.stop - rows.start]
        shard.read_rows(spec.name, rows.start, chunk)
        yield rows, chunk


def refuse_lfs_pointer(path: Path) -> None:
    """Raise if a file cannot be opened, or is the few lines that git leaves where git-lfs is not installed."""
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; see who owns it and may read it") from error
    if is_pointer:
        raise CheckpointFormatError(
            f"{path} is a git-lfs pointer, not the file itself; run `git lfs install` and `git lfs pull` in "
            f"{path.parent}, or fetch the checkpoint with `chatglm-slim pull`",
            path=path,
        )


def check_finite(values: Tensor, name: str, path: Path) -> None:
    """Raise if a floating-point tensor holds NaN or infinity."""
    if values.numel() and values.is_floating_point():
        lowest, highest = torch.aminmax(values)  # both are NaN where any number is; as fast as memory
        if not (torch.isfinite(lowest) and torch.isfinite(highest)):
            raise CheckpointFormatError(
                f"{path}: {name!r} holds NaN or infinite numbers (or numbers too large for fp16); "
                "the file is damaged or its training diverged, take another checkpoint",
                path=path,
                key=name,
            )


def _find_start(folder: Path) -> Path:
    for name in _SINGLE_OR_INDEX:
        if (folder / name).is_file():
            return folder / name
    lone = sorted(p.name for pattern in ("*.safetensors", "*.bin") for p in folder.glob(pattern))
    if lone:
        raise CheckpointNotFoundError(
            f"{folder} has {lone[0]} but neither {_SINGLE_OR_INDEX[0]} nor an index of its shards "
            "(model.safetensors.index.json or pytorch_model.bin.index.json); fetch the index too"
        )
    raise CheckpointNotFoundError(
        f"{folder} holds no weights; expected one of {', '.join(_SINGLE_OR_INDEX)}. "
        "Fetch them with `chatglm-slim pull` or give another folder"
    )


def _read_weight_map(index: Path) -> dict[str, str]:
    refuse_lfs_pointer(index)
    try:
        weight_map: Any = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        plain = all(isinstance(name, str) and Path(name).name == name for name in weight_map.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointFormatError(
            f"{index} is not an index of shards: no readable weight_map; fetch it again", path=index
        ) from error
    if not plain or not weight_map:
        raise CheckpointFormatError(
            f"{index}: weight_map must map tensor names to files of the same folder; fetch it again", path=index
        )
    return dict(weight_map)


def _shard_paths(index: Path, weight_map: Mapping[str, str]) -> list[Path]:
    paths = [index.parent / name for name in sorted(set(weight_map.values()))]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise CheckpointNotFoundError(
            f"{index.parent}: {len(missing)} of {len(paths)} shards are missing, first {missing[0]}; "
            "fetch them, for example with `chatglm-slim pull`"
        )
    return paths


def _list_shard(path: Path) -> dict[str, TensorSpec]:
    with open_shard(path) as shard:
        return shard.specs


def _check_index(index: Path, weight_map: Mapping[str, str], shards: Mapping[Path, Mapping[str, TensorSpec]]) -> None:
    for name, file_name in weight_map.items():
        path = index.parent / file_name
        if name not in shards[path]:
            raise CheckpointFormatError(
                f"{index.name} promises {name!r} in {file_name}, which does not hold it; "
                "the index and the shards are of different checkpoints, fetch them again",
                path=path,
                key=name,
            )
