"""Sampling against the original's numbers and against a slow plain reading of what each option means."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine.sampling import Sampler, fix_invalid, sample_probs
from chatglm_slim_llm.errors import GenerationError

EXPECTED = Path(__file__).parents[1] / "data" / "reference" / "expected"
NUMBERS: dict[str, Any] = json.loads((EXPECTED / "sampler.json").read_text("utf-8"))
PLAIN = GenerationOptions(temperature=1, top_k=0, top_p=1)


@pytest.fixture(scope="module")
def rows() -> dict[str, Tensor]:
    return load_file(EXPECTED / "sampler.safetensors")


@pytest.mark.parametrize("case", NUMBERS["cases"], ids=lambda case: f"{case['row']}-{case['config']}")
def test_probabilities_are_those_of_the_original(case: dict[str, Any], rows: dict[str, Tensor]) -> None:
    options = GenerationOptions(**NUMBERS["configs"][case["config"]])
    probs = sample_probs(rows[f"logits.{case['row']}"], NUMBERS["repetition_penalty_ids"], options)
    if case["row"] == "uniform":  # every score ties: how many survive is known, which ones is not
        assert abs(int((probs > 0).sum()) - case["kept"]) <= 1
        assert float(probs.sum()) == pytest.approx(1)
    else:
        torch.testing.assert_close(probs, rows[f"probs.{case['row']}.{case['config']}"], atol=1e-5, rtol=0)


def test_a_temperature_of_zero_is_greedy() -> None:
    probs = sample_probs(torch.tensor([0.1, 3.0, 2.9]), [], GenerationOptions(temperature=0))
    assert probs.tolist() == [0, 1, 0]


def test_the_repetition_penalty_also_holds_for_greedy() -> None:
    options = GenerationOptions(temperature=0, repetition_penalty=2)
    assert Sampler(options, [1]).pick(torch.tensor([2.0, 3.0])) == 0


def test_the_repetition_penalty_counts_what_the_reply_has_said() -> None:
    sampler = Sampler(GenerationOptions(temperature=0, repetition_penalty=2))
    assert [sampler.pick(torch.tensor([2.0, 3.0, 2.5])) for _ in range(3)] == [1, 2, 0]


def test_negative_scores_are_multiplied_by_the_repetition_penalty() -> None:
    options = GenerationOptions(temperature=1, top_k=0, top_p=1, repetition_penalty=2)
    probs = sample_probs(torch.tensor([-1.0, -1.0]), [0, 0], options)
    assert float(probs[1] / probs[0]) == pytest.approx(math.e)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_invalid_score_forces_a_blank(bad: float) -> None:
    logits = torch.zeros(20)
    logits[3] = bad
    assert fix_invalid(logits).tolist() == [0] * 5 + [5e4] + [0] * 14
    assert Sampler(GenerationOptions(seed=0)).pick(logits) == 5


def test_minus_infinity_only_forbids_a_token() -> None:
    logits = torch.tensor([1.0, -torch.inf, 2.0, 0.0, 0.0, 0.0])
    assert fix_invalid(logits).equal(logits)
    assert sample_probs(logits, [], PLAIN)[1] == 0


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_row_without_a_single_number_means_broken_weights(bad: float) -> None:
    with pytest.raises(GenerationError, match="weights are damaged"):
        Sampler(GenerationOptions()).pick(torch.full((9,), bad))


def test_one_repaired_row_is_survived_but_not_three_in_a_row() -> None:
    sampler = Sampler(GenerationOptions(seed=1))
    good, bad = torch.zeros(9), torch.tensor([0.0] * 8 + [torch.nan])
    for row in (bad, bad, good, bad, bad):
        sampler.pick(row)
    with pytest.raises(GenerationError, match="not numbers"):
        sampler.pick(bad)


def test_the_same_seed_draws_the_same_tokens_and_another_seed_others(rows: dict[str, Tensor]) -> None:
    def draw(seed: int) -> list[int]:
        sampler = Sampler(GenerationOptions(temperature=1, top_k=0, top_p=1, seed=seed))
        return [sampler.pick(rows["logits.random"]) for _ in range(30)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_without_a_seed_every_reply_is_drawn_afresh(rows: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    first = Sampler(PLAIN)
    torch.manual_seed(0)
    second = Sampler(PLAIN)
    assert [first.pick(rows["logits.random"]) for _ in range(30)] != [
        second.pick(rows["logits.random"]) for _ in range(30)
    ]


def test_sampling_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Sampler(GenerationOptions(seed=5)).pick(torch.zeros(100))
    assert torch.rand(4).equal(expected)


@pytest.mark.long
def test_tokens_are_drawn_as_often_as_their_probabilities_say() -> None:
    options = GenerationOptions(temperature=0.8, top_k=4, top_p=0.9, seed=11)
    logits = torch.tensor([0.0, 1.0, 2.0, 1.5, -1.0])
    sampler = Sampler(options)
    counts = torch.bincount(torch.tensor([sampler.pick(logits) for _ in range(4000)]), minlength=5)
    torch.testing.assert_close(counts / 4000, sample_probs(logits, [], options), atol=0.03, rtol=0)


def test_half_precision_scores_are_read_in_fp32() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float16)
    torch.testing.assert_close(sample_probs(logits, [], PLAIN), torch.softmax(logits.float(), 0))


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert Sampler(GenerationOptions(seed=seed)).pick(torch.zeros(3)) in range(3)


def test_the_smallest_temperature_is_greedy_and_does_not_overflow():
    logits = torch.tensor([1.0, 3.0, 2.0])
    assert sample_probs(logits, [], GenerationOptions(temperature=1e-40)).tolist() == [0, 1, 0]


def plain_top_k(logits: Tensor, options: GenerationOptions) -> Tensor:
    """The distribution by a selection over the whole vocabulary, as transformers makes it."""
    scaled = (logits - logits.max()) / options.temperature
    if 0 < options.top_k < len(scaled):
        scaled = scaled.masked_fill(scaled < scaled.topk(options.top_k).values[-1], -math.inf)
    return scaled.softmax(-1)


ROWS = {
    "normal": lambda: torch.randn(5000) * 3,
    "many ties": lambda: torch.randint(-9, 9, (5000,)).float(),
    "all alike": lambda: torch.full((5000,), 7.0),
    "best side by side": lambda: torch.cat([torch.randn(4900), torch.randn(100) + 30]),
    "best in one part": lambda: torch.randn(5000).index_add(0, torch.arange(7, 4992, 312), torch.full((16,), 40.0)),
    "far apart": lambda: torch.randn(5000) * 1e4,
    "almost equal": lambda: 1e4 + torch.randn(5000) * 1e-3,
    "mostly forbidden": lambda: torch.where(torch.rand(5000) < 0.01, torch.randn(5000), -math.inf),
    "a number and a rest": lambda: torch.randn(16 * 300 + 15),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("top_k", [1, 2, 50, 311, 312, 313, 4999])
@pytest.mark.parametrize("temperature", [0.3, 0.95, 7.0])
def test_top_k_leaves_over_what_a_selection_from_all_scores_does(name: str, top_k: int, temperature: float) -> None:
    torch.manual_seed(top_k)
    logits = ROWS[name]()
    options = GenerationOptions(temperature=temperature, top_k=top_k, top_p=1)
    probs, expected = sample_probs(logits, [], options), plain_top_k(logits, options)
    assert torch.equal(probs > 0, expected > 0)
    torch.testing.assert_close(probs, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-31])
def test_a_temperature_that_is_all_but_zero_is_greedy(temperature: float) -> None:
    logits = ROWS["normal"]()
    probs = sample_probs(logits, [], GenerationOptions(temperature=temperature, top_k=0, top_p=1))
    assert probs.nonzero().tolist() == [[int(logits.argmax())]]


@pytest.mark.parametrize("temperature", [1e8, 1e38, 1e300])
@pytest.mark.parametrize("top_k", [1, 50])
def test_the_highest_temperatures_make_all_alike_that_top_k_leaves(temperature: float, top_k: int) -> None:
    logits = ROWS["normal"]()
    probs = sample_probs(logits, [], GenerationOptions(temperature=temperature, top_k=top_k, top_p=1))
    expected = torch.zeros(5000).scatter(0, logits.topk(top_k).indices, 1 / top_k)
    torch.testing.assert_close(probs, expected, rtol=1e-4, atol=0)
