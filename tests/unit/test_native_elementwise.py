"""LayerNorm, GELU and the residual sum against torch and against float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from chatglm_slim_llm.kernels.elementwise import gelu, layer_norm, scale_add
from tests.unit.native import needs_library, threads

pytestmark = needs_library

WIDTHS = [1, 5, 16, 63, 64, 200, 4096]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_layer_norm_is_torchs_in_float64(instruction_set, width, mean):
    x, weight, bias = torch.randn(7, width) + mean, torch.randn(width), torch.randn(width)
    expected = F.layer_norm(x.double(), (width,), weight.double(), bias.double(), 1e-5)
    torch.testing.assert_close(layer_norm(x, weight, bias, 1e-5).double(), expected, rtol=2e-6, atol=2e-6)


def test_layer_norm_of_a_row_does_not_depend_on_the_others_or_on_threads(instruction_set):
    x, weight, bias = torch.randn(100, 1030), torch.randn(1030), torch.randn(1030)
    together = layer_norm(x, weight, bias, 1e-5)
    with threads(1):
        assert torch.equal(layer_norm(x, weight, bias, 1e-5), together)
    for row in (0, 37, 99):
        assert torch.equal(layer_norm(x[row : row + 1], weight, bias, 1e-5), together[row : row + 1])


def test_gelu_is_within_a_millionth_of_float64(instruction_set):
    x = torch.cat([torch.linspace(-12, 12, 100_001), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e-6, 6e4, -6e4])])
    expected = F.gelu(x.double(), approximate="tanh")
    near = x.abs() <= 5
    found = gelu(x.clone()).double()
    assert (found - expected)[near].abs().max() < 1e-6
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("count", [1, 15, 17, 4095, 70_000])
def test_threads_do_not_change_what_is_computed_number_by_number(instruction_set, count):
    x, y = torch.randn(count), torch.randn(count)
    activated, added = gelu(x.clone()), scale_add(x.clone(), 7.5, y)
    with threads(1):
        assert torch.equal(gelu(x.clone()), activated)
        assert torch.equal(scale_add(x.clone(), 7.5, y), added)
    assert torch.equal(added, x * 7.5 + y)
    assert torch.equal(gelu(x[-1:].clone()), activated[-1:])


def test_not_a_number_stays_one(instruction_set):
    x = torch.randn(40)
    x[17] = float("nan")
    assert gelu(x.clone()).isnan().nonzero().tolist() == [[17]]
    assert scale_add(x.clone(), 2.0, torch.ones(40)).isnan().nonzero().tolist() == [[17]]
