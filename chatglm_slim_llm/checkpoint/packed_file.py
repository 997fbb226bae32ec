"""The packed form of a large checkpoint, kept in the program's cache, so that the next start only reads it.

One safetensors file for each checkpoint and level. Its name tells which files it was made from, with their sizes and
times, and in which format; a checkpoint that has changed is packed again and its old copy removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import torch

from chatglm_slim_llm.checkpoint.files import Weights, check_finite
from chatglm_slim_llm.checkpoint.packing import Packing, allocate
from chatglm_slim_llm.checkpoint.progress import Meter, Progress
from chatglm_slim_llm.checkpoint.safetensors_file import SafetensorsShard, SafetensorsWriter, TensorSpec
from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.errors import CheckpointFormatError
from chatglm_slim_llm.network import Network

_FORMAT = 4
"""Counts the changes of the packed layout and of how weights are quantised; copies of another count are not used."""
_WORTH_KEEPING_BYTES = 2**28
"""Smaller models are packed in less time than a file costs attention."""

_log = logging.getLogger(__name__)


def packed_folder() -> Path:
    """Where packed checkpoints are kept."""
    return Folders.of_user().cache / "packed"


def fill_packed(model: Network, weights: Weights, packing: Packing, progress: Progress | None) -> None:
    """Fill a model from its packed copy, or from the checkpoint, of which a copy is then kept.

    Raises:
        CheckpointFormatError: a tensor of the checkpoint is damaged.
    """
    path = _path_of(weights, packing)
    if _read(path, model, progress):
        return
    packing.fill(model, weights, progress)
    if sum(tensor.nbytes for tensor in _tensors(model).values()) >= _WORTH_KEEPING_BYTES:
        _keep(model, path, progress)


def _path_of(weights: Weights, packing: Packing) -> Path:
    """``<checkpoint>-<level>-<fingerprint>.safetensors``; the first two parts stay when the files change."""
    source = hashlib.sha256(os.fsencode(weights.folder.resolve())).hexdigest()[:16]
    files = [(path.name, stat.st_size, stat.st_mtime_ns) for path in weights.shards for stat in (path.stat(),)]
    facts = {"format": _FORMAT, "files": files, "blocks": asdict(packing.blocks), "head": asdict(packing.head)}
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return packed_folder() / f"{source}-int{packing.blocks.bits}-{fingerprint}.safetensors"


def _tensors(model: Network) -> dict[str, torch.Tensor]:
    """Every tensor of the model once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def _read(path: Path, model: Network, progress: Progress | None) -> bool:
    """Fill the model from a packed copy; False if there is none or it is damaged, which costs time only."""
    try:
        with closing(SafetensorsShard(path)) as shard:
            allocate(model)
            tensors = _tensors(model)
            specs = {name: (spec.dtype, spec.shape) for name, spec in shard.specs.items()}
            if specs != {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}:
                raise CheckpointFormatError(f"{path} holds other tensors than this model", path=path)
        _read_tensors(path, tensors, progress)
    except (FileNotFoundError, NotADirectoryError):  # or another process has just removed it
        return False
    except (OSError, CheckpointFormatError) as error:
        _log.warning("the packed copy %s is not used and made again: %s", path, error)
        return False
    return True


def _read_tensors(path: Path, tensors: dict[str, torch.Tensor], progress: Progress | None) -> None:
    meter = Meter(progress, "reading packed weights", sum(tensor.nbytes for tensor in tensors.values()))

    def read(name: str) -> int:
        with closing(SafetensorsShard(path)) as shard:
            shard.read_rows(name, 0, tensors[name])
        check_finite(tensors[name], name, path)  # the kernels rely on it
        return tensors[name].nbytes

    # A file that the system still has in memory comes as fast as the threads that copy it.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for size_bytes in pool.map(read, sorted(tensors, key=lambda name: -tensors[name].nbytes)):
            meter.advance(size_bytes)


def _keep(model: Network, path: Path, progress: Progress | None) -> None:
    """Write the packed copy beside its place and rename it; without room for it, do without."""
    tensors = _tensors(model)
    needed_bytes = sum(tensor.nbytes for tensor in tensors.values())
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_old(path)
        if shutil.disk_usage(path.parent).free < 2 * needed_bytes:
            _log.warning("no packed copy is kept in %s: the disk is nearly full", path.parent)
            return
        _write(tensors, partial, Meter(progress, "keeping the packed weights", needed_bytes))
        partial.rename(path)
    except OSError as error:
        _log.warning("no packed copy is kept: %s cannot be written (%s)", path, error)
    finally:
        with suppress(OSError):
            partial.unlink()


def _write(tensors: dict[str, torch.Tensor], path: Path, meter: Meter) -> None:
    specs = [TensorSpec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()]
    with closing(SafetensorsWriter(path, specs)) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
            meter.advance(tensor.nbytes)
        writer.finish()


def _remove_old(path: Path) -> None:
    """Remove copies of an earlier state of the same checkpoint and level, and what a killed process left of one."""
    stem = path.name.rpartition("-")[0]
    an_hour_ago = time.time() - 3600  # a younger part may be another process's work
    parts = path.parent.glob(f".{stem}-*.partial")
    with suppress(OSError):
        for old in (*path.parent.glob(f"{stem}-*.safetensors"), *(p for p in parts if p.stat().st_mtime < an_hour_ago)):
            old.unlink()
