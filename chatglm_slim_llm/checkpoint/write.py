"""Writing a checkpoint: into a hidden folder beside the target, renamed when all of it is on the disk.

Until the last rename there is no target, and whatever goes wrong before it (Ctrl-C and a full
disk included) leaves nothing behind.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from torch import Tensor

from chatglm_slim_llm.checkpoint.files import Shard, Weights, open_shard
from chatglm_slim_llm.checkpoint.progress import Meter, Progress
from chatglm_slim_llm.checkpoint.safetensors_file import SafetensorsWriter, TensorSpec
from chatglm_slim_llm.errors import CheckpointError

MAX_SHARD_BYTES = 2 * 10**9
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_COPIED = ("ice_text.model", "tokenizer_config.json", "generation_config.json", "LICENSE", "MODEL_LICENSE")
"""What goes along with the weights. Never code: a checkpoint is data."""


class Conversion(Protocol):
    """What becomes of a tensor on its way from one checkpoint to another."""

    def outputs(self, spec: TensorSpec) -> Sequence[TensorSpec]:
        """The tensors written for this one."""

    def convert(self, shard: Shard, spec: TensorSpec) -> Iterator[tuple[str, Tensor]]:
        """Yield their contents piece by piece, as (name, rows)."""


@contextmanager
def new_folder(target: Path, needed_bytes: int) -> Iterator[Path]:
    """Give a hidden folder beside ``target`` that becomes ``target`` when the block ends well.

    Raises:
        CheckpointError: the target holds something, cannot be written, or the disk is full.
    """
    target = target.expanduser().resolve()
    refuse_existing(target)
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _want_room(target, needed_bytes)
        work.mkdir()
        yield work
        _sync_files(work)
        if target.exists():
            target.rmdir()  # empty, as seen above; Windows does not rename onto it
        work.rename(target)
        _sync(target.parent)
    except BaseException as error:  # Ctrl-C too
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, CheckpointError):
            raise _explain(error, target, needed_bytes) from error
        raise


def refuse_existing(target: Path) -> None:
    """Raise if something is already where a checkpoint is to be written."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        raise CheckpointError(f"{target} already exists and is not an empty folder; give a new name or remove it first")


def convert_weights(
    weights: Weights, folder: Path, conversion: Conversion, *, what: str, progress: Progress | None
) -> None:
    """Write every tensor of ``weights`` into ``folder``, converted, as safetensors shards with their index."""
    plan = _plan_shards(weights, conversion)
    meter = Meter(progress, what, sum(spec.size_bytes for spec in weights.specs.values()))
    weight_map: dict[str, str] = {}
    for number, (source, specs) in enumerate(plan, start=1):
        name = "model.safetensors" if len(plan) == 1 else f"model-{number:05}-of-{len(plan):05}.safetensors"
        outputs = [output for spec in specs for output in conversion.outputs(spec)]
        with open_shard(source) as shard, closing(SafetensorsWriter(folder / name, outputs)) as writer:
            for spec in specs:
                for output_name, rows in conversion.convert(shard, spec):
                    writer.write(output_name, rows)
                meter.advance(spec.size_bytes)
            writer.finish()
        weight_map |= {output.name: name for output in outputs}
    if len(plan) > 1:
        index = {"metadata": {"total_size": output_bytes(weights, conversion)}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def output_bytes(weights: Weights, conversion: Conversion) -> int:
    """Bytes of all tensors after the conversion."""
    return sum(output.size_bytes for spec in weights.specs.values() for output in conversion.outputs(spec))


def copy_companions(source: Path, folder: Path) -> None:
    """Copy the tokenizer, the generation settings and the licence."""
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _plan_shards(weights: Weights, conversion: Conversion) -> list[tuple[Path, list[TensorSpec]]]:
    """One shard for each of the source's, cut where it would grow too large; so each source is opened in turn."""
    plan: list[tuple[Path, list[TensorSpec]]] = []
    for path, specs in weights.shards.items():
        size_bytes = MAX_SHARD_BYTES
        for spec in specs.values():
            size = sum(output.size_bytes for output in conversion.outputs(spec))
            if size_bytes + size > MAX_SHARD_BYTES:
                plan.append((path, []))
                size_bytes = 0
            plan[-1][1].append(spec)
            size_bytes += size
    return plan


def _want_room(target: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < needed_bytes:
        raise CheckpointError(
            f"{target} needs {_size(needed_bytes)}, but only {_size(free_bytes)} are free there; "
            "free some space or choose another disk"
        )


def _explain(error: OSError, target: Path, needed_bytes: int) -> CheckpointError:
    if error.errno in _NO_ROOM:
        return CheckpointError(
            f"{target}: the disk is full or a file may not grow further; {_size(needed_bytes)} are needed. "
            "Nothing was left there; free some space and try again"
        )
    return CheckpointError(f"{target} could not be written: {error}; nothing was left there")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 10**8 else f"{size_bytes / 1e6:.1f} MB"


def _sync_files(folder: Path) -> None:
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle for that
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
