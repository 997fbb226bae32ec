"""The compiled kernels: found, loaded once, called through ctypes.

The library links neither torch nor Python. It uses OpenMP by the name under which torch has loaded it already, so both
share one pool of threads; `shares_threads_with_torch` verifies it. Where there is no library (no C++ compiler
at installation, another processor, ``CHATGLM_SLIM_KERNELS=torch``) everything runs on torch alone, slower.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_int64, c_uint64, c_void_p
from functools import cache
from pathlib import Path

import torch  # loads OpenMP before the library asks for it
from torch import Tensor

VARIABLE = "CHATGLM_SLIM_KERNELS"
"""Chooses an instruction set (``avx512``, ``avxvnni``, ``avx2``, ``neon``, ``portable``), ``torch`` to leave the
library alone, or another library by its path."""
_WITHOUT = "torch"
_VERSION = 6
"""Of the functions and layouts; a library left over from an older checkout has another."""


class WeightStruct(ctypes.Structure):
    """`Weight` of native.h: a weight matrix in one of the library's formats."""

    _fields_ = (
        ("data", c_void_p),
        ("scale", c_void_p),
        ("group_scale", c_void_p),
        ("n", c_int64),
        ("k", c_int64),
        ("group", c_int64),
        ("bits", c_int64),
        ("low", c_void_p),
        ("shortlist", c_int64),
    )


class DenseStruct(ctypes.Structure):
    """`Dense` of native.h: a linear layer."""

    _fields_ = (("weight", WeightStruct), ("bias", c_void_p))


class NormStruct(ctypes.Structure):
    """`Norm` of native.h: a LayerNorm."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p), ("eps", c_float))


class BlockStruct(ctypes.Structure):
    """`BlockWeights` of native.h: what one block of a model is made of."""

    _fields_ = (
        ("input", NormStruct),
        ("middle", NormStruct),
        ("query_key_value", DenseStruct),
        ("dense", DenseStruct),
        ("up", DenseStruct),
        ("down", DenseStruct),
        ("alpha", c_float),
    )


class RowsStruct(ctypes.Structure):
    """`Rows` of native.h: where the rows of a forward pass stand in their sequences."""

    _fields_ = (("count", c_int64), ("tables", c_void_p), ("place", c_void_p), ("visible", c_void_p))


class HeadsStruct(ctypes.Structure):
    """`Heads` of native.h: one attention layer."""

    _fields_ = (("layer", c_int64), ("heads", c_int64), ("d", c_int64), ("bits", c_int64))


_WEIGHT, _ROWS, _HEADS = POINTER(WeightStruct), POINTER(RowsStruct), POINTER(HeadsStruct)
_BLOCKS = POINTER(BlockStruct)
_SIGNATURES = {
    "chatglm_instruction_set": (c_char_p, (c_char_p,)),
    "chatglm_version": (c_int64, ()),
    "chatglm_max_threads": (c_int, ()),
    "chatglm_page_tokens": (c_int64, ()),
    "chatglm_page_bytes": (c_int64, (_HEADS,)),
    "chatglm_padded_columns": (c_int64, (c_int64, c_int64)),
    "chatglm_linear": (c_int, (_WEIGHT, c_void_p, c_int64, c_void_p, c_void_p, c_int)),
    "chatglm_quantize": (None, (c_void_p, c_int64, c_int64, c_int64, c_int64, c_void_p, c_void_p, c_int)),
    "chatglm_pack": (None, (c_void_p, c_int64, c_int64, c_int64, c_int64, c_void_p, c_int)),
    "chatglm_pack_planes": (None, (c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_int)),
    "chatglm_rows_of": (None, (_WEIGHT, c_void_p, c_int64, c_void_p, c_int)),
    "chatglm_store": (None, (_ROWS, _HEADS, c_void_p, c_void_p, c_void_p, c_void_p, c_int)),
    "chatglm_attend_rows": (c_int, (_ROWS, _HEADS, c_void_p, c_void_p, c_int)),
    "chatglm_attend_context": (c_int, (_ROWS, _HEADS, c_void_p, c_void_p, c_int)),
    "chatglm_blocks": (c_int, (_BLOCKS, c_int64, _ROWS, _HEADS, c_void_p, c_void_p, c_void_p, c_int)),
    "chatglm_layer_norm": (
        None,
        (c_void_p, c_void_p, c_void_p, c_float, c_int64, c_int64, c_void_p, c_int),
    ),
    "chatglm_gelu": (None, (c_void_p, c_int64, c_int)),
    "chatglm_scale_add": (None, (c_void_p, c_float, c_void_p, c_int64, c_int)),
    "chatglm_read_all": (c_uint64, (c_void_p, c_int64, c_int)),
    "chatglm_dot_peak": (c_int64, (c_int64, c_int64, c_int)),
}


@cache
def library() -> ctypes.CDLL | None:
    """The library with its functions' types declared, or None if torch has to do everything."""
    path = _find()
    if is_switched_off() or path is None:
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):  # built for another system, or left over from another version
        return None
    if loaded.chatglm_version() != _VERSION:
        return None
    loaded.chatglm_instruction_set(os.environ.get(VARIABLE, "").encode())
    return loaded


def native() -> ctypes.CDLL:
    """The library, where what is asked for exists only with it."""
    found = library()
    assert found is not None, "packed weights and pages exist only where the compiled kernels do"
    return found


def instruction_set() -> str:
    """``avx512``, ``avxvnni``, ``avx2``, ``neon`` or ``portable``; ``torch`` without the library."""
    loaded = library()
    return _WITHOUT if loaded is None else loaded.chatglm_instruction_set(None).decode()


def is_switched_off() -> bool:
    """Whether the user wants torch to do everything."""
    return os.environ.get(VARIABLE) == _WITHOUT


def ignored_choice() -> str | None:
    """The instruction set that the user wants and does not get, as this machine or the library lacks it; or None."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted or os.sep in wanted or wanted in (_WITHOUT, instruction_set()) or library() is None:
        return None
    return wanted


def why_not() -> str | None:
    """Why the library is not used, in words for `doctor`; None if it is."""
    if library() is not None:
        return None
    if is_switched_off():
        return f"{VARIABLE} is {_WITHOUT}"
    if _find() is not None:
        return "they are of another version or cannot be loaded on this system; install the package again"
    return (
        "they were not built at installation, which takes a C++ compiler with OpenMP (g++, or clang++ with libomp); "
        "install one, then this package again"
    )


def shares_threads_with_torch() -> bool:
    """Whether torch and the library use one OpenMP: two would fight for the cores."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        return int(native().chatglm_max_threads()) == before + 1
    finally:
        torch.set_num_threads(before)


def runs_natively(*tensors: Tensor) -> bool:
    """Whether the library can take these: fp32 on the processor, and nobody wants gradients."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors) and library() is not None


def check(status: int) -> None:
    """Raise MemoryError if a kernel could not get its scratch memory."""
    if status:
        raise MemoryError("the kernels could not get memory for their intermediate results")


def _find() -> Path | None:
    if os.sep in (given := os.environ.get(VARIABLE, "")):
        return Path(given)
    path = Path(__file__).with_name("_native.so")
    return path if path.is_file() else None
