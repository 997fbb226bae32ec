"""The safetensors format: one JSON header, then the bytes of every tensor.

    8 bytes     length of the header, little endian
    header      {"name": {"dtype": "F16", "shape": [...], "data_offsets": [begin, end]}, ...}
    data        offsets count from here

Files are read with plain reads straight into the memory of the tensor that is wanted. Mapped
pages would count, and stay, beside the result.
"""

from __future__ import annotations

import json
import math
import operator
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatglm_slim_llm.errors import CheckpointFormatError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

_MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""


@dataclass(frozen=True)
class TensorSpec:
    """What a checkpoint says about a tensor before its data is read."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one step along the first dimension."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class SafetensorsShard:
    """An open safetensors file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        try:
            self._data_start, header = _read_header(self._file, path)
            size = path.stat().st_size - self._data_start
            found = [_parse_entry(name, entry, size, path) for name, entry in header.items() if name != "__metadata__"]
        except BaseException:
            self._file.close()
            raise
        self.specs = {spec.name: spec for spec, _ in found}
        self._offsets = {spec.name: begin for spec, begin in found}

    def read_rows(self, name: str, start: int, out: Tensor) -> None:
        """Fill ``out`` (CPU, contiguous, the stored dtype) with the rows from ``start`` on."""
        begin = self._data_start + self._offsets[name] + start * self.specs[name].row_bytes
        self._file.seek(begin)
        memory = tensor_bytes(out)
        done = 0
        while done < len(memory):
            count = self._file.readinto(memory[done:])
            if not count:
                raise _truncated(self.path, begin + len(memory), begin + done)
            done += count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SafetensorsWriter:
    """A safetensors file that is being written, tensors in any order and piece by piece."""

    def __init__(self, path: Path, specs: Iterable[TensorSpec]) -> None:
        header, self._cursors = _build_header(specs)
        self._file = path.open("xb", buffering=0)
        self._write_at(0, memoryview(header))

    def write(self, name: str, piece: Tensor) -> None:
        """Append the bytes of ``piece`` to what is already there of this tensor."""
        memory = tensor_bytes(piece)
        position, end = self._cursors[name]
        assert position + len(memory) <= end, f"{name} is longer than announced"
        self._write_at(position, memory)
        self._cursors[name] = (position + len(memory), end)

    def finish(self) -> None:
        """See the bytes onto the disk."""
        assert all(position == end for position, end in self._cursors.values()), "a tensor was not written to its end"
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _write_at(self, position: int, memory: memoryview) -> None:
        self._file.seek(position)
        while memory:
            memory = memory[self._file.write(memory) :]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor."""
    return tensor.detach().view(-1).view(torch.uint8).numpy().data


def _read_header(file: Any, path: Path) -> tuple[int, dict[str, Any]]:
    prefix = file.read(8)
    if len(prefix) < 8:
        raise _truncated(path, 8, len(prefix))
    (length,) = struct.unpack("<Q", prefix)
    size = path.stat().st_size
    if length > _MAX_HEADER_BYTES:
        raise CheckpointFormatError(
            f"{path} is not a safetensors file: it does not start with the length of a header; fetch it again",
            path=path,
        )
    if 8 + length > size:
        raise _truncated(path, 8 + length, size)
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise CheckpointFormatError(f"{path}: the safetensors header is not JSON; fetch it again", path=path) from error
    if not isinstance(header, dict):
        raise CheckpointFormatError(f"{path}: the safetensors header is not an object; fetch it again", path=path)
    return 8 + length, header


def _parse_entry(name: str, entry: Any, data_bytes: int, path: Path) -> tuple[TensorSpec, int]:
    try:
        spec = TensorSpec(name, DTYPES[entry["dtype"]], tuple(operator.index(n) for n in entry["shape"]))
        begin, end = (operator.index(offset) for offset in entry["data_offsets"])
        fits = 0 <= begin <= end and end - begin == spec.size_bytes and all(n >= 0 for n in spec.shape)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointFormatError(
            f"{path}: the header's entry for {name!r} is not understood; fetch the file again", path=path, key=name
        ) from error
    if not fits:
        raise CheckpointFormatError(
            f"{path}: {name!r} has bytes {begin} to {end}, but its shape {list(spec.shape)} needs {spec.size_bytes}; "
            "fetch the file again",
            path=path,
            key=name,
        )
    if end > data_bytes:
        raise _truncated(path, path.stat().st_size - data_bytes + end, path.stat().st_size, key=name)
    return spec, begin


def _truncated(path: Path, expected_bytes: int, found_bytes: int, key: str | None = None) -> CheckpointFormatError:
    return CheckpointFormatError(
        f"{path} is truncated: it has {found_bytes:,} bytes and needs at least {expected_bytes:,}; fetch it again",
        path=path,
        key=key,
    )


def _build_header(specs: Iterable[TensorSpec]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """The header with its length, and where each tensor begins and ends in the file."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    spans: dict[str, tuple[int, int]] = {}
    end = 0
    for spec in sorted(specs, key=lambda spec: -spec.dtype.itemsize):  # widest first keeps every tensor aligned
        begin, end = end, end + spec.size_bytes
        spans[spec.name] = (begin, end)
        entries[spec.name] = {"dtype": _NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return struct.pack("<Q", len(text)) + text, {name: (start + a, start + b) for name, (a, b) in spans.items()}
