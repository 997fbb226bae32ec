"""States of the tokens of a prompt, on the compiled kernels, against transformers' own forward pass."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.model import ChatGLMForConditionalGeneration, read_states
from chatglm_slim_llm.network import states as states_module
from tests.unit.native import needs_library
from tests.unit.test_batched import PROMPTS, half_model


def finish(pieces: Generator[None, None, list[Tensor]]) -> list[Tensor]:
    while True:
        try:
            next(pieces)
        except StopIteration as done:
            return list(done.value)


def plain_states(model: ChatGLMForConditionalGeneration, prompt: Sequence[int]) -> Tensor:
    """The last hidden states of everything before <sop>."""
    with torch.inference_mode():
        output = model(torch.tensor([list(prompt)]), output_hidden_states=True)
    return output.hidden_states[-1][0, :-1].float()


@needs_library
@pytest.mark.parametrize("changes", [{}, {"position_variant": "v1.0"}, {"pre_seq_len": 70}], ids=str)
def test_states_equal_those_of_the_plain_forward_pass(instruction_set: Any, changes: dict[str, Any]) -> None:
    model = half_model(**changes)
    for prompt, states in zip(PROMPTS, finish(read_states(model, PROMPTS)), strict=True):
        torch.testing.assert_close(states, plain_states(model, prompt), rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("runs_on", ["kernels", "torch"])
def test_company_changes_no_bit_of_a_prompts_states(runs_on: str) -> None:
    model = half_model() if runs_on == "kernels" else half_model().float()
    alone = [finish(read_states(model, [prompt]))[0] for prompt in PROMPTS]
    together = finish(read_states(model, PROMPTS))
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


@needs_library
def test_the_size_of_the_pieces_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = half_model()
    expected = finish(read_states(model, PROMPTS))
    monkeypatch.setattr(states_module, "_PIECE_ROWS", 7)
    pieces = finish(read_states(model, PROMPTS))
    assert all(torch.equal(one, other) for one, other in zip(pieces, expected, strict=True))


def test_a_model_that_the_kernels_cannot_multiply_is_run_by_torch() -> None:
    model = half_model().float()
    for prompt, states in zip(PROMPTS, finish(read_states(model, PROMPTS)), strict=True):
        torch.testing.assert_close(states, plain_states(model, prompt))


def test_a_prompt_without_its_end_is_refused() -> None:
    with pytest.raises(ValueError, match="has no <sop>"):
        finish(read_states(half_model(), [[9, 8, 67]]))
