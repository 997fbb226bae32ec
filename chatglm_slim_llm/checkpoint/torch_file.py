"""``.bin`` shards: PyTorch's own format, read with ``weights_only=True`` and mapped, never run."""

from __future__ import annotations

import ctypes
import mmap
import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.errors import CheckpointFormatError


class TorchShard:
    """An open ``.bin`` file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_mapped = zipfile.is_zipfile(path)  # the format before torch 1.6 cannot be mapped
        self._tensors = _load(path, self._is_mapped)
        self.specs = {name: TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in self._tensors.items()}

    def read_rows(self, name: str, start: int, out: Tensor) -> None:
        """Fill ``out`` (CPU, contiguous, the stored dtype) with the rows from ``start`` on."""
        rows = self._tensors[name][start : start + len(out)]
        out.copy_(rows)
        if self._is_mapped:
            _forget_pages(rows)

    def close(self) -> None:
        """Unmap the file."""
        self._tensors = {}


def _load(path: Path, is_mapped: bool) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # about what is then refused
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except pickle.UnpicklingError as error:
        raise CheckpointFormatError(_refusal(path), path=path) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise CheckpointFormatError(
            f"{path} cannot be read as a PyTorch file; it is damaged or truncated, fetch it again", path=path
        ) from error
    return _want_tensors(content, path)


def _refusal(path: Path) -> str:
    with path.open("rb") as file:
        looks_pickled = file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    if looks_pickled:
        return (
            f"{path} holds Python objects other than tensors, or is damaged; it was refused and nothing in it was run. "
            "Get the checkpoint from a source you trust, as safetensors if there is one"
        )
    return f"{path} is not a PyTorch file; fetch it again"


def _want_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointFormatError(
            f"{path} holds no plain mapping from names to tensors; save the model's state_dict() itself", path=path
        )
    return {str(name): tensor.detach() for name, tensor in content.items()}


def _forget_pages(tensor: Tensor) -> None:
    """Give mapped pages back to the system, or they count beside the result; they can be read again."""
    if sys.platform != "linux" or not tensor.is_contiguous():
        return
    page = mmap.PAGESIZE
    begin = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - begin
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
