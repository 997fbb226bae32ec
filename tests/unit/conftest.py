"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatglm_slim_llm.kernels.library import native
from tests.unit.native import available_sets


@pytest.fixture(params=available_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once with each instruction set."""
    before = native().chatglm_instruction_set(None)
    native().chatglm_instruction_set(request.param.encode())
    yield request.param
    native().chatglm_instruction_set(before)
