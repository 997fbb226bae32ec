"""The 16-bit linear layer against float64, and a row alone against the same row in a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from chatglm_slim_llm.kernels import Linear
from chatglm_slim_llm.kernels.packed import HALF, NativeWeight, native_linear
from tests.unit.native import needs_library, threads

pytestmark = needs_library

SHAPES = [(1, 1), (3, 5), (16, 4), (17, 31), (15, 33), (64, 512), (65, 513), (130, 1100)]
ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 24, 97]


def product(weight: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """x times the fp16 weight, by the library."""
    n, k = weight.shape
    return native_linear(NativeWeight(n, k, HALF).of(weight), x, bias)


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_a_product_equals_the_same_product_in_float64(instruction_set, n, k):
    torch.manual_seed(n * k)
    weight, bias = torch.randn(n, k).half(), torch.randn(n)
    for rows in ROWS:
        x = torch.randn(rows, k)
        expected = x.double() @ weight.double().T + bias.double()
        size = x.abs().double() @ weight.abs().double().T + bias.abs().double()  # what rounding errors scale with
        assert ((product(weight, x, bias) - expected).abs() <= 1e-6 * size).all()


def test_subnormal_and_largest_weights_keep_their_values(instruction_set):
    numbers = torch.arange(2**16).to(torch.uint16).view(torch.float16)
    weight = numbers[numbers.isfinite()][:, None].contiguous()
    for rows in (1, 20):  # straight from memory, and widened before
        y = product(weight, torch.ones(rows, 1))
        assert torch.equal(y, weight.float().T.expand(rows, -1))


@pytest.mark.parametrize(("n", "k"), [(70, 1100), (9, 513), (131, 48)])
def test_a_row_is_the_same_to_the_last_bit_in_any_company_and_on_any_number_of_threads(instruction_set, n, k):
    weight, bias, x = torch.randn(n, k).half(), torch.randn(n), torch.randn(260, k)
    together = product(weight, x, bias)
    with threads(1):
        assert torch.equal(product(weight, x, bias), together)
    for rows in (*ROWS, 96, 100, 193):
        for start in (0, 5, 260 - rows):
            here = slice(start, start + rows)
            assert torch.equal(product(weight, x[here], bias), together[here])


def test_a_row_is_the_same_among_2048_as_alone(instruction_set):
    weight, x = torch.randn(40, 200).half(), torch.randn(2048, 200)
    together = product(weight, x)
    for row in (0, 95, 96, 1000, 2047):
        assert torch.equal(product(weight, x[row : row + 1]), together[row : row + 1])


def test_a_bad_number_in_one_row_does_not_reach_the_others(instruction_set):
    weight, x = torch.randn(20, 50).half(), torch.randn(30, 50)
    expected = product(weight, x)
    x[7, 3], x[20, 49] = float("nan"), float("inf")
    y = product(weight, x)
    good = [m for m in range(30) if m not in (7, 20)]
    assert torch.equal(y[good], expected[good])
    assert y[7].isnan().all()


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize("size", [3, 90])
def test_a_weight_of_another_length_is_multiplied_as_long_as_it_is(rows, size):
    layer = Linear(50, 20, bias=False).half()
    layer(torch.randn(rows, 50))
    layer.weight = nn.Parameter(
        torch.randn(size, 50).half()
    )  # what a vocabulary that grows or shrinks does to the head
    x = torch.randn(rows, 50)
    torch.testing.assert_close(layer(x), x @ layer.weight.float().T, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_a_weight_on_another_device_is_left_to_torch_which_refuses_it():
    layer = Linear(50, 20).half().to("meta")
    assert not layer._runs_natively(torch.randn(1, 50))


@torch.no_grad()
def test_a_bias_that_takes_the_place_of_another_is_the_one_that_is_added():
    layer = Linear(50, 20).half()
    layer.bias = nn.Parameter(torch.zeros(20).half())
    x = torch.zeros(1, 50)
    layer(x)
    address = layer.bias.data_ptr()
    layer.bias = None
    others = [torch.ones(20).half() for _ in range(100)]  # one of them would lie where the first bias has lain
    layer.bias = nn.Parameter(next((other for other in others if other.data_ptr() == address), others[0]))
    assert torch.equal(layer(x), torch.ones(1, 20))
