"""What the tests of the compiled kernels share: every instruction set that this processor can be told to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from chatglm_slim_llm.kernels.library import library, native

needs_library = pytest.mark.skipif(library() is None, reason="the compiled kernels are not built")


def available_sets() -> list[str]:
    """Names of the instruction sets that this processor has."""
    if library() is None:
        return []
    before = native().chatglm_instruction_set(None)
    names = ("avx512", "avx2", "neon", "portable")
    found = [n for n in names if native().chatglm_instruction_set(n.encode()).decode() == n]
    native().chatglm_instruction_set(before)
    return found


@pytest.fixture(params=available_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once with each instruction set."""
    before = native().chatglm_instruction_set(None)
    native().chatglm_instruction_set(request.param.encode())
    yield request.param
    native().chatglm_instruction_set(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
