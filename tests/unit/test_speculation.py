"""Drafts from the text so far, and what they may cost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from chatglm_slim_llm.engine.speculation import Budget, PromptLookup, StepCosts

FOUR_PERCENT = [0.04 * more for more in range(8)]


def searched(ids: list[int], length: int) -> list[int]:
    """What `PromptLookup.draft` is to find, by looking everywhere; the last of the longest matches, repeated on."""
    for ngram in (4, 3, 2):
        for end in range(len(ids) - 1, ngram - 1, -1):
            if ids[end - ngram : end] == ids[len(ids) - ngram :]:
                going_on = ids[end:]
                while len(going_on) < length:
                    going_on += ids[end:]
                return going_on[:length]
    return []


@pytest.mark.parametrize("num_words", [2, 5, 30])
def test_a_draft_is_what_followed_the_last_longest_match(num_words: int) -> None:
    randomness = random.Random(num_words)
    ids = [randomness.randrange(num_words) for _ in range(150)]
    lookup = PromptLookup(ids[:40])
    for end in range(40, len(ids)):
        assert [lookup.draft(length) for length in (0, 1, 7)] == [searched(ids[:end], n) for n in (0, 1, 7)]
        lookup.push(ids[end])


def test_text_that_never_occurred_gives_no_draft() -> None:
    assert PromptLookup(range(100)).draft(7) == []
    assert PromptLookup().draft(7) == []


def test_a_draft_repeats_what_repeats() -> None:
    assert PromptLookup([1, 2, 1, 2, 1, 2]).draft(5) == [1, 2, 1, 2, 1]


def test_memory_grows_by_three_entries_a_token() -> None:
    lookup = PromptLookup(range(1000))
    assert len(lookup._follows) <= 3 * 1000


# --- what a step costs ---


def test_rows_that_were_not_measured_cost_four_percent_each() -> None:
    costs = StepCosts(16)
    assert [costs[1], costs[3], costs[16]] == pytest.approx([1.0, 1.08, 1.60])
    assert costs.extra(2, 3) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_measured_rows_cost_what_was_measured_and_the_next_build_on_them() -> None:
    costs = StepCosts(16)
    for _ in range(9):
        costs.record(1, 0.1)
        costs.record(4, 0.15)
    assert [costs[1], costs[2], costs[4], costs[5]] == pytest.approx([1, 1.04, 1.5, 1.54])


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_a_step_that_was_interrupted_changes_nothing(rows: int) -> None:
    costs = StepCosts(8)
    for _ in range(5):
        costs.record(1, 0.1)
    costs.record(rows, 30.0)
    for _ in range(5):
        costs.record(2, 0.12)
    assert [costs[2], costs[8]] == pytest.approx([1.2, 1.44], abs=0.05)  # what was thought of 8 before may stay


def test_a_step_of_fewer_rows_is_never_thought_slower_than_one_of_more() -> None:
    costs = StepCosts(8)
    for _ in range(5):
        costs.record(1, 0.1)
        costs.record(5, 0.9)
        costs.record(6, 0.15)
    assert costs[5] == pytest.approx(1.5)
    assert costs[6] == pytest.approx(1.51)


def test_rows_that_once_seemed_too_slow_are_believed_to_be_cheap_again_after_a_while() -> None:
    costs = StepCosts(8)
    for _ in range(3):
        costs.record(1, 0.1)
        costs.record(8, 0.9)
    assert costs[8] == pytest.approx(9)
    for _ in range(1500):
        costs.record(1, 0.1)
    assert costs[8] == pytest.approx(1.28)


def test_more_rows_never_look_free() -> None:
    costs = StepCosts(8)
    costs.record(1, 0.1)
    costs.record(8, 0.05)
    assert costs[8] > costs[7] > 1


# --- how much may be drafted ---


def fail(_step: int, _drafted: int) -> int:
    return 0


def succeed(_step: int, drafted: int) -> int:
    return drafted


def succeed_at_first(step: int, drafted: int) -> int:
    return drafted if step < 500 else 0


def succeed_at_times(step: int, drafted: int) -> int:
    return drafted if step // 100 % 2 == 0 else 0


def fail_when_long(_step: int, drafted: int) -> int:
    return drafted if drafted < 4 else 0


def by_chance(step: int, drafted: int) -> int:
    return random.Random(step).randint(0, drafted) if step % 3 == 0 else 0


def simulate(
    outcome: Callable[[int, int], int], costs: list[float], saving: float = 1.0
) -> Iterator[tuple[int, int, float]]:
    """What was drafted and accepted at each of 2,000 steps, and what the step lost, in units of ``saving``."""
    budget = Budget()
    for step in range(2000):
        drafted = budget.length(costs, saving)
        accepted = outcome(step, drafted)
        budget.settle(drafted, accepted, costs[drafted], saving)
        yield drafted, accepted, costs[drafted] / saving - accepted


@pytest.mark.parametrize(
    "outcome", [fail, succeed_at_first, succeed_at_times, fail_when_long, by_chance], ids=lambda f: str(f.__name__)
)
@pytest.mark.parametrize("row_cost", [0.01, 0.04, 0.3, 1.5])
@pytest.mark.parametrize("saving", [1.0, 0.15])
def test_no_thousand_steps_lose_more_than_three_percent(
    outcome: Callable[[int, int], int], row_cost: float, saving: float
) -> None:
    lost = [loss for _, _, loss in simulate(outcome, [row_cost * more for more in range(8)], saving)]
    assert max(sum(lost[start : start + 1000]) for start in range(1001)) <= 30


def test_bad_drafts_are_still_tried_so_that_good_ones_are_noticed() -> None:
    assert sum(drafted for drafted, _, _ in simulate(fail, FOUR_PERCENT)) > 100


def test_drafts_grow_with_success() -> None:
    lengths = [drafted for drafted, _, _ in simulate(succeed, FOUR_PERCENT) if drafted]
    assert lengths[:4] == [1, 2, 4, 7]
    assert set(lengths[3:]) == {7}


def test_a_sequence_that_copies_gains_most_of_what_there_is_to_gain() -> None:
    gained = -sum(loss for _, _, loss in simulate(succeed, FOUR_PERCENT))
    assert gained > 0.95 * 2000 * (7 - 0.28)


def test_drafts_shrink_where_their_end_is_never_right() -> None:
    lengths = [drafted for drafted, _, _ in simulate(lambda _, drafted: min(drafted, 1), [0.3 * n for n in range(8)])]
    assert set(lengths[-500:]) <= {0, 1, 2}


def test_no_row_to_spare_means_no_draft() -> None:
    budget = Budget()
    budget.settle(7, 7, 0.1, 1.0)
    assert budget.length([0.0], 1.0) == 0
    assert budget.length(FOUR_PERCENT, 1.0) > 0
