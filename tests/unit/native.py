"""What the tests of the compiled kernels share: every instruction set that this processor can be told to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.kernels.library import library, native
from chatglm_slim_llm.kernels.pages import Pages

needs_library = pytest.mark.skipif(library() is None, reason="the compiled kernels are not built")


def available_sets() -> list[str]:
    """Names of the instruction sets that this processor has."""
    if library() is None:
        return []
    before = native().chatglm_instruction_set(None)
    names = ("avx512", "avxvnni", "avx2", "neon", "portable")
    found = [n for n in names if native().chatglm_instruction_set(n.encode()).decode() == n]
    native().chatglm_instruction_set(before)
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stored(pages: Pages, layer: int) -> Tensor:
    """What lies in the pages, as native.h describes it: fp32 [2, heads, tokens, d]."""
    shape = pages.shape
    parts = torch.stack(pages._pages).view(
        -1, shape.layers, 2, shape.heads, shape.page_bytes // shape.layers // 2 // shape.heads
    )
    part = parts[:, layer]  # [pages, 2, heads, bytes]
    if shape.bits == 16:
        numbers = part.view(torch.float16).unflatten(-1, (64, shape.d)).float()
    else:
        levels, scales = part[..., :-256], part[..., -256:].contiguous().view(torch.float32)
        numbers = levels.view(torch.int8).unflatten(-1, (64, -1))[..., : shape.d] * scales[..., None]
    return numbers.movedim(0, 2).flatten(2, 3)


def kept(numbers: Tensor, bits: int) -> Tensor:
    """What is left of numbers [..., d]: halves, or multiples of a 127th of the largest among d."""
    if bits == 16:
        return numbers.half()
    most = numbers.abs().amax(-1, keepdim=True)
    return (numbers * (torch.full_like(most, 127) / most)).round() * (most / 127)  # 127 / most multiplies by 1 / most
