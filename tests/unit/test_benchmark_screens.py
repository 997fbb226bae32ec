"""Turned rows, the coarse codes of tables against published errors, and what a screened head gives."""

from __future__ import annotations

import pytest
import torch

from benchmarks.quality_rules import turned
from benchmarks.quality_screens import Screen, ScreenedHead


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("bits", "published"), [(2, 0.1175), (3, 0.03454)])  # J. Max 1960, table I
def test_a_bell_curve_is_coded_with_the_least_error_there_is(bits: int, published: float, turned: bool) -> None:
    table = torch.randn(512, 576, generator=torch.Generator().manual_seed(1))
    error = (Screen(bits, 1, turned).rough(table) - table).square().mean()
    assert error == pytest.approx(published, rel=0.02)


def test_turning_a_mean_and_columns_that_stand_out_away_leaves_little_of_the_error() -> None:
    table = torch.randn(512, 576, generator=torch.Generator().manual_seed(1))
    table[:, :3] *= 30
    table += 5 * torch.randn(576, generator=torch.Generator().manual_seed(2))
    plain, turned = ((Screen(2, 1, turned).rough(table) - table).square().mean() for turned in (False, True))
    assert turned < plain / 3


@pytest.mark.parametrize(("width", "block"), [(64, 128), (576, 128), (1536, 128), (4096, 4096)])
def test_turning_changes_no_product(width: int, block: int) -> None:
    x, y = (torch.randn(5, width, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    seen: list[torch.Tensor] = []
    turn = turned(lambda there: (seen.append(there), there)[1], block)
    for rows in (x, y):
        torch.testing.assert_close(turn(rows), rows)
    torch.testing.assert_close(seen[0] @ seen[1].T, x @ y.T, rtol=1e-4, atol=1e-4)
    one = torch.zeros(width)
    one[7] = 1
    turn(one)
    assert (seen[2] != 0).sum() == min(width & -width, block)  # one number is shared out among its block


def test_scores_of_the_shortlist_are_exact_and_the_others_rough() -> None:
    table = torch.randn(100, 64, generator=torch.Generator().manual_seed(1))
    hidden = torch.randn(3, 64, generator=torch.Generator().manual_seed(2))
    screen = Screen(2, 10, turned=True)
    scores, rough = ScreenedHead(table, table, screen)(hidden), hidden @ screen.rough(table).T
    exact = scores == hidden @ table.T
    assert exact.sum(-1).tolist() == [10, 10, 10]
    assert torch.equal(exact.nonzero(), (rough >= rough.topk(10).values[:, -1:]).nonzero())
    torch.testing.assert_close(scores[~exact], rough[~exact])
