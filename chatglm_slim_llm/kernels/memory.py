"""Memory for weights and for the results of products, in pages that the processor finds quickly.

Weights are read from end to end for every token. With pages of 4 KiB the processor spends a sixth of that time on
looking up addresses; with 2 MiB pages next to none (39 against 47 GB/s on two cores). Linux gives large pages to
anonymous memory on request, not to files, so weights are read into memory and not mapped.
"""

from __future__ import annotations

import math
import mmap
import weakref
from contextlib import suppress
from ctypes import Array, c_byte

import torch
from torch import Tensor

_HUGE_PAGE = 2**21


def empty_huge(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on large pages if it fills some; it goes back to the system with its last reference.

    Raises:
        MemoryError: the system has not so much; an OSError would be taken for a file that cannot be read.
    """
    size_bytes = math.prod(shape) * dtype.itemsize
    if not _fills_a_page(size_bytes):
        return torch.empty(shape, dtype=dtype)
    return _tensor_in(_map(size_bytes), shape, dtype)


class Results:
    """Mappings for results of products; each serves a later result when the tensor in it is gone.

    A prompt has results of 20 MB, thousands of them one after the other. The system would hand out and take back the
    pages of each, which costs a prompt 2 % of its time. Threads share what is unused: each step here is one operation
    on a list, which the interpreter does not interrupt.
    """

    def __init__(self) -> None:
        self._unused: list[mmap.mmap] = []

    def empty(self, shape: tuple[int, ...]) -> Tensor:
        """An uninitialised fp32 tensor."""
        size_bytes = math.prod(shape) * torch.float32.itemsize
        if not _fills_a_page(size_bytes) or size_bytes > _LARGEST_RESULT_BYTES:
            return torch.empty(shape, dtype=torch.float32)
        memory = self._take(size_bytes)
        lent = (c_byte * len(memory)).from_buffer(memory)  # lives as long as the tensor's storage
        weakref.finalize(lent, self._give_back, memory).atexit = False
        return _tensor_in(lent, shape, torch.float32)

    def _take(self, size_bytes: int) -> mmap.mmap:
        for memory in sorted(self._unused, key=len):
            if size_bytes <= len(memory) <= 2 * size_bytes:  # a small result would keep a large mapping from others
                with suppress(ValueError):  # another thread took it meanwhile
                    self._unused.remove(memory)
                    return memory
        return _map(size_bytes)

    def _give_back(self, memory: mmap.mmap) -> None:
        self._unused.append(memory)
        while sum(map(len, self._unused)) > _MOST_UNUSED_BYTES:
            del self._unused[:1]  # no error if another thread took it meanwhile


_LARGEST_RESULT_BYTES = 2**25
"""Up to here results are worth it; the widest of a piece of a prompt is 320 x 16,384 numbers."""
_MOST_UNUSED_BYTES = 2**25
_results = Results()


def empty_result(shape: tuple[int, ...]) -> Tensor:
    """An uninitialised fp32 tensor for a result that lives for a moment.

    Raises:
        MemoryError: the system has not so much.
    """
    return _results.empty(shape)


def _fills_a_page(size_bytes: int) -> bool:
    return size_bytes >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE")


def _map(size_bytes: int) -> mmap.mmap:
    whole_bytes = -(-size_bytes // _HUGE_PAGE) * _HUGE_PAGE
    try:
        memory = mmap.mmap(-1, whole_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"the system gives no {whole_bytes:,} bytes of memory ({error.strerror})") from error
    with suppress(OSError):  # a kernel without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _tensor_in(memory: mmap.mmap | Array[c_byte], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    storage = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
    strides = torch.empty(shape, device="meta").stride()
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape, strides)  # no view of another tensor
